// One sample from files that stay open, see collector.h.
#include "plugins/stats/collector.h"

#include <algorithm>
#include <array>

#include "agent/base/check.h"
#include "agent/base/proc_text.h"
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

/// What was read of a file, which holds as long as its mark stays as it was, but not for ever: a
/// mark need not see all.
template <typename T>
struct Kept {
    uint64_t mark = 0;
    int64_t read_ns = 0;
    T value{};

    bool holds(uint64_t mark_now, int64_t now_ns, int64_t longest_ns) const {
        return mark_now != 0 && mark == mark_now && now_ns - read_ns < longest_ns;
    }
    void keep(uint64_t mark_now, int64_t now_ns, const T& read) {
        mark = mark_now;
        read_ns = now_ns;
        value = read;
    }
};

constexpr size_t kCacheLine = 64;

/// Nothing happens to what is not there.
void fetch(const void* memory, size_t bytes) {
    const auto* const begin = static_cast<const char*>(memory);
    if (begin == nullptr) return;
    for (size_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(begin + at);
}

/// A file that is opened when it is wanted, and closed when it was not for a while.
struct Lazy {
    FilePtr file;
    bool tried = false;
    bool used = false;  ///< since it was looked at who is used

    std::string_view read(Sys& sys, const std::string& folder, const char* name) {
        if (!tried && !folder.empty())
            if (auto opened = sys.open(folder + "/" + name)) file = std::move(*opened);
        tried = used = true;
        return text_in(file);
    }
    /// What was not there is not looked for again.
    void close() {
        if (file) *this = {};
    }
};

}  // namespace

/// The files of one run of a container, and what was read of them. What each sample looks at stands
/// first: of a container that does nothing the rest is touched by none.
struct Collector::Files {
    explicit Files(uint64_t key) : kept_part(key % 64) {}

    /// Not the same for all, who would be read in the same sample then.
    int64_t kept_for(int64_t longest_ns) const {
        return longest_ns / 2 + kept_part * (longest_ns / 128);
    }

    const int64_t kept_part;
    int64_t looked_ns = 0;  ///< when it was looked at which are used
    size_t open = 0;        ///< as long as none is read
    bool read_any = false;  ///< since they were counted
    Kept<Memory> kept_memory;
    Kept<std::optional<Io>> kept_io;
    Kept<Pressures> kept_pressure;
    Kept<std::optional<Net>> kept_net;  ///< of one with nothing but loopback
    static constexpr size_t kLooked = 6 * kCacheLine;  ///< up to here

    Places places;
    Lazy cpu_stat;                               ///< v2: the usage
    Lazy usage, usage_user, usage_system;        ///< v1, where there is no v2
    Lazy throttling;                             ///< v1
    Lazy memory_usage, memory_stat, memory_limit;
    Lazy pids, pids_limit;
    Lazy io;                                     ///< v2
    Lazy io_bytes, io_operations;                ///< v1
    Lazy pressure_cpu, pressure_memory, pressure_io;
    Lazy net;

    /// One of them.
    std::string_view read(Lazy& one, Sys& sys, const std::string& folder, const char* name) {
        read_any = true;
        return one.read(sys, folder, name);
    }
    bool v1_memory() const { return !places.memory.empty(); }
    std::array<Lazy*, 17> all() {
        return {&cpu_stat,     &usage,       &usage_user,     &usage_system, &throttling,
                &memory_usage, &memory_stat, &memory_limit,   &pids,         &pids_limit,
                &io,           &io_bytes,    &io_operations,  &pressure_cpu, &pressure_memory,
                &pressure_io,  &net};
    }
    size_t count() {
        if (std::exchange(read_any, false))
            open = static_cast<size_t>(
                std::ranges::count_if(all(), [](const Lazy* one) { return bool(one->file); }));
        return open;
    }
    void close() {
        for (Lazy* const one : all()) one->close();
        open = 0;
    }
    /// Those that are read only now and then are closed: each holds a page of the kernel's.
    void close_unused(int64_t now_ns) {
        if (count() == 0 || now_ns - looked_ns < limits::file_unused_ns) return;
        looked_ns = now_ns;
        read_any = true;
        for (Lazy* const one : all()) {
            if (!one->used) one->close();
            one->used = false;
        }
    }
};

