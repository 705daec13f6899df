// One sample from files that stay open, see collector.h.
#include "plugins/stats/collector.h"

#include <algorithm>

#include "agent/base/check.h"
#include "plugins/stats/limits.h"
#include "plugins/stats/parse.h"

namespace noded::stats {

using FilePtr = std::unique_ptr<File>;

namespace {

/// What stands in a file; empty when there is none, or its container is gone.
std::string_view text_in(const FilePtr& file) {
    if (!file) return {};
    const auto text = file->read();
    return text ? *text : std::string_view();
}

size_t count_of(std::initializer_list<const FilePtr*> files) {
    return static_cast<size_t>(
        std::count_if(files.begin(), files.end(), [](const FilePtr* file) { return bool(*file); }));
}

}  // namespace

/// The files of one run of a container.
struct Collector::Files {
    uint32_t run = 0;
    bool v1_memory = false;
    FilePtr cpu_stat;                               ///< v2: the usage
    FilePtr usage, usage_user, usage_system;        ///< v1, where there is no v2
    FilePtr throttling;                             ///< v1
    FilePtr memory_usage, memory_stat, memory_limit;
    FilePtr pids, pids_limit;
    FilePtr io;                                     ///< v2
    FilePtr io_bytes, io_operations;                ///< v1
    FilePtr pressure_cpu, pressure_memory, pressure_io;
    FilePtr net;

    size_t count() const {
        return count_of({&cpu_stat, &usage, &usage_user, &usage_system, &throttling, &memory_usage,
                         &memory_stat, &memory_limit, &pids, &pids_limit, &io, &io_bytes,
                         &io_operations, &pressure_cpu, &pressure_memory, &pressure_io, &net});
    }
};

struct Collector::NodeFiles {
    FilePtr stat, meminfo, loadavg, diskstats, net, mounts;
    FilePtr pressure_cpu, pressure_memory, pressure_io;

