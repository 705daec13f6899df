// The node, with node_exporter's names and labels; see metrics.h.
#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "tools/gateway/metrics.h"

namespace noded::gateway {
namespace {

using Node = schema::NodeFigures::Reader;
using Cpu = schema::NodeFigures::NodeCpu::Reader;
using Disk = schema::NodeFigures::Disk::Reader;
using Net = schema::NetFigures::Reader;
using Filesystem = schema::NodeFigures::Filesystem::Reader;

constexpr double kNs = 1e-9, kUs = 1e-6, kMs = 1e-3;

template <typename Row>
struct Metric {
    const char* name;
    Type type;
    const char* help;
    double (*value)(Row);
};

constexpr Metric<Node> kNode[] = {
    {"node_boot_time_seconds", Type::gauge, "Node boot time, in unixtime.",
     [](Node node) { return double(node.getBootNs()) * kNs; }},
    {"node_context_switches_total", Type::counter, "Total number of context switches.",
     [](Node node) { return double(node.getContextSwitches()); }},
    {"node_forks_total", Type::counter, "Total number of forks.",
     [](Node node) { return double(node.getProcessesCreated()); }},
    {"node_intr_total", Type::counter, "Total number of interrupts serviced.",
     [](Node node) { return double(node.getInterrupts()); }},
    {"node_load1", Type::gauge, "1m load average.", [](Node node) { return node.getLoad1(); }},
    {"node_load5", Type::gauge, "5m load average.", [](Node node) { return node.getLoad5(); }},
    {"node_load15", Type::gauge, "15m load average.", [](Node node) { return node.getLoad15(); }},
    {"node_procs_running", Type::gauge, "Number of processes in runnable state.",
     [](Node node) { return double(node.getProcessesRunning()); }},
    {"node_procs_blocked", Type::gauge,
     "Number of processes blocked waiting for I/O to complete.",
     [](Node node) { return double(node.getProcessesBlocked()); }},
};

constexpr Metric<Disk> kDisks[] = {
    {"node_disk_reads_completed_total", Type::counter,
     "The total number of reads completed successfully.",
     [](Disk disk) { return double(disk.getIo().getReads()); }},
    {"node_disk_reads_merged_total", Type::counter, "The total number of reads merged.",
     [](Disk disk) { return double(disk.getReadsMerged()); }},
    {"node_disk_read_bytes_total", Type::counter,
     "The total number of bytes read successfully.",
     [](Disk disk) { return double(disk.getIo().getReadBytes()); }},
    {"node_disk_read_time_seconds_total", Type::counter,
     "The total number of seconds spent by all reads.",
     [](Disk disk) { return double(disk.getReadMs()) * kMs; }},
    {"node_disk_writes_completed_total", Type::counter,
     "The total number of writes completed successfully.",
     [](Disk disk) { return double(disk.getIo().getWrites()); }},
    {"node_disk_writes_merged_total", Type::counter, "The number of writes merged.",
     [](Disk disk) { return double(disk.getWritesMerged()); }},
    {"node_disk_written_bytes_total", Type::counter,
     "The total number of bytes written successfully.",
     [](Disk disk) { return double(disk.getIo().getWriteBytes()); }},
    {"node_disk_write_time_seconds_total", Type::counter,
     "This is the total number of seconds spent by all writes.",
     [](Disk disk) { return double(disk.getWriteMs()) * kMs; }},
    {"node_disk_io_now", Type::gauge, "The number of I/Os currently in progress.",
     [](Disk disk) { return double(disk.getInProgress()); }},
    {"node_disk_io_time_seconds_total", Type::counter, "Total seconds spent doing I/Os.",
     [](Disk disk) { return double(disk.getBusyMs()) * kMs; }},
    {"node_disk_io_time_weighted_seconds_total", Type::counter,
     "The weighted # of seconds spent doing I/Os.",
     [](Disk disk) { return double(disk.getWeightedMs()) * kMs; }},
};

constexpr Metric<Net> kNetworks[] = {
    {"node_network_receive_bytes_total", Type::counter,
     "Network device statistic receive_bytes.",
     [](Net net) { return double(net.getReceivedBytes()); }},
    {"node_network_receive_packets_total", Type::counter,
     "Network device statistic receive_packets.",
     [](Net net) { return double(net.getReceivedPackets()); }},
    {"node_network_receive_errs_total", Type::counter, "Network device statistic receive_errs.",
     [](Net net) { return double(net.getReceiveErrors()); }},
    {"node_network_receive_drop_total", Type::counter, "Network device statistic receive_drop.",
     [](Net net) { return double(net.getReceiveDrops()); }},
    {"node_network_transmit_bytes_total", Type::counter,
     "Network device statistic transmit_bytes.",
     [](Net net) { return double(net.getSentBytes()); }},
    {"node_network_transmit_packets_total", Type::counter,
     "Network device statistic transmit_packets.",
     [](Net net) { return double(net.getSentPackets()); }},
    {"node_network_transmit_errs_total", Type::counter, "Network device statistic transmit_errs.",
     [](Net net) { return double(net.getSendErrors()); }},
    {"node_network_transmit_drop_total", Type::counter, "Network device statistic transmit_drop.",
     [](Net net) { return double(net.getSendDrops()); }},
};

constexpr Metric<Filesystem> kFilesystems[] = {
    {"node_filesystem_size_bytes", Type::gauge, "Filesystem size in bytes.",
     [](Filesystem one) { return double(one.getSizeBytes()); }},
    {"node_filesystem_free_bytes", Type::gauge, "Filesystem free space in bytes.",
     [](Filesystem one) { return double(one.getFreeBytes()); }},
    {"node_filesystem_avail_bytes", Type::gauge,
     "Filesystem space available to non-root users in bytes.",
     [](Filesystem one) { return double(one.getAvailableBytes()); }},
    {"node_filesystem_files", Type::gauge, "Filesystem total file nodes.",
     [](Filesystem one) { return double(one.getFiles()); }},
    {"node_filesystem_files_free", Type::gauge, "Filesystem total free file nodes.",
     [](Filesystem one) { return double(one.getFilesFree()); }},
    {"node_filesystem_readonly", Type::gauge, "Filesystem read-only status.",
     [](Filesystem one) { return one.getReadOnly() ? 1.0 : 0.0; }},
};

bool digits(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return isdigit(c) != 0; });
}

