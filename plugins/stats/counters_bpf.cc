// The eBPF programs of bpf/containers.bpf.c, loaded and read; see counters.h.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "bpf/containers.h"
#include "bpf/containers_object.h"
#include "plugins/stats/counters.h"
#include "plugins/stats/libbpf.h"
#include "plugins/stats/limits.h"

namespace noded::stats {
namespace {

using Value = noded_container_counters;

/// What libbpf and the kernel's verifier say while a program is loaded. libbpf has one place for
/// this in a process, and the plugin one job at a time.
std::string said;

int keep_what_is_said(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) return 0;
    va_list again;
    va_copy(again, arguments);
    const int size = vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (size <= 0) return 0;
    // The verifier's whole log comes as one text.
    const size_t before = said.size();
    said.resize(before + size_t(size) + 1);
    vsnprintf(said.data() + before, size_t(size) + 1, format, arguments);
    said.pop_back();
    // The verifier's last words tell why.
    if (said.size() > limits::verifier_bytes_max)
        said.erase(0, said.size() - limits::verifier_bytes_max);
    return 0;
}

std::string last_words() {
    std::string text = std::exchange(said, {});
    for (char& c : text)
        if (c == '\n') c = ' ';
    while (text.ends_with(' ')) text.pop_back();
    return text.empty() ? text : ": " + text;
}

struct Close {
    void operator()(bpf_object* object) const { lib.bpf_object__close(object); }
    void operator()(bpf_link* link) const { lib.bpf_link__destroy(link); }
    void operator()(btf* types) const { lib.btf__free(types); }
};
using Object = std::unique_ptr<bpf_object, Close>;
using Link = std::unique_ptr<bpf_link, Close>;
using Types = std::unique_ptr<btf, Close>;

/// Why the kernel did not take a program, by its name.
using Refused = std::map<std::string, std::string>;

int64_t clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::vector<bpf_program*> programs_of(const bpf_object* object) {
    std::vector<bpf_program*> programs;
    for (bpf_program* program = nullptr;
         (program = lib.bpf_object__next_program(object, program)) != nullptr;)
        programs.push_back(program);
    return programs;
}

bool of_scheduler(const bpf_program* program) {
    const std::string section = lib.bpf_program__section_name(program);
    return section == "tp_btf/sched_switch";
}

Kernel kernel_of(const Value& value) {
    Kernel kernel;
    kernel.received_bytes = value.hot.received_bytes;
    kernel.received_packets = value.hot.received_packets;
    kernel.sent_bytes = value.hot.sent_bytes;
    kernel.sent_packets = value.hot.sent_packets;
    kernel.tcp_retransmits = value.tcp_retransmits;
    kernel.tcp_connects = value.tcp_connects;
    kernel.io = {value.read_bytes, value.write_bytes, value.reads, value.writes};
    kernel.io_ns = value.io_ns;
    std::ranges::copy(value.io_us_log2, kernel.io_us_log2.begin());
    kernel.execs = value.execs;
    kernel.exits = value.exits;
    kernel.oom_kills = value.oom_kills;
    kernel.involuntary_switches = value.hot.involuntary_switches;
    kernel.wait_ns = value.hot.wait_ns;
    std::ranges::copy(value.hot.wait_us_log2, kernel.wait_us_log2.begin());
    kernel.waits = std::accumulate(kernel.wait_us_log2.begin(), kernel.wait_us_log2.end(),
                                   uint64_t{0});
    return kernel;
}

bool of_packets(const bpf_program* program) {
    return std::string_view(lib.bpf_program__section_name(program)).starts_with("cgroup_skb");
}

bool of_connects(const bpf_program* program) {
    return std::string_view(lib.bpf_program__section_name(program)).starts_with("cgroup/connect");
}

/// Every field is a counter of 64 bits.
template <typename Struct>
void add_to(Struct& sum, const Struct& more) {
    using Fields = std::array<uint64_t, sizeof(Struct) / sizeof(uint64_t)>;
    auto fields = std::bit_cast<Fields>(sum);
    const auto added = std::bit_cast<Fields>(more);
    for (size_t i = 0; i < fields.size(); ++i) fields[i] += added[i];
    sum = std::bit_cast<Struct>(fields);
}

Value sum_of(std::span<const Value> per_cpu) {
    Value sum{};
    for (const Value& value : per_cpu) add_to(sum, value);
    return sum;
}

uint32_t slot_of(uint64_t cgroup_id) { return uint32_t(cgroup_id % NODED_SLOTS); }

/// What is attached to a program's own place, once.
bool is_hook(const bpf_program* program) {
    const std::string section = lib.bpf_program__section_name(program);
    return section != "syscall";
}

/// What a map holds, in memory that the programs have, too.
template <typename T, size_t count = 1>
class Shared {
public:
    Shared() = default;
    /// Null if the kernel does not let it, with errno.
    explicit Shared(int map)
        : at_(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)) {
        if (at_ == MAP_FAILED) at_ = nullptr;
    }
    Shared(Shared&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    Shared& operator=(Shared&& other) noexcept {
        std::swap(at_, other.at_);
        return *this;
    }
    ~Shared() {
        if (at_ != nullptr) munmap(at_, kBytes);
    }
    explicit operator bool() const { return at_ != nullptr; }
    T* get() const { return static_cast<T*>(at_); }
    T* operator->() const { return get(); }
    T& operator[](size_t i) const { return get()[i]; }

private:
    static constexpr size_t kBytes = count * sizeof(T);
    void* at_ = nullptr;
};
using Rows = Shared<noded_row, NODED_ROWS>;

class BpfCounters final : public Counters {
public:
    BpfCounters(Object object, const Fd& root, const Refused& refused)
        : object_(std::move(object)) {
        blkio_ = lib.bpf_object__find_map_fd_by_name(object_.get(), "blkio_groups");
        map_ = lib.bpf_object__find_map_fd_by_name(object_.get(), "counters");
        places_ = lib.bpf_object__find_map_fd_by_name(object_.get(), "places");
        slots_ = lib.bpf_object__find_map_fd_by_name(object_.get(), "slots");
        const int cpus = lib.libbpf_num_possible_cpus();
        cpus_ = cpus > 0 ? static_cast<size_t>(cpus) : 1;
        zero_.resize(cpus_);
        for (bpf_program* program : programs_of(object_.get())) {
            const auto words = refused.find(lib.bpf_program__name(program));
            if (words != refused.end()) lack(program, words->second);
            else if (!lib.bpf_program__autoload(program))
                lack(program, "this kernel has no such tracepoint");
            else if (is_hook(program) && !of_scheduler(program) && !of_packets(program))
                counts_io_ |= attach(program, links_, of_connects(program) ? root.get() : -1) &&
                              of_disks(program);
        }
        for (bpf_map* map = nullptr;
             (map = lib.bpf_object__next_map(object_.get(), map)) != nullptr;)
            if (std::string_view(lib.bpf_map__name(map)).ends_with(".bss"))
                watching_ = Shared<noded_watching>(lib.bpf_map__fd(map));
        if (!watching_) lacks_ += std::string("; what is watched: ") + strerror(errno);
        begin_to_read_groups();
    }

