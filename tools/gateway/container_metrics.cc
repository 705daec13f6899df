// Containers and the machine, with cAdvisor's names and labels; see metrics.h.
//
// The row with id="/" is the node, as cAdvisor has it for its root cgroup.
#include <set>

#include "tools/gateway/limits.h"
#include "tools/gateway/metrics.h"

namespace noded::gateway {
namespace {

using Row = const ContainerRow&;
using Value = std::optional<double>;

constexpr double kNs = 1e-9, kUs = 1e-6;

/// What a container is called, and what of it there is to tell.
struct Named {
    std::string labels;
    ContainerRow row;
};

struct Metric {
    const char* name;
    Type type;
    const char* help;
    const char* more;  ///< labels after those of the container
    Value (*value)(Row);
};

template <auto Get>
Value cpu(Row row) {
    if (!row.figures.hasCpu()) return std::nullopt;
    return double((row.figures.getCpu().*Get)());
}
template <auto Get>
Value cpu_seconds(Row row) {
    const Value ns = cpu<Get>(row);
    return ns ? Value(*ns * kNs) : ns;
}
/// Only of those that have a quota.
template <auto Get>
Value throttled(Row row) {
    if (!row.figures.hasCpu() || row.figures.getCpu().getPeriods() == 0) return std::nullopt;
    return cpu<Get>(row);
}
template <auto Get>
Value memory(Row row) {
    if (!row.figures.hasMemory()) return std::nullopt;
    return double((row.figures.getMemory().*Get)());
}
template <auto Get>
Value io(Row row) {
    if (!row.figures.hasIo()) return std::nullopt;
    return double((row.figures.getIo().*Get)());
}
template <auto Get>
Value kernel(Row row) {
    if (!row.figures.hasKernel()) return std::nullopt;
    return double((row.figures.getKernel().*Get)());
}
template <auto Has, auto Get, auto Time>
Value pressure(Row row) {
    if (!row.figures.hasPressure()) return std::nullopt;
    const auto all = row.figures.getPressure();
    if (!(all.*Has)()) return std::nullopt;
    return double(((all.*Get)().*Time)()) * kUs;
}
template <auto Get>
Value limit(Row row) {
    if (!row.state) return std::nullopt;
    const double value = double((row.state->getSpec().getOptions().getResources().*Get)());
    return value > 0 ? value : 0;
}

using Cpu = schema::CpuFigures::Reader;
using Memory = schema::MemoryFigures::Reader;
using Io = schema::IoFigures::Reader;
using Net = schema::NetFigures::Reader;
using Kernel = schema::KernelFigures::Reader;
using Pressures = schema::PressureFigures::Reader;
using Pressure = schema::PressureFigures::Pressure::Reader;
using Resources = schema::Resources::Reader;

constexpr int64_t kPeriodUs = 100'000;  // the kernel's own

int64_t period_us(const Resources& resources) {
    return resources.getCpuPeriodUs() > 0 ? resources.getCpuPeriodUs() : kPeriodUs;
}

/// --cpus is a quota, too.
Value quota_us(Row row) {
    if (!row.state) return std::nullopt;
    const auto resources = row.state->getSpec().getOptions().getResources();
    if (resources.getCpuQuotaUs() > 0) return double(resources.getCpuQuotaUs());
    if (resources.getNanoCpus() <= 0) return std::nullopt;
    return double(resources.getNanoCpus()) * kNs * double(period_us(resources));
}

constexpr const char* kDisk = "device=\"\"";

constexpr Metric kMetrics[] = {
    {"container_cpu_usage_seconds_total", Type::counter,
     "Cumulative cpu time consumed in seconds.", "cpu=\"total\"", cpu_seconds<&Cpu::getTotalNs>},
    {"container_cpu_user_seconds_total", Type::counter,
     "Cumulative user cpu time consumed in seconds.", "", cpu_seconds<&Cpu::getUserNs>},
    {"container_cpu_system_seconds_total", Type::counter,
     "Cumulative system cpu time consumed in seconds.", "", cpu_seconds<&Cpu::getSystemNs>},
    {"container_cpu_cfs_periods_total", Type::counter,
     "Number of elapsed enforcement period intervals.", "", throttled<&Cpu::getPeriods>},
    {"container_cpu_cfs_throttled_periods_total", Type::counter,
     "Number of throttled period intervals.", "", throttled<&Cpu::getThrottledPeriods>},
    {"container_cpu_cfs_throttled_seconds_total", Type::counter,
     "Total time duration the container has been throttled.", "",
     [](Row row) -> Value {
         const Value ns = throttled<&Cpu::getThrottledNs>(row);
         return ns ? Value(*ns * kNs) : ns;
     }},
    {"container_memory_usage_bytes", Type::gauge,
     "Current memory usage in bytes, including all memory regardless of when it was accessed.",
     "", memory<&Memory::getUsageBytes>},
    {"container_memory_working_set_bytes", Type::gauge, "Current working set in bytes.", "",
     memory<&Memory::getWorkingSetBytes>},
    {"container_memory_rss", Type::gauge, "Size of RSS in bytes.", "",
     memory<&Memory::getRssBytes>},
    {"container_memory_cache", Type::gauge, "Number of bytes of page cache memory.", "",
     memory<&Memory::getCacheBytes>},
    {"container_memory_swap", Type::gauge, "Container swap usage in bytes.", "",
     memory<&Memory::getSwapBytes>},
    {"container_memory_mapped_file", Type::gauge, "Size of memory mapped files in bytes.", "",
     memory<&Memory::getMappedBytes>},
    {"container_fs_reads_total", Type::counter, "Cumulative count of reads completed.", kDisk,
     io<&Io::getReads>},
    {"container_fs_writes_total", Type::counter, "Cumulative count of writes completed.", kDisk,
     io<&Io::getWrites>},
    {"container_fs_reads_bytes_total", Type::counter, "Cumulative count of bytes read.", kDisk,
     io<&Io::getReadBytes>},
    {"container_fs_writes_bytes_total", Type::counter, "Cumulative count of bytes written.",
     kDisk, io<&Io::getWriteBytes>},
    {"container_threads", Type::gauge, "Number of threads running inside the container.", "",
     [](Row row) -> Value {
         if (!row.figures.hasPids()) return std::nullopt;
         return double(row.figures.getPids().getCurrent());
     }},
    {"container_threads_max", Type::gauge,
     "Maximum number of threads allowed inside the container, infinity if value is zero.", "",
     [](Row row) -> Value {
         if (!row.figures.hasPids()) return std::nullopt;
         return double(row.figures.getPids().getLimit());
     }},
    {"container_pressure_cpu_waiting_seconds_total", Type::counter,
     "Total time duration tasks in the container have waited due to CPU congestion.", "",
     pressure<&Pressures::hasCpu, &Pressures::getCpu, &Pressure::getSomeUs>},
    {"container_pressure_cpu_stalled_seconds_total", Type::counter,
     "Total time duration no tasks in the container could make progress due to CPU congestion.",
     "", pressure<&Pressures::hasCpu, &Pressures::getCpu, &Pressure::getFullUs>},
    {"container_pressure_memory_waiting_seconds_total", Type::counter,
     "Total time duration tasks in the container have waited due to memory congestion.", "",
     pressure<&Pressures::hasMemory, &Pressures::getMemory, &Pressure::getSomeUs>},
    {"container_pressure_memory_stalled_seconds_total", Type::counter,
     "Total time duration no tasks in the container could make progress due to memory congestion.",
     "", pressure<&Pressures::hasMemory, &Pressures::getMemory, &Pressure::getFullUs>},
    {"container_pressure_io_waiting_seconds_total", Type::counter,
     "Total time duration tasks in the container have waited due to IO congestion.", "",
     pressure<&Pressures::hasIo, &Pressures::getIo, &Pressure::getSomeUs>},
    {"container_pressure_io_stalled_seconds_total", Type::counter,
     "Total time duration no tasks in the container could make progress due to IO congestion.",
     "", pressure<&Pressures::hasIo, &Pressures::getIo, &Pressure::getFullUs>},
    {"container_oom_events_total", Type::counter,
     "Count of out of memory events observed for the container.", "",
     kernel<&Kernel::getOomKills>},
    {"noded_container_execs_total", Type::counter, "Programs executed in the container.", "",
     kernel<&Kernel::getExecs>},
    {"noded_container_exits_total", Type::counter, "Processes of the container that ended.", "",
     kernel<&Kernel::getExits>},
    {"noded_container_tcp_connects_total", Type::counter,
     "TCP connections that the container began.", "", kernel<&Kernel::getTcpConnects>},
    {"noded_container_tcp_retransmits_total", Type::counter,
     "TCP segments that the container sent again.", "", kernel<&Kernel::getTcpRetransmits>},
    {"container_start_time_seconds", Type::gauge,
     "Start time of the container since unix epoch in seconds.", "",
     [](Row row) -> Value {
         if (!row.state) return std::nullopt;
         return double(row.state->getStartedNs()) * kNs;
     }},
    {"container_spec_cpu_period", Type::gauge, "CPU period of the container.", "",
     [](Row row) -> Value {
         if (!row.state) return std::nullopt;
         return double(period_us(row.state->getSpec().getOptions().getResources()));
     }},
    {"container_spec_cpu_quota", Type::gauge, "CPU quota of the container.", "", quota_us},
    {"container_spec_cpu_shares", Type::gauge, "CPU share of the container.", "",
     [](Row row) -> Value {
         constexpr double kSharesDefault = 1024;
         const Value said = limit<&Resources::getCpuShares>(row);
         return said && *said == 0 ? kSharesDefault : said;
     }},
    {"container_spec_memory_limit_bytes", Type::gauge, "Memory limit for the container.", "",
     limit<&Resources::getMemoryBytes>},
    {"container_spec_memory_reservation_limit_bytes", Type::gauge,
     "Memory reservation limit for the container.", "",
     limit<&Resources::getMemoryReservationBytes>},
    {"container_spec_memory_swap_limit_bytes", Type::gauge,
     "Memory swap limit for the container.", "", limit<&Resources::getMemorySwapBytes>},
};

std::string labels_of(Row row) {
    const auto& figures = row.figures;
    std::string out = labels({{"id", std::string("/noded/") + figures.getId().cStr()},
                              {"image", figures.getImage().cStr()},
                              {"name", figures.getName().cStr()}});
    if (!row.state) return out;
    std::set<std::string> told;
    for (const auto label : row.state->getSpec().getLabels()) {
        const auto key = label.getKey();
        if (told.size() >= limits::labels_max || key.size() > limits::label_name_bytes_max ||
            label.getValue().size() > limits::label_value_bytes_max)
            continue;
        // Two keys may differ in what a label's name cannot have.
        const std::string name = "container_label_" + name_part(key.cStr());
        if (told.insert(name).second) out += "," + labels({{name, label.getValue().cStr()}});
    }
    return out;
}

std::string joined(std::string_view one, std::string_view more) {
    return std::string(one) + (more.empty() ? "" : ",") + std::string(more);
}

/// What the root cgroup uses is what the node uses.
void write_root(const char* name, const Answers& answers, Exposition& out) {
    if (!answers.node) return;
    const std::string_view metric = name;
    const auto node = answers.node->getNode();
    const auto cpu = node.getCpu();
    const auto memory = node.getMemory();
    const double system_ns = double(cpu.getSystemNs() + cpu.getIrqNs() + cpu.getSoftirqNs());
    const double user_ns = double(cpu.getUserNs() + cpu.getNiceNs());
    const char* const id = "id=\"/\"";
    const auto one = [&](double value) { out.sample(id, value); };
    if (metric == "container_cpu_usage_seconds_total")
        out.sample("id=\"/\",cpu=\"total\"", (user_ns + system_ns) * kNs);
    if (metric == "container_cpu_user_seconds_total") one(user_ns * kNs);
    if (metric == "container_cpu_system_seconds_total") one(system_ns * kNs);
    if (metric == "container_memory_usage_bytes")
        one(double(memory.getTotalBytes()) - double(memory.getFreeBytes()));
    if (metric == "container_memory_working_set_bytes")
        one(double(memory.getTotalBytes()) - double(memory.getAvailableBytes()));
    if (metric == "container_memory_cache") one(double(memory.getCachedBytes()));
    if (metric == "container_spec_memory_limit_bytes") one(double(memory.getTotalBytes()));
    if (metric == "container_start_time_seconds") one(double(node.getBootNs()) * kNs);
}

struct NetMetric {
    const char* name;
    const char* help;
    uint64_t (Net::*value)() const;
};
constexpr NetMetric kNetMetrics[] = {
    {"container_network_receive_bytes_total", "Cumulative count of bytes received.",
     &Net::getReceivedBytes},
    {"container_network_receive_packets_total", "Cumulative count of packets received.",
     &Net::getReceivedPackets},
    {"container_network_receive_errors_total",
     "Cumulative count of errors encountered while receiving.", &Net::getReceiveErrors},
    {"container_network_receive_packets_dropped_total",
     "Cumulative count of packets dropped while receiving.", &Net::getReceiveDrops},
    {"container_network_transmit_bytes_total", "Cumulative count of bytes transmitted.",
     &Net::getSentBytes},
    {"container_network_transmit_packets_total", "Cumulative count of packets transmitted.",
     &Net::getSentPackets},
    {"container_network_transmit_errors_total",
     "Cumulative count of errors encountered while transmitting.", &Net::getSendErrors},
    {"container_network_transmit_packets_dropped_total",
     "Cumulative count of packets dropped while transmitting.", &Net::getSendDrops},
};

/// One for each interface of its own network. In the node's network there is the sum of its
/// sockets, which eBPF counts; without any network there is a zero.
std::vector<std::pair<std::string, Net>> networks_of(Row row) {
    std::vector<std::pair<std::string, Net>> found;
    for (const auto network : row.figures.getNetworks())
        found.emplace_back(network.getName().cStr(), network.getNet());
    if (!found.empty()) return found;
    if (row.figures.hasNet()) found.emplace_back("all", row.figures.getNet());
    else if (row.figures.hasKernel())
        found.emplace_back("all", row.figures.getKernel().getNet());
    return found;
}

void write_networks(const std::vector<Named>& rows, const Answers& answers, Exposition& out) {
    std::vector<std::pair<std::string, Net>> all;
    const auto add = [&](const std::string& labels_before, const std::string& name, Net net) {
        all.emplace_back(joined(labels_before, labels({{"interface", name}})), net);
    };
    for (const Named& one : rows)
        for (const auto& [name, net] : networks_of(one.row)) add(one.labels, name, net);
    if (answers.node)
        for (const auto network : answers.node->getNode().getNetworks())
            add("id=\"/\"", network.getName().cStr(), network.getNet());
    for (const NetMetric& metric : kNetMetrics) {
        out.family(metric.name, Type::counter, metric.help);
        for (const auto& [of, net] : all) out.sample(of, double((net.*metric.value)()));
    }
}

/// The disk that a folder of noded's is on: the mount that the most of its path is in.
std::optional<schema::NodeFigures::Filesystem::Reader> disk_of(const std::string& path,
                                                               const Answers& answers) {
    std::optional<schema::NodeFigures::Filesystem::Reader> found;
    for (const auto one : answers.node->getNode().getFilesystems()) {
        const std::string mount = one.getMountPoint().cStr();
        const bool inside = path.starts_with(mount) && (mount.ends_with('/') ||
                                                        path.substr(mount.size()).starts_with('/'));
        const bool nearer = !found || mount.size() >= found->getMountPoint().size();
        if (inside && nearer) found = one;
    }
    return found;
}

struct LayerRow {
    std::string labels;
    double limit, usage;
};

std::vector<LayerRow> layers_of(const std::vector<Named>& rows, const Answers& answers) {
    std::vector<LayerRow> layers;
    for (const Named& one : rows) {
        const auto layer = answers.layers.find(one.row.figures.getId().cStr());
        if (layer == answers.layers.end()) continue;
        const auto disk = disk_of(layer->second.folder, answers);
        const std::string device = disk ? disk->getDevice().cStr() : "";
        layers.push_back({joined(one.labels, labels({{"device", device}})),
                          disk ? double(disk->getSizeBytes()) : 0, double(layer->second.bytes)});
    }
    return layers;
}

void write_disk_space(const std::vector<Named>& rows, const Answers& answers, Exposition& out) {
    if (!answers.node) return;
    const std::vector<LayerRow> layers = layers_of(rows, answers);
    std::set<std::string> told;
    std::vector<std::pair<std::string, schema::NodeFigures::Filesystem::Reader>> disks;
    for (const auto one : answers.node->getNode().getFilesystems()) {
        std::string device = one.getDevice().cStr();
        if (!device.starts_with("/dev/") || !told.insert(device).second) continue;
        disks.emplace_back(labels({{"device", device}, {"id", "/"}}), one);
    }
    out.family("container_fs_limit_bytes", Type::gauge,
               "Number of bytes that can be consumed by the container on this filesystem.");
    for (const auto& [of, one] : disks) out.sample(of, double(one.getSizeBytes()));
    for (const LayerRow& layer : layers)
        if (layer.limit > 0) out.sample(layer.labels, layer.limit);
    out.family("container_fs_usage_bytes", Type::gauge,
               "Number of bytes that are consumed by the container on this filesystem.");
    for (const auto& [of, one] : disks)
        out.sample(of, double(one.getSizeBytes()) - double(one.getFreeBytes()));
    for (const LayerRow& layer : layers) out.sample(layer.labels, layer.usage);
    out.family("container_fs_inodes_total", Type::gauge, "Number of Inodes.");
    for (const auto& [of, one] : disks) out.sample(of, double(one.getFiles()));
    out.family("container_fs_inodes_free", Type::gauge, "Number of available Inodes.");
    for (const auto& [of, one] : disks) out.sample(of, double(one.getFilesFree()));
}

void write_page_faults(const std::vector<Named>& rows, Exposition& out) {
    out.family("container_memory_failures_total", Type::counter,
               "Cumulative count of memory allocation failures.");
    for (const Named& one : rows) {
        if (!one.row.figures.hasMemory()) continue;
        const auto memory = one.row.figures.getMemory();
        const auto say = [&](const char* kind, uint64_t value) {
            out.sample(joined(one.labels, labels({{"failure_type", kind}, {"scope", "container"}})),
                       double(value));
        };
        say("pgfault", memory.getPageFaults());
        say("pgmajfault", memory.getMajorPageFaults());
    }
}

/// Of those that did any: an idle container costs no lines. Item n of the kernel's list counts what
/// took less than 2^(n+1) µs and not less than 2^n; every second bound is enough here.
void write_block_io_durations(const std::vector<Named>& rows, Exposition& out) {
    constexpr unsigned kFirst = 6, kLast = 22, kStep = 2;  // 64 µs to 4.2 s
    out.family("noded_container_block_io_duration_seconds", Type::histogram,
               "Time that requests of block devices took, from the queue to the end.");
    for (const Named& one : rows) {
        if (!one.row.figures.hasKernel()) continue;
        const auto kernel = one.row.figures.getKernel();
        const auto items = kernel.getIoUsLog2();
        if (items.size() == 0) continue;
        double count = 0;
        unsigned next = 0;
        for (unsigned bound = kFirst; bound <= kLast; bound += kStep) {
            for (; next < bound && next < items.size(); ++next) count += double(items[next]);
            const std::string le = number(double(uint64_t{1} << bound) * kUs);
            out.sample("_bucket", joined(one.labels, labels({{"le", le}})), count);
        }
        for (; next < items.size(); ++next) count += double(items[next]);
        out.sample("_bucket", joined(one.labels, labels({{"le", "+Inf"}})), count);
        out.sample("_sum", one.labels, double(kernel.getIoNs()) * kNs);
        out.sample("_count", one.labels, count);
    }
}

void write_machine(const Answers& answers, Exposition& out) {
    if (!answers.node) return;
    const auto node = answers.node->getNode();
    const auto one = [&](const char* name, const char* help, double value) {
        out.family(name, Type::gauge, help);
        out.sample("", value);
    };
    one("machine_cpu_cores", "Number of logical CPU cores.", node.getCpus());
    one("machine_memory_bytes", "Amount of memory installed on the machine.",
        double(node.getMemory().getTotalBytes()));
    one("machine_swap_bytes", "Amount of swap memory available on the machine.",
        double(node.getMemory().getSwapTotalBytes()));
    if (!answers.info) return;
    out.family("cadvisor_version_info", Type::gauge,
               "A metric with a constant '1' value labeled by kernel version, OS version, docker "
               "version, cadvisor version & cadvisor revision.");
    const std::string version = std::string("noded ") + answers.info->getVersion().cStr();
    out.sample(labels({{"cadvisorVersion", version},
                       {"kernelVersion", answers.info->getKernel().cStr()}}),
               1);
}

}  // namespace

void write_containers(const Answers& answers, Exposition& out) {
    std::vector<Named> rows;
    for (const ContainerRow& row : answers.rows) rows.push_back({labels_of(row), row});
    for (const Metric& metric : kMetrics) {
        out.family(metric.name, metric.type, metric.help);
        for (const Named& one : rows)
            if (const Value value = metric.value(one.row))
                out.sample(joined(one.labels, metric.more), *value);
        write_root(metric.name, answers, out);
    }
    write_networks(rows, answers, out);
    write_page_faults(rows, out);
    write_block_io_durations(rows, out);
    write_disk_space(rows, answers, out);
    out.family("container_last_seen", Type::gauge,
               "Last time a container was seen by the exporter.");
    if (answers.node) {
        const double now = double(answers.node->getTimeNs()) * kNs;
        for (const Named& one : rows) out.sample(one.labels, now);
        out.sample("id=\"/\"", now);
    }
    write_machine(answers, out);
}

}  // namespace noded::gateway