/// As node_exporter leaves them out: what is backed by another disk that is told of.
bool is_part_of_another(std::string_view name) {
    for (const std::string_view whole : {"ram", "loop", "fd"})
        if (name.starts_with(whole) && digits(name.substr(whole.size()))) return true;
    for (const std::string_view kind : {"hd", "sd", "vd", "xvd"})
        if (name.starts_with(kind) && name.size() > kind.size() + 1 &&
            digits(name.substr(kind.size() + 1)))
            return true;
    const size_t part = name.rfind('p');
    return name.starts_with("nvme") && part != std::string_view::npos &&
           digits(name.substr(part + 1));
}

bool is_pseudo(std::string_view mount_point) {
    for (const std::string_view folder : {"/dev", "/proc", "/sys", "/run/credentials"})
        if (mount_point == folder ||
            (mount_point.starts_with(folder) && mount_point[folder.size()] == '/'))
            return true;
    return false;
}

void write_cpus(Node node, Exposition& out) {
    constexpr std::array<std::pair<const char*, uint64_t (Cpu::*)() const>, 8> kModes = {{
        {"idle", &Cpu::getIdleNs},
        {"iowait", &Cpu::getIowaitNs},
        {"irq", &Cpu::getIrqNs},
        {"nice", &Cpu::getNiceNs},
        {"softirq", &Cpu::getSoftirqNs},
        {"steal", &Cpu::getStealNs},
        {"system", &Cpu::getSystemNs},
        {"user", &Cpu::getUserNs},
    }};
    out.family("node_cpu_seconds_total", Type::counter, "Seconds the CPUs spent in each mode.");
    unsigned number = 0;
    for (const Cpu cpu : node.getPerCpu()) {
        const std::string name = std::to_string(number++);
        for (const auto& [mode, get] : kModes)
            out.sample(labels({{"cpu", name}, {"mode", mode}}), double((cpu.*get)()) * kNs);
    }
}