    Status watch(const Watch& watch) override {
        const uint64_t id = watch.cgroup_id;
        int error = add(map_, id, zero_.data());
        // The map may be full of groups that are named as ours are, and are not; nobody may have
        // looked at it for long.
        for (int tries = 0; error == E2BIG && tries < 3; ++tries) {
            read_counters(false);
            forget_strangers(INT64_MAX);
            error = add(map_, id, zero_.data());
        }
        if (error != 0) return fail_errno(error, "count in the kernel for another cgroup");
        note_group_at(watch.level);
        Watched& watched = watched_[id];
        watched.blkio_id = watch.blkio_id != 0 ? watch.blkio_id : id;
        if (const int why = add(blkio_, watched.blkio_id, &id); why != 0)
            return fail_errno(why, "count requests of block devices for another cgroup");
        if (table_.try_emplace(id).second) in_table_.clear();
        strangers_.erase(id);
        if (watch.network.empty()) count_packets(watched, watch.v2);
        take_slot(id);
        if (reads_groups()) find(watch);
        return {};
    }

    void forget(uint64_t cgroup_id) override {
        const auto found = watched_.find(cgroup_id);
        if (found == watched_.end()) return;
        lib.bpf_map_delete_elem(places_, &cgroup_id);
        lib.bpf_map_delete_elem(map_, &cgroup_id);
        lib.bpf_map_delete_elem(blkio_, &found->second.blkio_id);
        leave_slot(cgroup_id);
        leave_packets(found->second);
        watched_.erase(found);
        table_.erase(cgroup_id);
        in_table_.clear();
    }

