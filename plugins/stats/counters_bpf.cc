// The eBPF programs of bpf/containers.bpf.c, loaded and read; see counters.h.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <vector>

#include "agent/base/fd.h"
#include "bpf/containers.h"
#include "bpf/containers_object.h"
#include "plugins/stats/counters.h"
#include "plugins/stats/limits.h"

namespace noded::stats {
namespace {

using Value = noded_container_counters;

/// What libbpf and the kernel's verifier say while a program is loaded. libbpf has one place for
/// this in a process, and the plugin one job at a time.
std::string said;

int keep_what_is_said(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) return 0;
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    said += line;
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
    void operator()(bpf_object* object) const { bpf_object__close(object); }
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
    void operator()(btf* types) const { btf__free(types); }
};
using Object = std::unique_ptr<bpf_object, Close>;
using Link = std::unique_ptr<bpf_link, Close>;

/// Why the kernel did not take a program, by its name.
using Refused = std::map<std::string, std::string>;

bool of_scheduler(const bpf_program* program) {
    const std::string section = bpf_program__section_name(program);
    return section == "tp_btf/sched_switch" || section.starts_with("tp_btf/sched_wakeup");
}

Kernel sum_of(const std::vector<Value>& per_cpu, size_t first, size_t cpus) {
    Kernel sum;
    sum.wait_us_log2.resize(NODED_WAIT_BUCKETS);
    sum.io_us_log2.resize(NODED_IO_BUCKETS);
    for (size_t cpu = 0; cpu < cpus; ++cpu) {
        const Value& value = per_cpu[first + cpu];
        sum.received_bytes += value.received_bytes;
        sum.received_packets += value.received_packets;
        sum.sent_bytes += value.sent_bytes;
        sum.sent_packets += value.sent_packets;
        sum.tcp_retransmits += value.tcp_retransmits;
        sum.tcp_connects += value.tcp_connects;
        sum.io.read_bytes += value.read_bytes;
        sum.io.write_bytes += value.write_bytes;
        sum.io.reads += value.reads;
        sum.io.writes += value.writes;
        sum.io_ns += value.io_ns;
        for (size_t i = 0; i < NODED_IO_BUCKETS; ++i) sum.io_us_log2[i] += value.io_us_log2[i];
        sum.execs += value.execs;
        sum.exits += value.exits;
        sum.oom_kills += value.oom_kills;
        sum.involuntary_switches += value.involuntary_switches;
        sum.waits += value.waits;
        sum.wait_ns += value.wait_ns;
        for (size_t i = 0; i < NODED_WAIT_BUCKETS; ++i)
            sum.wait_us_log2[i] += value.wait_us_log2[i];
    }
    return sum;
}

class BpfCounters final : public Counters {
public:
    BpfCounters(Object object, Fd root, const Refused& refused)
        : object_(std::move(object)), root_(std::move(root)) {
        blkio_ = bpf_object__find_map_fd_by_name(object_.get(), "blkio_groups");
        map_ = bpf_object__find_map_fd_by_name(object_.get(), "counters");
        const int cpus = libbpf_num_possible_cpus();
        cpus_ = cpus > 0 ? static_cast<size_t>(cpus) : 1;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object_.get()) {
            const auto words = refused.find(bpf_program__name(program));
            if (words != refused.end()) lack(program, words->second);
            else if (!bpf_program__autoload(program))
                lack(program, "this kernel has no such tracepoint");
            else if (!of_scheduler(program))
                attach(program, links_);
        }
    }

    Status watch(uint64_t cgroup_id, uint64_t blkio_id) override {
        // The kernel makes its reserve for values bigger a moment after it ran out.
        constexpr int kTriesMax = 50;
        constexpr useconds_t kPauseUs = 1000;
        const std::vector<Value> zero(cpus_, Value{});
        for (int tries = 0; tries < kTriesMax; ++tries) {
            if (bpf_map_update_elem(map_, &cgroup_id, zero.data(), BPF_NOEXIST) == 0) {
                ++watched_;
                return watch_blkio(cgroup_id, blkio_id);
            }
            if (errno == EEXIST) return {};
            if (errno != ENOMEM) break;
            usleep(kPauseUs);
        }
        return fail_errno(errno, "count in the kernel for another cgroup");
    }

    void forget(uint64_t cgroup_id) override {
        if (bpf_map_delete_elem(map_, &cgroup_id) == 0 && watched_ > 0) --watched_;
        const auto group = blkio_of_.find(cgroup_id);
        if (group == blkio_of_.end()) return;
        bpf_map_delete_elem(blkio_, &group->second);
        blkio_of_.erase(group);
    }

    void follow_scheduler(bool follow) override {
        if (follow == following_) return;
        following_ = follow;
        scheduler_links_.clear();
        if (!follow) return;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object_.get())
            if (of_scheduler(program) && bpf_program__autoload(program))
                attach(program, scheduler_links_);
    }

    std::map<uint64_t, Kernel> read() override;

    KernelState state() const override {
        KernelState state;
        state.source = "kernel eBPF";
        if (!lacks_.empty()) state.warning = "the kernel does not count everything" + lacks_;
        return state;
    }

