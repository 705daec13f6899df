// Samples as clients see them, see encode.h.
#include "plugins/stats/encode.h"

#include <span>

#include "plugins/sdk/message.h"

namespace noded::stats {

using sdk::text;

namespace {

void write_io(const Io& from, schema::IoFigures::Builder out) {
    out.setReadBytes(from.read_bytes);
    out.setWriteBytes(from.write_bytes);
    out.setReads(from.reads);
    out.setWrites(from.writes);
}

void write_net(const Net& from, schema::NetFigures::Builder out) {
    out.setReceivedBytes(from.received_bytes);
    out.setReceivedPackets(from.received_packets);
    out.setReceiveErrors(from.receive_errors);
    out.setReceiveDrops(from.receive_drops);
    out.setSentBytes(from.sent_bytes);
    out.setSentPackets(from.sent_packets);
    out.setSendErrors(from.send_errors);
    out.setSendDrops(from.send_drops);
}

void write_cpu(const Cpu& from, schema::CpuFigures::Builder out) {
    out.setTotalNs(from.total_ns);
    out.setUserNs(from.user_ns);
    out.setSystemNs(from.system_ns);
    out.setPeriods(from.periods);
    out.setThrottledPeriods(from.throttled_periods);
    out.setThrottledNs(from.throttled_ns);
}

void write_memory(const Memory& from, schema::MemoryFigures::Builder out) {
    out.setUsageBytes(from.usage);
    out.setWorkingSetBytes(from.working_set);
    out.setCacheBytes(from.cache);
    out.setRssBytes(from.rss);
    out.setLimitBytes(from.limit);
    out.setPageFaults(from.page_faults);
    out.setMajorPageFaults(from.major_page_faults);
    out.setSwapBytes(from.swap);
    out.setMappedBytes(from.mapped);
}

void write_pressure(const Pressure& from, schema::PressureFigures::Pressure::Builder out) {
    out.setSomeUs(from.some_us);
    out.setFullUs(from.full_us);
}

void write_pressures(const Pressures& from, schema::PressureFigures::Builder out) {
    if (from.cpu) write_pressure(*from.cpu, out.initCpu());
    if (from.memory) write_pressure(*from.memory, out.initMemory());
    if (from.io) write_pressure(*from.io, out.initIo());
    out.setMonotonicNs(from.monotonic_ns);
}

void write_networks(const std::vector<Network>& from, auto init) {
    if (from.empty()) return;
    auto out = init(unsigned(from.size()));
    for (unsigned i = 0; i < out.size(); ++i) {
        out[i].setName(text(from[i].name));
        write_net(from[i].net, out[i].initNet());
    }
}

/// Without those at the end in which nothing was counted.
void write_buckets(std::span<const uint64_t> from, auto init) {
    while (!from.empty() && from.back() == 0) from = from.first(from.size() - 1);
    if (from.empty()) return;
    auto out = init(unsigned(from.size()));
    for (unsigned i = 0; i < out.size(); ++i) out.set(i, from[i]);
}

void write_kernel(const Kernel& from, schema::KernelFigures::Builder out) {
    auto net = out.initNet();
    net.setReceivedBytes(from.received_bytes);
    net.setReceivedPackets(from.received_packets);
    net.setSentBytes(from.sent_bytes);
    net.setSentPackets(from.sent_packets);
    out.setTcpRetransmits(from.tcp_retransmits);
    out.setTcpConnects(from.tcp_connects);
    write_io(from.io, out.initIo());
    out.setIoNs(from.io_ns);
    out.setExecs(from.execs);
    out.setExits(from.exits);
    out.setOomKills(from.oom_kills);
    out.setInvoluntarySwitches(from.involuntary_switches);
    out.setWaits(from.waits);
    out.setWaitNs(from.wait_ns);
    write_buckets(from.wait_us_log2, [&](unsigned size) { return out.initWaitUsLog2(size); });
    write_buckets(from.io_us_log2, [&](unsigned size) { return out.initIoUsLog2(size); });
}

void write_node_cpu(const NodeCpu& from, schema::NodeFigures::NodeCpu::Builder out) {
    out.setUserNs(from.user_ns);
    out.setNiceNs(from.nice_ns);
    out.setSystemNs(from.system_ns);
    out.setIdleNs(from.idle_ns);
    out.setIowaitNs(from.iowait_ns);
    out.setIrqNs(from.irq_ns);
    out.setSoftirqNs(from.softirq_ns);
    out.setStealNs(from.steal_ns);
}

void write_disk(const Disk& from, schema::NodeFigures::Disk::Builder out) {
    out.setName(text(from.name));
    write_io(from.io, out.initIo());
    out.setBusyMs(from.busy_ms);
    out.setReadsMerged(from.reads_merged);
    out.setWritesMerged(from.writes_merged);
    out.setReadMs(from.read_ms);
    out.setWriteMs(from.write_ms);
    out.setInProgress(from.in_progress);
    out.setWeightedMs(from.weighted_ms);
}

void write_filesystem(const Filesystem& from, schema::NodeFigures::Filesystem::Builder out) {
    out.setDevice(text(from.device));
    out.setMountPoint(text(from.mount_point));
    out.setType(text(from.type));
    out.setReadOnly(from.read_only);
    out.setSizeBytes(from.size);
    out.setFreeBytes(from.free);
    out.setAvailableBytes(from.available);
    out.setFiles(from.files);
    out.setFilesFree(from.files_free);
}

void write_node_memory(const NodeFigures& from, schema::NodeFigures::Builder out) {
    auto memory = out.initMemory();
    memory.setTotalBytes(from.memory.total);
    memory.setFreeBytes(from.memory.free);
    memory.setAvailableBytes(from.memory.available);
    memory.setBuffersBytes(from.memory.buffers);
    memory.setCachedBytes(from.memory.cached);
    memory.setSwapTotalBytes(from.memory.swap_total);
    memory.setSwapFreeBytes(from.memory.swap_free);
    auto items = out.initMeminfo(unsigned(from.meminfo.size()));
    for (unsigned i = 0; i < items.size(); ++i) {
        items[i].setName(text(from.meminfo[i].name));
        items[i].setValue(from.meminfo[i].value);
        items[i].setIsBytes(from.meminfo[i].is_bytes);
    }
}

}  // namespace

void write_container(const ContainerFigures& from, schema::ContainerFigures::Builder out) {
    out.setId(text(from.who->id));
    out.setName(text(from.who->name));
    out.setImage(text(from.who->image));
    out.setRun(from.run);
    out.setMonotonicNs(from.monotonic_ns);
    if (from.cpu) write_cpu(*from.cpu, out.initCpu());
    if (from.memory) write_memory(*from.memory, out.initMemory());
    if (from.pids) {
        auto pids = out.initPids();
        pids.setCurrent(from.pids->current);
        pids.setLimit(from.pids->limit);
    }
    if (from.io) write_io(*from.io, out.initIo());
    if (from.net) write_net(*from.net, out.initNet());
    write_networks(from.networks, [&](unsigned size) { return out.initNetworks(size); });
    if (from.pressure.any()) write_pressures(from.pressure, out.initPressure());
    if (from.kernel) write_kernel(*from.kernel, out.initKernel());
}

void write_node(const NodeFigures& from, schema::NodeFigures::Builder out) {
    out.setCpus(from.cpus);
    write_node_cpu(from.cpu, out.initCpu());
    auto per_cpu = out.initPerCpu(unsigned(from.per_cpu.size()));
    for (unsigned i = 0; i < per_cpu.size(); ++i) write_node_cpu(from.per_cpu[i], per_cpu[i]);
    write_node_memory(from, out);
    out.setLoad1(from.load.one);
    out.setLoad5(from.load.five);
    out.setLoad15(from.load.fifteen);
    out.setContextSwitches(from.context_switches);
    out.setInterrupts(from.interrupts);
    out.setProcessesCreated(from.processes_created);
    out.setProcessesRunning(from.processes_running);
    out.setProcessesBlocked(from.processes_blocked);
    out.setBootNs(from.boot_ns);
    if (from.pressure.any()) write_pressures(from.pressure, out.initPressure());
    auto disks = out.initDisks(unsigned(from.disks.size()));
    for (unsigned i = 0; i < disks.size(); ++i) write_disk(from.disks[i], disks[i]);
    write_networks(from.networks, [&](unsigned size) { return out.initNetworks(size); });
    auto filesystems = out.initFilesystems(unsigned(from.filesystems.size()));
    for (unsigned i = 0; i < filesystems.size(); ++i)
        write_filesystem(from.filesystems[i], filesystems[i]);
}

void write_sample(const Sample& from, const std::function<bool(const ContainerFigures&)>& wanted,
                  schema::Sample::Builder out) {
    out.setSeq(from.seq);
    out.setMonotonicNs(from.monotonic_ns);
    out.setTimeNs(from.time_ns);
    write_node(from.node, out.initNode());
    std::vector<const ContainerFigures*> rows;
    for (const ContainerFigures& row : from.containers)
        if (wanted(row)) rows.push_back(&row);
    auto list = out.initContainers(unsigned(rows.size()));
    for (unsigned i = 0; i < list.size(); ++i) write_container(*rows[i], list[i]);
}

}  // namespace noded::stats