    void follow_scheduler(bool follow) override {
        if (follow == following_) return;
        following_ = follow;
        scheduler_links_.clear();
        if (follow) attach_those(of_scheduler, scheduler_links_);
    }

    const Table& read(bool updated) override;
    bool reads_groups() const override { return bool(rows_); }

    KernelState state() const override {
        KernelState state;
        state.source = "kernel eBPF";
        if (!lacks_.empty()) state.warning = "the kernel does not count everything" + lacks_;
        return state;
    }

private:
    using Place = std::pair<std::string, uint64_t>;  ///< a folder and its number
    struct Watched {
        uint64_t blkio_id = 0;
        std::optional<Place> above;  ///< if its packets are counted
    };
    /// A group with containers in the node's network right below it.
    struct Above {
        size_t containers = 0;
        std::vector<Link> links;  ///< none: those of a group further above are enough
    };

    static bool of_disks(const bpf_program* program) {
        return std::string_view(lib.bpf_program__section_name(program)) ==
               "tp_btf/block_rq_complete";
    }
    static int add(int map, uint64_t key, const void* value);
    void note_group_at(int level);
    void begin_to_read_groups();
    void find(const Watch& watch);
    void take_slot(uint64_t id);
    void leave_slot(uint64_t id);
    bool set_slot(uint64_t id, uint64_t owner);
    void add_slot(uint64_t id, Value& sum);
    bool read_rows(bool updated);
    size_t read_some(std::span<Table::value_type* const> some, bool updated);
    void read_counters(bool figures_too);
    void take(Counted& counted, const Value& value) const;
    void take_counters(size_t count, bool figures_too);
    void forget_strangers(int64_t met_until_ns);

    void attach_those(bool (*chosen)(const bpf_program*), std::vector<Link>& links,
                      int group = -1) {
        for (bpf_program* program : programs_of(object_.get()))
            if (chosen(program) && lib.bpf_program__autoload(program))
                attach(program, links, group);
    }
    void count_packets(Watched& watched, const std::string& v2);
    void leave_packets(const Watched& watched);
    void attach_above();
    /// `group`: of those that are attached to one.
    bool attach(bpf_program* program, std::vector<Link>& links, int group = -1) {
        said.clear();
        Link link(group >= 0 ? lib.bpf_program__attach_cgroup(program, group)
                             : lib.bpf_program__attach(program));
        if (!link) {
            lack(program, strerror(errno) + last_words());
            return false;
        }
        links.push_back(std::move(link));
        return true;
    }
    void lack(const bpf_program* program, const std::string& why) {
        // What user space runs hangs on nothing that would tell what it is.
        const std::string_view section = lib.bpf_program__section_name(program);
        const std::string text =
            "; " + std::string(section == "syscall" ? lib.bpf_program__name(program) : section) +
            ": " + why;
        if (lacks_.find(text) == std::string::npos) lacks_ += text;
    }