private:
    /// Without it only requests are not counted.
    Status watch_blkio(uint64_t cgroup_id, uint64_t blkio_id) {
        if (blkio_id != 0 && blkio_id != cgroup_id &&
            bpf_map_update_elem(blkio_, &blkio_id, &cgroup_id, BPF_ANY) == 0)
            blkio_of_[cgroup_id] = blkio_id;
        return {};
    }
    void attach(bpf_program* program, std::vector<Link>& links) {
        const std::string section = bpf_program__section_name(program);
        said.clear();
        Link link(section.starts_with("cgroup") ? bpf_program__attach_cgroup(program, root_.get())
                                                : bpf_program__attach(program));
        if (link) links.push_back(std::move(link));
        else lack(program, strerror(errno) + last_words());
    }
    void lack(const bpf_program* program, const std::string& why) {
        const std::string text =
            std::string("; ") + bpf_program__section_name(program) + ": " + why;
        if (lacks_.find(text) == std::string::npos) lacks_ += text;
    }

    Object object_;
    Fd root_;
    std::vector<Link> links_, scheduler_links_;
    std::string lacks_;
    int map_ = -1;
    int blkio_ = -1;
    std::map<uint64_t, uint64_t> blkio_of_;  ///< by cgroup id
    size_t cpus_ = 1;
    size_t watched_ = 0;
    bool following_ = false;
};

/// A batch takes whole buckets of the hash table: what is too small for one is doubled.
std::map<uint64_t, Kernel> BpfCounters::read() {
    std::map<uint64_t, Kernel> found;
    uint64_t position = 0;
    bool first = true;
    for (size_t room = std::max<size_t>(watched_ + 1, 64); room <= 2 * limits::containers_max;) {
        std::vector<uint64_t> keys(room);
        std::vector<Value> values(room * cpus_);
        auto count = static_cast<__u32>(room);
        const int failed = bpf_map_lookup_batch(map_, first ? nullptr : &position, &position,
                                                keys.data(), values.data(), &count, nullptr);
        const int error = failed != 0 ? errno : 0;
        if (error == ENOSPC) {
            room *= 2;
            continue;
        }
        if (error != 0 && error != ENOENT) break;
        for (size_t i = 0; i < count; ++i) found[keys[i]] = sum_of(values, i * cpus_, cpus_);
        if (error == ENOENT) break;  // that was all
        first = false;
    }
    return found;
}

/// Programs of tracepoints that this kernel does not have are left out. That there is no BTF at all
/// the load says.
void choose_programs(bpf_object* object) {
    constexpr std::string_view kTracepoint = "tp_btf/";
    const std::unique_ptr<btf, Close> kernel(btf__load_vmlinux_btf());
    if (!kernel) return;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        const std::string section = bpf_program__section_name(program);
        if (!section.starts_with(kTracepoint)) continue;
        const std::string type = "btf_trace_" + section.substr(kTracepoint.size());
        if (btf__find_by_name_kind(kernel.get(), type.c_str(), BTF_KIND_TYPEDEF) <= 0)
            bpf_program__set_autoload(program, false);
    }
}

/// The one constant of the programs.
bool set_level(bpf_object* object, int level) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (!std::string_view(bpf_map__name(map)).ends_with(".rodata")) continue;
        size_t size = 0;
        const auto* value = static_cast<const char*>(bpf_map__initial_value(map, &size));
        if (value == nullptr || size < sizeof level) return false;
        std::vector<char> changed(value, value + size);
        memcpy(changed.data(), &level, sizeof level);
        return bpf_map__set_initial_value(map, changed.data(), size) == 0;
    }
    return false;
}

/// The program that libbpf spoke of last: the one that the kernel did not take.
std::string name_in(const std::string& words) {
    constexpr std::string_view kMark = "prog '";
    const size_t at = words.rfind(kMark);
    if (at == std::string::npos) return "";
    const size_t begin = at + kMark.size();
    return words.substr(begin, words.find('\'', begin) - begin);
}

/// Ready to be loaded, without those that were refused before.
Result<Object> prepare(std::span<const unsigned char> file, int level, const Refused& refused) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "noded");
    Object object(bpf_object__open_mem(file.data(), file.size(), &options));
    if (!object) return fail_errno(errno, "open the eBPF programs" + last_words());
    choose_programs(object.get());
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get())
        if (refused.contains(bpf_program__name(program))) bpf_program__set_autoload(program, false);
    said.clear();
    if (!set_level(object.get(), level))
        return fail("prepare the eBPF programs" + last_words());
    for (const char* name : {"counters", "blkio_groups"}) {
        bpf_map* map = bpf_object__find_map_by_name(object.get(), name);
        if (map == nullptr || bpf_map__set_max_entries(map, limits::containers_max) != 0)
            return fail("prepare the eBPF programs" + last_words());
    }
    return object;
}

}  // namespace

Result<std::unique_ptr<Counters>> load_bpf_counters(const std::string& mount, int level) {
    return load_bpf_counters(containers_object, mount, level);
}

Result<std::unique_ptr<Counters>> load_bpf_counters(std::span<const unsigned char> file,
                                                    const std::string& mount, int level) {
    libbpf_set_print(keep_what_is_said);
    said.clear();
    Fd root(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return fail_errno(errno, "open " + mount);
    for (Refused refused;;) {
        Object object = TRY(prepare(file, level, refused));
        if (bpf_object__load(object.get()) == 0)
            return std::make_unique<BpfCounters>(std::move(object), std::move(root), refused);
        const int error = errno;
        const std::string name = name_in(said);
        const std::string said_of_it = last_words();
        // It is not one program, or there is no end to it.
        if (name.empty() || refused.contains(name) || error == EPERM)
            return fail_errno(error, "load the eBPF programs" + said_of_it);
        std::string words = strerror(error) + said_of_it;
        constexpr size_t kWordsMax = 512;
        if (words.size() > kWordsMax) words = "…" + words.substr(words.size() - kWordsMax);
        refused[name] = std::move(words);
    }
}

}  // namespace noded::stats