/// "Active(anon)" is node_memory_Active_anon_bytes.
void write_memory(Node node, Exposition& out) {
    std::set<std::string> told;
    for (const auto item : node.getMeminfo()) {
        std::string_view text = item.getName().cStr();
        if (text.ends_with(')')) text.remove_suffix(1);
        const std::string name =
            "node_memory_" + name_part(text) + (item.getIsBytes() ? "_bytes" : "");
        if (!told.insert(name).second) continue;
        out.family(name, Type::gauge, "Memory information field " + name.substr(12) + ".");
        out.sample("", double(item.getValue()));
    }
}

void write_disks(Node node, Exposition& out) {
    for (const auto& metric : kDisks) {
        out.family(metric.name, metric.type, metric.help);
        for (const auto disk : node.getDisks())
            if (!is_part_of_another(disk.getName().cStr()))
                out.sample(labels({{"device", disk.getName().cStr()}}), metric.value(disk));
    }
}

void write_networks(Node node, Exposition& out) {
    for (const auto& metric : kNetworks) {
        out.family(metric.name, metric.type, metric.help);
        for (const auto network : node.getNetworks())
            out.sample(labels({{"device", network.getName().cStr()}}),
                       metric.value(network.getNet()));
    }
}

void write_filesystems(Node node, Exposition& out) {
    // What is mounted over something of its own kind would be told of twice.
    std::vector<std::pair<std::string, Filesystem>> rows;
    for (const auto one : node.getFilesystems()) {
        if (is_pseudo(one.getMountPoint().cStr())) continue;
        std::string row = labels({{"device", one.getDevice().cStr()},
                                  {"fstype", one.getType().cStr()},
                                  {"mountpoint", one.getMountPoint().cStr()}});
        std::erase_if(rows, [&](const auto& other) { return other.first == row; });
        rows.emplace_back(std::move(row), one);
    }
    for (const auto& metric : kFilesystems) {
        out.family(metric.name, metric.type, metric.help);
        for (const auto& [row, one] : rows) out.sample(row, metric.value(one));
    }
}

void write_pressure(Node node, Exposition& out) {
    if (!node.hasPressure()) return;
    const auto pressure = node.getPressure();
    const auto one = [&](const char* name, const char* help, double value_us) {
        out.family(name, Type::counter, help);
        out.sample("", value_us * kUs);
    };
    if (pressure.hasCpu())
        one("node_pressure_cpu_waiting_seconds_total",
            "Total time in seconds that processes have waited for CPU time",
            double(pressure.getCpu().getSomeUs()));
    if (pressure.hasIo()) {
        one("node_pressure_io_waiting_seconds_total",
            "Total time in seconds that processes have waited due to IO congestion",
            double(pressure.getIo().getSomeUs()));
        one("node_pressure_io_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IO congestion",
            double(pressure.getIo().getFullUs()));
    }
    if (pressure.hasMemory()) {
        one("node_pressure_memory_waiting_seconds_total",
            "Total time in seconds that processes have waited for memory",
            double(pressure.getMemory().getSomeUs()));
        one("node_pressure_memory_stalled_seconds_total",
            "Total time in seconds no process could make progress due to memory congestion",
            double(pressure.getMemory().getFullUs()));
    }
}

}  // namespace

void write_node(const Answers& answers, Exposition& out) {
    if (!answers.node) return;
    const Node node = answers.node->getNode();
    write_cpus(node, out);
    for (const auto& metric : kNode) {
        out.family(metric.name, metric.type, metric.help);
        out.sample("", metric.value(node));
    }
    write_memory(node, out);
    write_disks(node, out);
    write_networks(node, out);
    write_filesystems(node, out);
    write_pressure(node, out);
    out.family("node_time_seconds", Type::gauge,
               "System time in seconds since epoch (1970).");
    out.sample("", double(answers.node->getTimeNs()) * kNs);
    if (!answers.info) return;
    out.family("node_uname_info", Type::gauge,
               "Labeled system information as provided by the uname system call.");
    out.sample(labels({{"sysname", "Linux"},
                       {"nodename", answers.info->getNodeName().cStr()},
                       {"release", answers.info->getKernel().cStr()}}),
               1);
}

}  // namespace noded::gateway