    Object object_;
    std::vector<Link> links_, scheduler_links_;
    std::map<Place, Above> above_;
    int find_ = -1, figures_ = -1;
    Shared<noded_watching> watching_;
    Rows rows_;  ///< null where the kernel does not let its figures be read
    std::string lacks_;
    int map_ = -1, blkio_ = -1, places_ = -1, slots_ = -1;
    std::unordered_map<uint64_t, Watched> watched_;  ///< by cgroup id, as the next
    Table table_;
    std::vector<Table::value_type*> in_table_;  ///< all of it; empty: to be made anew
    std::map<uint64_t, int64_t> strangers_;  ///< when a group was met that nobody asks for
    size_t cpus_ = 1;
    std::vector<Value> zero_;  ///< of each CPU
    bool following_ = false;
    bool counts_io_ = false;
    std::vector<uint64_t> keys_;  ///< of one batch, as the values
    std::vector<Value> values_;
    std::array<uint64_t, NODED_SLOTS> slot_owners_{};  ///< by cgroup id; 0: it is free
    std::vector<noded_slot> slot_;                     ///< one of each CPU
    int64_t all_read_ns_ = 0;      ///< also those that nobody asks for
};

/// 0, also if it is there already, or why not.
int BpfCounters::add(int map, uint64_t key, const void* value) {
    // The kernel makes its reserve for values bigger a moment after it ran out.
    constexpr int kTriesMax = 50;
    constexpr useconds_t kPauseUs = 1000;
    for (int tries = 0; tries < kTriesMax; ++tries) {
        if (lib.bpf_map_update_elem(map, &key, value, BPF_NOEXIST) == 0) return 0;
        if (errno == EEXIST) return 0;
        if (errno != ENOMEM) return errno;
        usleep(kPauseUs);
    }
    return ENOMEM;
}

/// Whoever comes first has it; who finds it taken is counted for all the same.
void BpfCounters::take_slot(uint64_t id) {
    uint64_t& owner = slot_owners_[slot_of(id)];
    if (owner == 0 && set_slot(id, id)) owner = id;
}

void BpfCounters::leave_slot(uint64_t id) {
    uint64_t& owner = slot_owners_[slot_of(id)];
    if (owner == id && set_slot(id, 0)) owner = 0;
}

/// Nothing was counted in it yet.
bool BpfCounters::set_slot(uint64_t id, uint64_t owner) {
    const uint32_t slot = slot_of(id);
    slot_.assign(cpus_, noded_slot{.id = owner, .counters = {}, .unused = 0});
    return lib.bpf_map_update_elem(slots_, &slot, slot_.data(), BPF_ANY) == 0;
}

/// Once for all containers of a group, not for the rest of the machine: each packet pays for it.
void BpfCounters::count_packets(Watched& watched, const std::string& v2) {
    if (watched.above) return;
    const std::string folder = v2.substr(0, v2.rfind('/'));
    struct stat info {};
    if (stat(folder.c_str(), &info) != 0) return;  // its container is gone, too
    watched.above.emplace(folder, info.st_ino);
    if (++above_[*watched.above].containers == 1) attach_above();
}

void BpfCounters::leave_packets(const Watched& watched) {
    if (!watched.above) return;
    const auto found = above_.find(*watched.above);
    if (--found->second.containers != 0) return;
    above_.erase(found);
    attach_above();
}

/// What goes through one that is attached is not to be counted again by one above it.
void BpfCounters::attach_above() {
    const auto covered = [this](const std::string& folder) {
        return std::ranges::any_of(above_, [&](const auto& other) {
            return folder.starts_with(other.first.first + "/");
        });
    };
    for (auto& [place, above] : above_)
        if (covered(place.first)) above.links.clear();
    for (auto& [place, above] : above_) {
        if (!above.links.empty() || covered(place.first)) continue;
        const Fd group(open(place.first.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (group.valid()) attach_those(of_packets, above.links, group.get());
    }
}

void BpfCounters::add_slot(uint64_t id, Value& sum) {
    const uint32_t slot = slot_of(id);
    if (slot_owners_[slot] != id) return;
    slot_.resize(cpus_);
    if (lib.bpf_map_lookup_elem(slots_, &slot, slot_.data()) != 0) return;
    for (const noded_slot& one : slot_) add_to(sum.hot, one.counters);
}

/// So that the programs look for it.
void BpfCounters::note_group_at(int level) {
    if (!watching_ || level < 1 || level >= NODED_LEVELS_MAX) return;
    std::atomic_ref(watching_->levels).fetch_or(1u << level);
    std::atomic_ref(watching_->changes).fetch_add(1);
}

/// Both programs, or none.
void BpfCounters::begin_to_read_groups() {
    bpf_program* find = lib.bpf_object__find_program_by_name(object_.get(), "find");
    bpf_program* figures = lib.bpf_object__find_program_by_name(object_.get(), "figures");
    if (find == nullptr || figures == nullptr || !lib.bpf_program__autoload(find) ||
        !lib.bpf_program__autoload(figures))
        return;
    const int map = lib.bpf_object__find_map_fd_by_name(object_.get(), "rows");
    rows_ = Rows(map);
    if (!rows_) return lack(figures, strerror(errno));
    find_ = lib.bpf_program__fd(find);
    figures_ = lib.bpf_program__fd(figures);
}

/// Where it cannot be found its files are read.
void BpfCounters::find(const Watch& watch) {
    const std::string* folders[NODED_GROUPS] = {&watch.v2, &watch.cpu, &watch.memory, &watch.pids};
    std::vector<Fd> open_now;
    noded_watch args{};
    args.cgroup_id = watch.cgroup_id;
    const auto open_one = [&](const std::string& path) {
        if (path.empty()) return -1;
        open_now.emplace_back(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        return open_now.back().get();
    };
    for (size_t i = 0; i < NODED_GROUPS; ++i) args.folders[i] = open_one(*folders[i]);
    args.network = open_one(watch.network);
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof args);
    lib.bpf_prog_test_run_opts(find_, &options);
}

Group group_of(const noded_figures& from, const Group& before, uint64_t page_bytes) {
    /// More than any machine has, in pages; and the number that the kernel writes as "max".
    constexpr uint64_t kPagesMax = uint64_t{1} << 50, kPidsMax = 4'194'305;
    Group group;
    const auto knows = [&](noded_group which) { return (from.known >> which & 1) != 0; };
    group.monotonic_ns = static_cast<int64_t>(from.monotonic_ns);
    if (knows(NODED_V2)) {
        group.cpu = divide_cpu(from.cpu_ns, from.user_ticks_ns, from.system_ticks_ns,
                               before.cpu.value_or(Cpu{}));
        group.pressure_mark = from.pressure_mark;
    }
    if (group.cpu && knows(NODED_CPU)) {
        group.throttling = true;
        group.cpu->periods = from.periods;
        group.cpu->throttled_periods = from.throttled_periods;
        group.cpu->throttled_ns = from.throttled_ns;
    }
    if (knows(NODED_MEMORY)) {
        group.memory_usage = from.memory_pages * page_bytes;
        group.memory_limit =
            from.memory_pages_max < kPagesMax ? from.memory_pages_max * page_bytes : 0;
        group.memory_mark = from.memory_mark;
    }
    if (knows(NODED_PIDS)) group.pids = {from.pids, from.pids_max < kPidsMax ? from.pids_max : 0};
    group.network_mark = from.network_mark;
    return group;
}

const Counters::Table& BpfCounters::read(bool updated) {
    const int64_t now = clock_ns();
    const bool all = reads_groups() && read_rows(updated);
    if (all && now - all_read_ns_ < limits::stranger_ns) return table_;
    all_read_ns_ = now;
    read_counters(!all);
    forget_strangers(now - limits::stranger_ns);
    return table_;
}

/// The program fills some rows at a time. False when there is none of some that are watched.
bool BpfCounters::read_rows(bool updated) {
    if (in_table_.empty())
        for (auto& entry : table_) in_table_.push_back(&entry);
    size_t seen = 0;
    for (std::span left(in_table_); !left.empty();) {
        const auto some = left.first(std::min<size_t>(left.size(), NODED_ROWS));
        seen += read_some(some, updated);
        left = left.subspan(some.size());
    }
    return seen == table_.size();
}

/// At most NODED_ROWS of them; of how many there is a row.
size_t BpfCounters::read_some(std::span<Table::value_type* const> some, bool updated) {
    static const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    constexpr size_t kCacheLine = 64, kAhead = 8;
    for (size_t i = 0; i < some.size(); ++i) {
        // What will be written to is on its way while the program runs.
        if (i + kAhead < some.size()) {
            const Counted& next = some[i + kAhead]->second;
            for (size_t at = 0; at < sizeof next.group; at += kCacheLine)
                __builtin_prefetch(reinterpret_cast<const char*>(&next.group) + at, 1);
        }
        noded_row& row = rows_[i];
        row.figures.cgroup_id = some[i]->first;
        row.figures.monotonic_ns = 0;
        row.cpu_ns_before = updated ? some[i]->second.cpu_ns : NODED_UNKNOWN;
        row.besides_before = some[i]->second.besides;
    }
    noded_reading asked{static_cast<unsigned>(some.size()), static_cast<unsigned>(cpus_)};
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &asked, .ctx_size_in = sizeof asked);
    lib.bpf_prog_test_run_opts(figures_, &options);
    size_t seen = 0;
    for (size_t i = 0; i < some.size(); ++i) {
        const noded_row& row = rows_[i];
        Counted& counted = some[i]->second;
        if (row.figures.monotonic_ns == 0) {
            counted.group = {};  // of groups that are gone nothing is left
            counted.cpu_ns = NODED_UNKNOWN;
            continue;
        }
        ++seen;
        const uint64_t io_mark = counted.group.io_mark;
        counted.group = group_of(row.figures, counted.group, page_bytes);
        counted.group.io_mark = io_mark;
        if (row.counted == 0) continue;
        take(counted, row.counters);
        counted.cpu_ns = row.figures.cpu_ns;
        counted.besides = row.besides;
    }
    return seen;
}

void BpfCounters::take(Counted& counted, const Value& value) const {
    Kernel& kernel = counted.kernel;
    kernel = kernel_of(value);
    if (!counts_io_) return;
    counted.group.io_mark = 1 + kernel.io.reads + kernel.io.writes + kernel.io.read_bytes * 31 +
                            kernel.io.write_bytes * 17;
}

/// A batch takes whole buckets of the hash table: what is too small for one is doubled.
void BpfCounters::read_counters(bool figures_too) {
    uint64_t position = 0;
    bool first = true;
    for (size_t room = std::max<size_t>(watched_.size() + 1, 64);
         room <= 2 * limits::containers_max;) {
        keys_.resize(room);
        values_.resize(room * cpus_);
        auto count = static_cast<__u32>(room);
        const int failed = lib.bpf_map_lookup_batch(map_, first ? nullptr : &position, &position,
                                                keys_.data(), values_.data(), &count, nullptr);
        const int error = failed != 0 ? errno : 0;
        if (error == ENOSPC) {
            room *= 2;
            continue;
        }
        if (error != 0 && error != ENOENT) break;
        take_counters(count, figures_too);
        if (error == ENOENT) break;  // that was all
        first = false;
    }
}

void BpfCounters::take_counters(size_t count, bool figures_too) {
    for (size_t i = 0; i < count; ++i) {
        const auto found = table_.find(keys_[i]);
        if (found == table_.end()) {
            strangers_.try_emplace(keys_[i], clock_ns());
            continue;
        }
        if (!figures_too) continue;
        Value sum = sum_of(std::span(values_).subspan(i * cpus_, cpus_));
        add_slot(keys_[i], sum);
        take(found->second, sum);
    }
}

/// Groups that look like ours and that nobody asked for: another engine's, which knows none of us.
void BpfCounters::forget_strangers(int64_t met_until_ns) {
    std::erase_if(strangers_, [&](const auto& entry) {
        if (entry.second > met_until_ns) return false;
        lib.bpf_map_delete_elem(map_, &entry.first);
        return true;
    });
}

/// Programs of tracepoints that this kernel does not have are left out.
void choose_programs(const btf* kernel, bpf_object* object) {
    constexpr std::string_view kTracepoint = "tp_btf/";
    for (bpf_program* program : programs_of(object)) {
        const std::string section = lib.bpf_program__section_name(program);
        if (!section.starts_with(kTracepoint)) continue;
        const std::string type = "btf_trace_" + section.substr(kTracepoint.size());
        if (lib.btf__find_by_name_kind(kernel, type.c_str(), BTF_KIND_TYPEDEF) <= 0)
            lib.bpf_program__set_autoload(program, false);
    }
}

/// The program that libbpf spoke of last: the one that the kernel did not take.
std::string name_in(const std::string& words) {
    constexpr std::string_view kMark = "prog '";
    const size_t at = words.rfind(kMark);
    if (at == std::string::npos) return "";
    const size_t begin = at + kMark.size();
    return words.substr(begin, words.find('\'', begin) - begin);
}

/// The programs' own variable that says what they may use.
bool set_casts(const btf* kernel, bpf_object* object) {
    bpf_map* map = lib.bpf_object__find_map_by_name(object, ".rodata.casts");
    if (map == nullptr) return true;
    const uint32_t casts =
        lib.btf__find_by_name_kind(kernel, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0 ? 1 : 0;
    return lib.bpf_map__set_initial_value(map, &casts, sizeof casts) == 0;
}

/// What the kernel would refuse in words that tell nobody what to do.
Refused refused_by_older(const btf* kernel, Casts casts) {
    Refused refused;
    for (const char* function : {"bpf_rdonly_cast", "bpf_rcu_read_lock"})
        if (casts == Casts::never ||
            lib.btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC) <= 0)
            refused["figures"] = std::string("this kernel has no ") + function +
                                 " (Linux 6.2 has it); the files of each container's cgroup are "
                                 "read instead";
    return refused;
}

/// Ready to be loaded, without those that were refused before.
Result<Object> prepare(std::span<const unsigned char> file, const btf* kernel, Casts casts,
                       const Refused& refused) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "noded");
    Object object(lib.bpf_object__open_mem(file.data(), file.size(), &options));
    if (!object) return fail_errno(errno, "open the eBPF programs" + last_words());
    choose_programs(kernel, object.get());
    for (bpf_program* program : programs_of(object.get()))
        if (refused.contains(lib.bpf_program__name(program)))
            lib.bpf_program__set_autoload(program, false);
    said.clear();
    if (casts == Casts::where_known && !set_casts(kernel, object.get()))
        return fail("prepare the eBPF programs" + last_words());
    for (const char* name : {"counters", "blkio_groups", "places"}) {
        bpf_map* map = lib.bpf_object__find_map_by_name(object.get(), name);
        // The object of a test has not all of them.
        if (map != nullptr && lib.bpf_map__set_max_entries(map, limits::containers_max) != 0)
            return fail("prepare the eBPF programs" + last_words());
    }
    return object;
}

}  // namespace