    size_t count() const {
        return count_of({&stat, &meminfo, &loadavg, &diskstats, &net, &mounts, &pressure_cpu,
                         &pressure_memory, &pressure_io});
    }
};

Collector::Collector(std::shared_ptr<Sys> sys) : sys_(std::move(sys)) {
    files_open_max_ =
        std::min(sys_->files_max() / limits::files_open_share, limits::files_open_max);
    discover();
}

Collector::~Collector() = default;

Result<std::string> read_once(Sys& sys, const std::string& path) {
    const FilePtr file = TRY(sys.open(path));
    return std::string(TRY(file->read()));
}

void Collector::discover() {
    const auto mountinfo = read_once(*sys_, "/proc/self/mountinfo");
    if (mountinfo) mounts_ = parse_mounts(*mountinfo);
    else warnings_.push_back("containers have no figures: " + mountinfo.error().message);
    const auto look = [&](const char* what, const char* controller) {
        for (const Mount& mount : mounts_) {
            if (!mount.has(controller)) continue;
            return sources_.push_back(std::string(what) + " " + mount.path);
        }
        for (const Mount& mount : mounts_) {
            if (!mount.controllers.empty()) continue;
            return sources_.push_back(std::string(what) + " " + mount.path);
        }
        warnings_.push_back(std::string("containers have no figures of ") + what +
                            ": this machine has no cgroup hierarchy with the controller " +
                            controller);
    };
    look("cpu", "cpuacct");
    look("memory", "memory");
    look("pids", "pids");
    look("io", "blkio");
    if (const auto psi = sys_->open("/proc/pressure/cpu"); psi) sources_.push_back("pressure PSI");
    else warnings_.push_back("there are no figures of pressure: " + psi.error().message);
}

FilePtr Collector::open(const std::string& folder, const char* name) {
    if (folder.empty()) return nullptr;
    auto file = sys_->open(folder + "/" + name);
    return file ? std::move(*file) : nullptr;
}

/// Nothing when the process is not the container's any more.
std::unique_ptr<Collector::Files> Collector::open_files(const Target& target) {
    const std::string proc = "/proc/" + std::to_string(target.pid);
    const auto groups = read_once(*sys_, proc + "/cgroup");
    if (!groups) return nullptr;
    auto files = std::make_unique<Files>();
    files->run = target.run;
    const Places places = places_of(mounts_, *groups, target.id);
    files->cpu_stat = open(places.v2, "cpu.stat");
    if (!files->cpu_stat) {
        files->usage = open(places.cpuacct, "cpuacct.usage");
        files->usage_user = open(places.cpuacct, "cpuacct.usage_user");
        files->usage_system = open(places.cpuacct, "cpuacct.usage_sys");
    }
    files->throttling = open(places.cpu, "cpu.stat");
    files->v1_memory = !places.memory.empty();
    const std::string& memory = files->v1_memory ? places.memory : places.v2;
    files->memory_usage =
        open(memory, files->v1_memory ? "memory.usage_in_bytes" : "memory.current");
    files->memory_stat = open(memory, "memory.stat");
    files->memory_limit = open(memory, files->v1_memory ? "memory.limit_in_bytes" : "memory.max");
    const std::string& pids = places.pids.empty() ? places.v2 : places.pids;
    files->pids = open(pids, "pids.current");
    files->pids_limit = open(pids, "pids.max");
    files->io_bytes = open(places.blkio, "blkio.throttle.io_service_bytes_recursive");
    files->io_operations = open(places.blkio, "blkio.throttle.io_serviced_recursive");
    if (places.blkio.empty()) files->io = open(places.v2, "io.stat");
    files->pressure_cpu = open(places.v2, "cpu.pressure");
    files->pressure_memory = open(places.v2, "memory.pressure");
    files->pressure_io = open(places.v2, "io.pressure");
    if (!target.host_network) files->net = open(proc, "net/dev");
    // Only now is it known that all this was of the container's process, and not of a later one
    // with its number.
    const auto stat = read_once(*sys_, proc + "/stat");
    if (!stat || start_time_of(*stat) != target.pid_start_time) return nullptr;
    return files;
}

bool Collector::read_container(const Target& target, Files& files, ContainerFigures& out) {
    out.id = target.id;
    out.name = target.name;
    out.image = target.image;
    out.run = target.run;
    out.monotonic_ns = sys_->monotonic_ns();
    out.cpu = parse_cpu_stat(text_in(files.cpu_stat));
    if (files.usage) {
        if (const auto usage = parse_value(text_in(files.usage))) {
            out.cpu.emplace().total_ns = *usage;
            out.cpu->user_ns = parse_value(text_in(files.usage_user)).value_or(0);
            out.cpu->system_ns = parse_value(text_in(files.usage_system)).value_or(0);
        }
    }
    if (out.cpu && files.throttling) parse_throttling_v1(text_in(files.throttling), *out.cpu);
    if (const auto usage = parse_value(text_in(files.memory_usage))) {
        out.memory.emplace().usage = *usage;
        parse_memory_stat(text_in(files.memory_stat), files.v1_memory, *out.memory);
        out.memory->limit = parse_value(text_in(files.memory_limit)).value_or(0);
    }
    if (const auto current = parse_value(text_in(files.pids)))
        out.pids = {*current, parse_value(text_in(files.pids_limit)).value_or(0)};
    if (files.io_bytes) {
        const std::string bytes(text_in(files.io_bytes));
        if (!bytes.empty()) out.io = parse_blkio(bytes, text_in(files.io_operations));
    } else if (files.io) {
        if (const auto text = files.io->read()) out.io = parse_io_stat(*text);
    }
    out.pressure = {parse_pressure(text_in(files.pressure_cpu)),
                    parse_pressure(text_in(files.pressure_memory)),
                    parse_pressure(text_in(files.pressure_io))};
    // A process's namespace outlives its cgroup as long as the file is open: without the cgroup
    // there is no container.
    if (!out.cpu && !out.memory && !out.pids) return false;
    if (const auto text = text_in(files.net); !text.empty())
        out.net = sum_of(parse_net_dev(text));
    return true;
}

void Collector::read_node(NodeFigures& node) {
    if (!node_) {
        node_ = std::make_unique<NodeFiles>();
        node_->stat = open("/proc", "stat");
        node_->meminfo = open("/proc", "meminfo");
        node_->loadavg = open("/proc", "loadavg");
        node_->diskstats = open("/proc", "diskstats");
        node_->net = open("/proc/self", "net/dev");
        node_->mounts = open("/proc/self", "mountinfo");
        node_->pressure_cpu = open("/proc/pressure", "cpu");
        node_->pressure_memory = open("/proc/pressure", "memory");
        node_->pressure_io = open("/proc/pressure", "io");
    }
    parse_stat(text_in(node_->stat), sys_->ticks_per_second(), node);
    const std::string_view meminfo = text_in(node_->meminfo);
    node.memory = parse_meminfo(meminfo);
    node.meminfo = parse_meminfo_items(meminfo);
    for (Filesystem& filesystem : parse_filesystems(text_in(node_->mounts)))
        if (sys_->measure(filesystem)) node.filesystems.push_back(std::move(filesystem));
    node.load = parse_loadavg(text_in(node_->loadavg));
    node.disks = parse_diskstats(text_in(node_->diskstats));
    node.networks = parse_net_dev(text_in(node_->net));
    node.pressure = {parse_pressure(text_in(node_->pressure_cpu)),
                     parse_pressure(text_in(node_->pressure_memory)),
                     parse_pressure(text_in(node_->pressure_io))};
}

/// False when it has none: it ended.
bool Collector::sample_container(const Target& target, Files& files, Sample& sample) {
    ContainerFigures figures;
    if (!read_container(target, files, figures)) return false;
    const auto watched = watched_.find(target.id);
    if (watched != watched_.end()) {
        const auto counted = kernel_figures_.find(watched->second.cgroup_id);
        if (counted != kernel_figures_.end()) figures.kernel = counted->second;
    }
    sample.containers.push_back(std::move(figures));
    sample.runs.emplace(target.id, target.run);
    return true;
}

void Collector::follow_scheduler(bool follow) {
    if (counters_) counters_->follow_scheduler(follow);
}

Sample Collector::take(const std::vector<Target>& targets, bool node_wanted, bool follow) {
    Sample sample;
    sample.monotonic_ns = sys_->monotonic_ns();
    sample.time_ns = sys_->realtime_ns();
    if (node_wanted) read_node(sample.node);
    sample.kernel = watch(targets);
    if (counters_) {
        if (follow) counters_->follow_scheduler(true);
        kernel_figures_ = counters_->read();
    }
    std::map<std::string, std::unique_ptr<Files>> kept;
    size_t open = node_ ? node_->count() : 0;
    for (const Target& target : targets) {
        auto before = files_.extract(target.id);
        std::unique_ptr<Files> files;
        if (!before.empty() && before.mapped()->run == target.run)
            files = std::move(before.mapped());
        before = {};  // the files of an earlier run are closed first
        if (!files && target.wanted) files = open_files(target);
        if (!files || (target.wanted && !sample_container(target, *files, sample))) continue;
        const size_t count = files->count();
        if (open + count > files_open_max_) continue;  // opened anew each time
        open += count;
        kept.emplace(target.id, std::move(files));
    }
    files_ = std::move(kept);
    sample.open_files = open;
    sample.took_ns = sys_->monotonic_ns() - sample.monotonic_ns;
    return sample;
}

/// The container's group in the v2 tree; 0 if there is none, or its process ended.
uint64_t Collector::find_cgroup(const Target& target, uint64_t& blkio_id) {
    if (counters_tried_ && !counters_) return 0;
    const std::string proc = "/proc/" + std::to_string(target.pid);
    const auto groups = read_once(*sys_, proc + "/cgroup");
    const auto stat = read_once(*sys_, proc + "/stat");
    if (!groups || !stat || start_time_of(*stat) != target.pid_start_time) return 0;
    const Places places = places_of(mounts_, *groups, target.id);
    if (places.v2.empty()) return 0;
    if (!counters_tried_) count_in_kernel(places);
    if (!counters_) return 0;
    blkio_id = places.blkio.empty() ? 0 : sys_->cgroup_id(places.blkio);
    return sys_->cgroup_id(places.v2);
}

/// All containers are at the same depth of the tree.
void Collector::count_in_kernel(const Places& places) {
    counters_tried_ = true;
    for (const Mount& mount : mounts_) {
        if (!mount.controllers.empty()) continue;
        const std::string_view below = std::string_view(places.v2).substr(mount.path.size());
        auto loaded = sys_->load_counters(mount.path, int(std::ranges::count(below, '/')));
        if (loaded) counters_ = std::move(*loaded);
        else kernel_.warning = "nothing is counted by eBPF: " + loaded.error().message;
    }
}

KernelState Collector::watch(const std::vector<Target>& targets) {
    std::map<std::string, Watched> still;
    for (const Target& target : targets) {
        const auto before = watched_.find(target.id);
        const bool same_run = before != watched_.end() && before->second.run == target.run;
        if (same_run && (before->second.cgroup_id != 0 ||
                         before->second.tries >= limits::watch_tries_max)) {
            still.insert(watched_.extract(before));
            continue;
        }
        uint64_t blkio_id = 0;
        Watched watched{target.run, find_cgroup(target, blkio_id),
                        same_run ? before->second.tries + 1 : 1};
        if (watched.cgroup_id != 0 && !counters_->watch(watched.cgroup_id, blkio_id))
            watched.cgroup_id = 0;
        still.emplace(target.id, watched);
    }
    for (const auto& [id, gone] : watched_)
        if (gone.cgroup_id != 0) counters_->forget(gone.cgroup_id);
    watched_ = std::move(still);
    return counters_ ? counters_->state() : kernel_;
}

void Collector::release() {
    follow_scheduler(false);
    kernel_figures_.clear();
    files_.clear();
    node_.reset();
}

}  // namespace noded::stats