Collector::Entry::Entry() = default;
Collector::Entry::Entry(Entry&&) noexcept = default;
Collector::Entry& Collector::Entry::operator=(Entry&&) noexcept = default;
Collector::Entry::~Entry() = default;

struct Collector::NodeFiles {
    FilePtr stat, meminfo, loadavg, diskstats, net, mounts;
    FilePtr pressure_cpu, pressure_memory, pressure_io;
    std::optional<std::vector<Filesystem>> mounted;  ///< nothing: to be read
    Kept<std::vector<Filesystem>> filesystems;

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

/// What was read or opened of a process before this call was the container's, and not of a later
/// one with its number.
bool Collector::runs_still(const Target& target) {
    const auto stat = read_once(*sys_, "/proc/" + std::to_string(target.pid) + "/stat");
    return stat && start_time_of(*stat) == target.pid_start_time;
}

/// Nothing when the process is not the container's any more.
std::unique_ptr<Collector::Files> Collector::find_files(const Target& target) {
    const auto groups = read_once(*sys_, "/proc/" + std::to_string(target.pid) + "/cgroup");
    if (!groups || !runs_still(target)) return nullptr;
    auto files = std::make_unique<Files>(target.who->key);
    files->places = places_of(mounts_, *groups, target.who->id);
    return files;
}

void Collector::read_cpu(Files& files, const Group& group, ContainerFigures& out) {
    const Places& places = files.places;
    out.cpu = group.cpu;
    if (!out.cpu)
        out.cpu = parse_cpu_stat(files.read(files.cpu_stat, *sys_, places.v2, "cpu.stat"));
    if (!out.cpu && !places.cpuacct.empty()) {
        const auto usage =
            parse_value(files.read(files.usage, *sys_, places.cpuacct, "cpuacct.usage"));
        if (!usage) return;
        const auto part = [&](Lazy& file, const char* name) {
            return parse_value(files.read(file, *sys_, places.cpuacct, name)).value_or(0);
        };
        out.cpu.emplace().total_ns = *usage;
        out.cpu->user_ns = part(files.usage_user, "cpuacct.usage_user");
        out.cpu->system_ns = part(files.usage_system, "cpuacct.usage_sys");
    }
    if (out.cpu && !group.throttling && !places.cpu.empty())
        parse_throttling_v1(files.read(files.throttling, *sys_, places.cpu, "cpu.stat"), *out.cpu);
}

void Collector::read_memory(Files& files, const Group& group, ContainerFigures& out) {
    const auto text_of = [&](Lazy& file, const char* v1_name, const char* v2_name) {
        const bool v1 = files.v1_memory();
        return files.read(file, *sys_, v1 ? files.places.memory : files.places.v2,
                          v1 ? v1_name : v2_name);
    };
    std::optional<uint64_t> usage = group.memory_usage, limit = group.memory_limit;
    if (!usage)
        usage = parse_value(
            text_of(files.memory_usage, "memory.usage_in_bytes", "memory.current"));
    if (!usage) return;
    if (!limit)
        limit = parse_value(text_of(files.memory_limit, "memory.limit_in_bytes", "memory.max"));
    Memory memory = files.kept_memory.value;
    if (!files.kept_memory.holds(group.memory_mark, out.monotonic_ns,
                                 files.kept_for(limits::kept_ns))) {
        memory = {};
        const std::string_view text = text_of(files.memory_stat, "memory.stat", "memory.stat");
        parse_memory_stat(text, files.v1_memory(), memory);
        files.kept_memory.keep(text.empty() ? 0 : group.memory_mark, out.monotonic_ns, memory);
    }
    memory.usage = *usage;
    memory.limit = limit.value_or(0);
    memory.working_set = memory.usage > memory.inactive ? memory.usage - memory.inactive : 0;
    out.memory = memory;
}

void Collector::read_io(Files& files, const Group& group, ContainerFigures& out) {
    const Places& places = files.places;
    out.io = files.kept_io.value;
    if (files.kept_io.holds(group.io_mark, out.monotonic_ns, files.kept_for(limits::io_kept_ns)))
        return;
    out.io = std::nullopt;
    if (!places.blkio.empty()) {
        const std::string bytes(files.read(files.io_bytes, *sys_, places.blkio,
                                                    "blkio.throttle.io_service_bytes_recursive"));
        if (!bytes.empty())
            out.io = parse_blkio(bytes, files.read(files.io_operations, *sys_, places.blkio,
                                                   "blkio.throttle.io_serviced_recursive"));
    } else {
        // A group that has done nothing has an empty file.
        const std::string_view text = files.read(files.io, *sys_, places.v2, "io.stat");
        if (files.io.file) out.io = parse_io_stat(text);
    }
    files.kept_io.keep(group.io_mark, out.monotonic_ns, out.io);
}

void Collector::read_pressure(Files& files, const Group& group, ContainerFigures& out) {
    auto& kept = files.kept_pressure;
    const bool just_read = group.pressure_mark != 0 && kept.mark != 0 && !pressure_anew_ &&
                           out.monotonic_ns - kept.read_ns < limits::pressure_ns;
    const bool holds =
        kept.holds(group.pressure_mark, out.monotonic_ns, files.kept_for(limits::kept_ns));
    if (holds) kept.value.monotonic_ns = out.monotonic_ns;  // it would be read the same
    out.pressure = kept.value;
    if (just_read || holds) return;
    const auto pressure = [&](Lazy& file, const char* name) {
        return parse_pressure(files.read(file, *sys_, files.places.v2, name));
    };
    out.pressure = {pressure(files.pressure_cpu, "cpu.pressure"),
                    pressure(files.pressure_memory, "memory.pressure"),
                    pressure(files.pressure_io, "io.pressure"), out.monotonic_ns};
    kept.keep(group.pressure_mark, out.monotonic_ns, out.pressure);
}

/// What interfaces count is in no mark: only that there are none but loopback is kept.
void Collector::read_network(const Target& target, Files& files, const Group& group,
                             ContainerFigures& out) {
    out.net = files.kept_net.value;
    if (out.net && files.kept_net.holds(group.network_mark, out.monotonic_ns,
                                        files.kept_for(limits::kept_ns)))
        return;
    out.net = std::nullopt;
    if (target.host_network) return;
    if (!files.net.tried) {
        files.net.tried = true;
        files.net.file = open("/proc/" + std::to_string(target.pid), "net/dev");
        if (files.net.file && !runs_still(target)) files.net.file.reset();
    }
    const std::string_view text = files.read(files.net, *sys_, "", "");
    if (text.empty()) return;
    out.networks = parse_net_dev(text);
    std::erase_if(out.networks, [](const Network& network) { return network.name == "lo"; });
    out.net = sum_of(out.networks);
    files.kept_net.keep(out.networks.empty() ? group.network_mark : 0, out.monotonic_ns, out.net);
}

bool Collector::read_container(const Target& target, Files& files, const Counted* counted,
                               ContainerFigures& out) {
    static const Group none;
    const Group& group = counted != nullptr ? counted->group : none;
    out.who = target.who.get();
    out.run = target.run;
    out.monotonic_ns = group.cpu ? group.monotonic_ns : sys_->monotonic_ns();
    read_cpu(files, group, out);
    read_memory(files, group, out);
    out.pids = group.pids;
    if (!out.pids) {
        const std::string& folder =
            files.places.pids.empty() ? files.places.v2 : files.places.pids;
        if (const auto current = parse_value(files.read(files.pids, *sys_, folder, "pids.current")))
            out.pids = {
                *current,
                parse_value(files.read(files.pids_limit, *sys_, folder, "pids.max")).value_or(0)};
    }
    // A process's namespace outlives its cgroup as long as the file is open: without the cgroup
    // there is no container.
    if (!out.cpu && !out.memory && !out.pids) return false;
    read_io(files, group, out);
    read_pressure(files, group, out);
    read_network(target, files, group, out);
    if (counted != nullptr) out.kernel = counted->kernel;
    files.close_unused(out.monotonic_ns);
    return true;
}

/// A look at each is dear, and they are never in a hurry.
std::vector<Filesystem> Collector::measured_filesystems() {
    auto& kept = node_->filesystems;
    const int64_t now = sys_->monotonic_ns();
    if (kept.mark != 0 && now - kept.read_ns < limits::filesystems_ns) return kept.value;
    if ((node_->mounts && node_->mounts->changed()) || !node_->mounted)
        node_->mounted = parse_filesystems(text_in(node_->mounts));
    std::vector<Filesystem> measured;
    for (Filesystem filesystem : *node_->mounted)
        if (sys_->measure(filesystem)) measured.push_back(std::move(filesystem));
    kept.keep(1, now, measured);
    return measured;
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
    node.filesystems = measured_filesystems();
    node.load = parse_loadavg(text_in(node_->loadavg));
    node.disks = parse_diskstats(text_in(node_->diskstats));
    node.networks = parse_net_dev(text_in(node_->net));
    node.pressure = {parse_pressure(text_in(node_->pressure_cpu)),
                     parse_pressure(text_in(node_->pressure_memory)),
                     parse_pressure(text_in(node_->pressure_io)), sys_->monotonic_ns()};
}

/// False when it has none: it ended.
bool Collector::sample_container(const Target& target, Entry& entry, Sample& sample) {
    if (counted_ != nullptr && entry.counted == nullptr && entry.cgroup_id != 0) {
        const auto found = counted_->find(entry.cgroup_id);
        if (found != counted_->end()) entry.counted = &found->second;
    }
    ContainerFigures& figures = sample.containers.emplace_back();
    if (read_container(target, *entry.files, counted_ != nullptr ? entry.counted : nullptr,
                       figures))
        return true;
    sample.containers.pop_back();
    return false;
}

void Collector::follow_scheduler(bool follow) {
    if (counters_) counters_->follow_scheduler(follow);
}

void Collector::read_counters() {
    counted_ = nullptr;
    if (!counters_) return;
    if (counters_->reads_groups())
        std::erase_if(above_, [](const auto& entry) { return !entry.second->read(); });
    counted_ = &counters_->read(updates_all_);
}

/// What is known of a container was last looked at a sample ago and is in no cache: it is on its
/// way while those before it are dealt with.
void Collector::fetch_ahead(size_t at) const {
    constexpr size_t kEntries = 8, kFiles = 4;
    if (at + kEntries < met_.size()) __builtin_prefetch(met_[at + kEntries]);
    if (at + kFiles >= met_.size()) return;
    const Entry& next = *met_[at + kFiles];
    fetch(next.files.get(), Files::kLooked);
    fetch(next.counted, sizeof *next.counted);
}

void Collector::take(const Targets& all, bool node_wanted, bool follow, Sample& sample) {
    const std::vector<Target>& targets = *all;
    sample.containers.clear();
    sample = Sample{.targets = all, .containers = std::move(sample.containers)};
    sample.monotonic_ns = sys_->monotonic_ns();
    sample.time_ns = sys_->realtime_ns();
    if (node_wanted) read_node(sample.node);
    const bool known = settled_ && known_ == all;
    sample.kernel = known ? kernel_state() : watch(targets);
    known_ = all;
    follow_scheduler(follow);
    if (std::ranges::any_of(targets, &Target::wanted)) read_counters();
    sample.containers.reserve(targets.size());
    size_t open = above_.size() + (node_ ? node_->count() : 0);
    for (size_t i = 0; i < targets.size(); ++i) {
        const Target& target = targets[i];
        Entry& entry = *met_[i];
        fetch_ahead(i);
        if (!entry.files && target.wanted) entry.files = find_files(target);
        if (!entry.files) continue;
        if (target.wanted && !sample_container(target, entry, sample)) {
            entry.files.reset();
            continue;
        }
        const size_t count = entry.files->count();
        if (open + count > files_open_max_) entry.files->close();  // opened anew each time
        else open += count;
    }
    pressure_anew_ = false;
    sample.open_files = open;
    sample.took_ns = sys_->monotonic_ns() - sample.monotonic_ns;
}

/// The container's group in the v2 tree, if there is one and its process did not end.
void Collector::find_group(const Target& target, Entry& entry) {
    ++entry.tries;
    const std::string proc = "/proc/" + std::to_string(target.pid);
    const auto groups = read_once(*sys_, proc + "/cgroup");
    if (!groups || !runs_still(target)) return;
    const Places places = places_of(mounts_, *groups, target.who->id);
    if (places.v2.empty()) return;
    Watch watch;
    for (const Mount& mount : mounts_)
        if (mount.controllers.empty())
            watch.level = int(
                std::ranges::count(std::string_view(places.v2).substr(mount.path.size()), '/'));
    watch.cgroup_id = sys_->cgroup_id(places.v2);
    watch.blkio_id = places.blkio.empty() ? 0 : sys_->cgroup_id(places.blkio);
    watch.v2 = places.v2;
    const auto own_or_v2 = [&](const std::string& own) { return own.empty() ? places.v2 : own; };
    watch.cpu = own_or_v2(places.cpu);
    watch.memory = own_or_v2(places.memory);
    watch.pids = own_or_v2(places.pids);
    if (!target.host_network) watch.network = proc + "/ns/net";
    if (watch.cgroup_id == 0 || !counters_->watch(watch)) return;
    entry.cgroup_id = watch.cgroup_id;
    if (!counters_->reads_groups()) return;
    for (const auto& [folder, name] : {std::pair(watch.v2, "cpu.stat"),
                                       std::pair(watch.memory, "memory.stat")}) {
        const std::string reader = who_updates(folder);
        const std::string path = reader + "/" + name;
        // One that was made anew under the same name is another one.
        if (const auto known = above_.find(path); known != above_.end()) {
            if (known->second->read()) continue;
            above_.erase(known);
        }
        FilePtr file = open(reader, name);
        updates_all_ &= file != nullptr || !runs_still(target);
        if (file) above_.emplace(path, std::move(file));
    }
}

/// The group whose files bring a container's figures up to date: the one above, for all that are in
/// it. The root of a hierarchy has no such files, or figures that it takes from elsewhere: of a
/// container right below it its own are read.
std::string Collector::who_updates(const std::string& folder) const {
    std::string parent = folder.substr(0, folder.rfind('/'));
    const bool is_root = std::ranges::find(mounts_, parent, &Mount::path) != mounts_.end();
    return is_root ? folder : parent;
}

void Collector::load_counters() {
    counters_tried_ = true;
    const auto v2 = std::ranges::find_if(
        mounts_, [](const Mount& mount) { return mount.controllers.empty(); });
    Result<std::unique_ptr<Counters>> loaded =
        fail("no cgroup v2 tree is mounted, by whose groups containers are known");
    if (v2 != mounts_.end()) loaded = sys_->load_counters(v2->path);
    if (loaded) counters_ = std::move(*loaded);
    else kernel_.warning = "nothing is counted by eBPF: " + loaded.error().message;
}

void Collector::forget(const Entry& entry) {
    if (entry.cgroup_id != 0) counters_->forget(entry.cgroup_id);
}

KernelState Collector::watch_more(const std::vector<Target>& targets) {
    if (!counters_tried_) load_counters();
    met_.clear();
    known_ = nullptr;
    settled_ = true;
    for (const Target& target : targets) {
        Entry& entry = entries_[target.who->key];
        met_.push_back(&entry);
        if (entry.run != target.run) {
            forget(entry);
            entry = {};  // the files of an earlier run are closed first
            entry.run = target.run;
        }
        entry.round = round_;
        if (!counters_ || entry.cgroup_id != 0 || entry.tries >= limits::watch_tries_max) continue;
        find_group(target, entry);
        settled_ &= entry.cgroup_id != 0;
    }
    return kernel_state();
}

KernelState Collector::watch(const std::vector<Target>& targets) {
    ++round_;
    const KernelState state = watch_more(targets);
    if (entries_.size() == targets.size()) return state;
    std::erase_if(entries_, [&](const auto& item) {
        if (item.second.round == round_) return false;
        forget(item.second);
        return true;
    });
    return state;
}

void Collector::release() {
    follow_scheduler(false);
    counted_ = nullptr;
    for (auto& [key, entry] : entries_) entry.files.reset();
    node_.reset();
}

}  // namespace noded::stats