Cpu divide_cpu(uint64_t total_ns, uint64_t user_ticks_ns, uint64_t system_ticks_ns,
               const Cpu& before) {
    Cpu cpu;
    cpu.total_ns = total_ns;
    const unsigned __int128 ticks = static_cast<unsigned __int128>(user_ticks_ns) + system_ticks_ns;
    const uint64_t system =
        ticks == 0 ? 0
                   : uint64_t(static_cast<unsigned __int128>(system_ticks_ns) * total_ns / ticks);
    // Of a later run of the container all is less than before.
    const bool goes_on = before.total_ns <= total_ns;
    cpu.system_ns = goes_on ? std::max(system, before.system_ns) : system;
    cpu.user_ns = total_ns - cpu.system_ns;
    if (goes_on && cpu.user_ns < before.user_ns) {
        cpu.user_ns = before.user_ns;
        cpu.system_ns = total_ns - cpu.user_ns;
    }
    return cpu;
}

Result<std::unique_ptr<Counters>> load_bpf_counters(const std::string& mount) {
    return load_bpf_counters(containers_object, mount);
}

Result<std::unique_ptr<Counters>> load_bpf_counters(std::span<const unsigned char> file,
                                                    const std::string& mount, Casts casts) {
    TRY_STATUS(load_libbpf());
    lib.libbpf_set_print(keep_what_is_said);
    said.clear();
    const Fd root(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return fail_errno(errno, "open " + mount);
    const Types kernel(lib.btf__load_vmlinux_btf());
    if (!kernel)
        return fail("load the eBPF programs: this kernel does not tell its own types, it has no "
                    "/sys/kernel/btf/vmlinux (BTF; it is built with CONFIG_DEBUG_INFO_BTF)");
    for (Refused refused = refused_by_older(kernel.get(), casts);;) {
        Object object = TRY(prepare(file, kernel.get(), casts, refused));
        if (lib.bpf_object__load(object.get()) == 0)
            return std::make_unique<BpfCounters>(std::move(object), root, refused);
        const int error = errno;
        const std::string name = name_in(said);
        const std::string said_of_it = last_words();
        if (error == EPERM)
            return fail_errno(error, "load the eBPF programs (noded needs CAP_SYS_ADMIN in the "
                                     "first user namespace, and bpf(2), which its service must "
                                     "not filter away)" + said_of_it);
        // It is not one program, or there is no end to it.
        if (name.empty() || refused.contains(name))
            return fail_errno(error, "load the eBPF programs" + said_of_it);
        std::string words = strerror(error) + said_of_it;
        constexpr size_t kWordsMax = 512;
        if (words.size() > kWordsMax) words = "…" + words.substr(words.size() - kWordsMax);
        refused[name] = std::move(words);
    }
}

}  // namespace noded::stats
