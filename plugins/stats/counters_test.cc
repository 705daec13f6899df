// The eBPF programs on this machine's kernel: what a cgroup does is counted for it alone, and a
// kernel that takes no programs is an error with its words. (tests/integration/stats_test.cc makes
// each program count something in a container.)
#include "plugins/stats/counters.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "agent/base/fd.h"
#include "bpf/containers.h"
#include "bpf/containers_object.h"
#include "bpf/refused_object.h"
#include "plugins/stats/libbpf.h"
#include "plugins/stats/limits.h"
#include "plugins/stats/parse.h"
#include "plugins/stats/places.h"

namespace noded::stats {
namespace {

std::string text_of(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::string v2_mount() {
    for (const Mount& mount : parse_mounts(text_of("/proc/self/mountinfo")))
        if (mount.controllers.empty()) return mount.path;
    return "";
}

/// Empty where it has no hierarchy of its own.
std::string mount_of(const char* controller) {
    for (const Mount& mount : parse_mounts(text_of("/proc/self/mountinfo")))
        if (mount.has(controller)) return mount.path;
    return "";
}

/// The nth of those that this process may use; -1: there are fewer.
int allowed_cpu(int nth) {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0) return cpu;
    return -1;
}

void move_to(pid_t pid, int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    EXPECT_EQ(sched_setaffinity(pid, sizeof one, &one), 0);
}

uint64_t id_of(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// A group of its own in the v2 tree, below another one, and in those hierarchies that are there.
class Group {
public:
    /// A name is what containers have, 64 digits; without one it is none of theirs.
    explicit Group(const std::string& parent, const std::string& name = "") {
        const size_t mount_size = v2_mount().size();
        std::string path = parent + "/" + name;
        if (name.empty()) {
            path += "noded-test-XXXXXX";
            EXPECT_NE(mkdtemp(path.data()), nullptr);
        } else {
            EXPECT_EQ(mkdir(path.c_str(), 0755), 0) << path;
        }
        folders_.push_back(path);
        for (std::string* folder : {&where_.cpu, &where_.memory, &where_.pids, &blkio_}) {
            const char* controller = folder == &where_.cpu      ? "cpu"
                                     : folder == &where_.memory ? "memory"
                                     : folder == &where_.pids   ? "pids"
                                                                : "blkio";
            *folder = path;
            const std::string own = mount_of(controller);
            if (own.empty()) continue;
            *folder = own + path.substr(mount_size);
            mkdir(folder->c_str(), 0755);
            folders_.push_back(*folder);
        }
        where_.cgroup_id = id_of(path);
        where_.blkio_id = id_of(blkio_);
        where_.level =
            static_cast<int>(std::ranges::count(path.substr(mount_size), '/'));
        where_.v2 = path;
    }
    ~Group() {
        for (const std::string& folder : folders_) rmdir(folder.c_str());
    }
    uint64_t id() const { return where_.cgroup_id; }
    const Watch& where() const { return where_; }
    /// Runs a script in it to its end: one program, and those that it names.
    void run(const char* script) const {
        const pid_t child = fork();
        if (child == 0) {
            take(getpid());
            execl("/bin/sh", "sh", "-c", script, nullptr);
            _exit(121);
        }
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }

    /// A process in it that wants a CPU, the same as all of them do, until it is killed.
    pid_t spin() const {
        const pid_t child = fork();
        if (child != 0) return child;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take(getpid());
        move_to(0, allowed_cpu(0));
        for (volatile bool forever = true; forever;) {}
        _exit(0);
    }
    /// A process in it that ends when a byte comes in, on this CPU until somebody moves it.
    pid_t wait_for_byte(int from, int cpu) const {
        const pid_t child = fork();
        if (child != 0) return child;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take(getpid());
        move_to(0, cpu);
        char byte;
        _exit(read(from, &byte, 1) == 1 ? 0 : 1);
    }
    /// A process of any other group.
    void take(pid_t pid) const {
        for (const std::string& folder : folders_)
            std::ofstream(folder + "/cgroup.procs") << pid << std::flush;
    }

private:
    Watch where_;
    std::string blkio_;
    std::vector<std::string> folders_;
};

TEST(StatsCounters, what_a_cgroup_does_is_counted_for_it_alone) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    EXPECT_EQ(counters.state().source, "kernel eBPF");
    const Group watched(mount), other(mount), unknown(mount);
    ASSERT_TRUE(counters.watch(watched.where()));
    ASSERT_TRUE(counters.watch(watched.where())) << "again";
    ASSERT_TRUE(counters.watch(other.where()));
    for (int i = 0; i < 3; ++i) watched.run(":");
    unknown.run(":");
    auto found = counters.read();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[watched.id()].kernel.execs, 3u);
    EXPECT_EQ(found[watched.id()].kernel.exits, 3u);
    EXPECT_EQ(found[watched.id()].kernel.waits, 0u) << "nobody asked for the scheduler";
    EXPECT_EQ(found[other.id()].kernel.execs, 0u);
    counters.follow_scheduler(true);
    watched.run("sleep 0.01; :");
    EXPECT_GT(counters.read().at(watched.id()).kernel.waits, 0u);
    counters.follow_scheduler(false);
    const uint64_t waits = counters.read().at(watched.id()).kernel.waits;
    watched.run("sleep 0.01; :");
    EXPECT_EQ(counters.read().at(watched.id()).kernel.waits, waits);
    counters.forget(other.id());
    EXPECT_EQ(counters.read().size(), 1u);
}

TEST(StatsCounters, who_used_a_cpu_is_looked_at_again_and_who_did_not_keeps_what_was_counted) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const Group watched(mount);
    Watch where = watched.where();
    where.network = "/proc/self/ns/net";
    ASSERT_TRUE((*loaded)->watch(where));
    for (uint64_t runs = 0; runs < 3; ++runs) {
        bool counts_io = false;
        // The second look finds the group as the first one left it.
        for (int look = 0; look < 2; ++look) {
            text_of(where.v2 + "/cpu.stat");
            const Counted& told = (*loaded)->read(true).at(watched.id());
            EXPECT_EQ(told.kernel.execs, runs);
            EXPECT_EQ(told.kernel.exits, runs);
            if (look == 0) counts_io = told.group.io_mark != 0;
            else EXPECT_EQ(told.group.io_mark != 0, counts_io);
        }
        watched.run(":");
    }
}

TEST(StatsCounters, a_group_that_is_named_as_a_container_is_counted_for_from_its_first_moment) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    if (counters.state().warning.find("cgroup_mkdir") != std::string::npos)
        GTEST_SKIP() << counters.state().warning;
    std::string name = "0000noded-test" + std::to_string(getpid());
    name.resize(64, '0');
    const Group container(mount, name);
    for (int i = 0; i < 3; ++i) container.run("/bin/true; :");
    EXPECT_TRUE(counters.read().empty()) << "nobody asked for it";
    ASSERT_TRUE(counters.watch(container.where()));
    EXPECT_EQ(counters.read().at(container.id()).kernel.execs, 6u);
    EXPECT_EQ(counters.read().at(container.id()).kernel.exits, 6u);
}

TEST(StatsCounters, what_the_kernel_keeps_is_what_its_files_tell) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    if (!counters.reads_groups()) GTEST_SKIP() << counters.state().warning;
    const Group busy(mount), idle(mount);
    ASSERT_TRUE(counters.watch(busy.where()));
    ASSERT_TRUE(counters.watch(idle.where()));
    EXPECT_EQ(counters.state().warning, "");
    const auto& none = counters.read().at(busy.id()).group;
    ASSERT_TRUE(none.cpu);
    EXPECT_EQ(none.cpu->total_ns, 0u);
    const uint64_t mark = none.memory_mark;
    busy.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; head -c 8000000 /dev/zero >"
             "/dev/shm/noded-counters-test");
    const Watch& where = busy.where();
    // Whoever reads a file brings the figures up to date.
    const auto told = parse_cpu_stat(text_of(where.v2 + "/cpu.stat"));
    text_of(where.memory + "/memory.stat");
    const auto& group = counters.read().at(busy.id()).group;
    ASSERT_TRUE(told && group.cpu);
    EXPECT_EQ(group.cpu->total_ns / 1000, told->total_ns / 1000);
    EXPECT_EQ(group.cpu->user_ns / 1000, told->user_ns / 1000);
    EXPECT_NEAR(double(group.cpu->system_ns), double(told->system_ns), 1000);
    EXPECT_GT(group.cpu->total_ns, 1'000'000u);
    const bool v1 = where.memory != where.v2;
    if (group.memory_usage) {
        EXPECT_EQ(group.memory_usage, parse_value(text_of(
            where.memory + (v1 ? "/memory.usage_in_bytes" : "/memory.current"))));
        EXPECT_EQ(group.memory_limit, parse_value(text_of(
            where.memory + (v1 ? "/memory.limit_in_bytes" : "/memory.max"))));
        EXPECT_GT(*group.memory_usage, 7'000'000u);
        EXPECT_NE(group.memory_mark, mark);
    }
    unlink("/dev/shm/noded-counters-test");
    if (group.pids) {
        EXPECT_EQ(group.pids->current, 0u);
        EXPECT_EQ(group.pids->limit, 0u);
        std::ofstream(where.pids + "/pids.max") << 17 << std::flush;
        EXPECT_EQ(counters.read().at(busy.id()).group.pids->limit, 17u);
    }
    EXPECT_EQ(counters.read().at(idle.id()).group.cpu->total_ns, 0u);
    counters.forget(idle.id());
    EXPECT_FALSE(counters.read().contains(idle.id()));
}

TEST(StatsCounters, a_group_that_is_gone_has_no_figures_and_no_later_one_has_them) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    if (!counters.reads_groups()) GTEST_SKIP() << counters.state().warning;
    uint64_t id = 0;
    {
        const Group gone(mount);
        id = gone.id();
        ASSERT_TRUE(counters.watch(gone.where()));
        EXPECT_TRUE(counters.read().at(id).group.cpu);
    }
    for (int i = 0; i < 50; ++i) {
        const Group other(mount);
        const auto& table = counters.read();
        const auto found = table.find(id);
        ASSERT_NE(found, table.end());
        EXPECT_FALSE(found->second.group.cpu);
        EXPECT_FALSE(found->second.group.memory_usage);
    }
}

TEST(StatsCounters, requests_of_block_devices_are_counted_with_their_time) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    if ((*loaded)->state().warning.find("block_rq") != std::string::npos)
        GTEST_SKIP() << (*loaded)->state().warning;
    const Group watched(mount), other(mount);
    // It has a network of its own, so that its CPU time tells whether it did anything; nobody
    // brings that up to date here.
    Watch where = watched.where();
    where.network = "/proc/self/ns/net";
    ASSERT_TRUE((*loaded)->watch(where));
    ASSERT_TRUE((*loaded)->watch(other.where()));
    const std::string file = testing::TempDir() + "/noded-counters-test";
    // What goes past the cache is charged to the one who writes.
    const std::string script = "dd if=/dev/zero of=" + file +
                               " bs=1M count=4 oflag=direct 2>/dev/null && dd if=" + file +
                               " of=/dev/null bs=1M iflag=direct 2>/dev/null || exit 9";
    const int fits = open((file + "-probe").c_str(), O_CREAT | O_WRONLY | O_DIRECT, 0600);
    unlink((file + "-probe").c_str());
    if (fits < 0) GTEST_SKIP() << "the temporary folder takes no direct writes";
    close(fits);
    Kernel figures;
    // The kernel does not run a program whose own run it has just interrupted on that CPU: on a
    // busy disk a request in a thousand is not counted.
    for (unsigned rounds = 1; rounds <= 5; ++rounds) {
        watched.run(script.c_str());
        figures = (*loaded)->read(true).at(watched.id()).kernel;
        EXPECT_LT(figures.io.write_bytes, rounds * (6u << 20));
        if (figures.io.write_bytes >= 4u << 20 && figures.io.read_bytes >= 4u << 20) break;
    }
    unlink(file.c_str());
    EXPECT_GE(figures.io.write_bytes, 4u << 20);
    EXPECT_GE(figures.io.read_bytes, 4u << 20);
    EXPECT_GT(figures.io.reads, 0u);
    EXPECT_GT(figures.io.writes, 0u);
    EXPECT_GT(figures.io_ns, 0u);
    uint64_t in_buckets = 0;
    for (const uint64_t count : figures.io_us_log2) in_buckets += count;
    EXPECT_EQ(in_buckets, figures.io.reads + figures.io.writes);
    EXPECT_EQ((*loaded)->read().at(other.id()).kernel.io.writes, 0u);
}

TEST(StatsCounters, a_connection_that_is_begun_is_counted) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const Group watched(mount);
    ASSERT_TRUE((*loaded)->watch(watched.where()));
    const Group part(watched.where().v2), other(mount);
    const auto connects = [&] {
        return (*loaded)->read().at(watched.id()).kernel.tcp_connects;
    };
    const auto connect = [](const Group& from, const char* socket, const char* address) {
        from.run(("python3 -c \"from socket import *; " + std::string(socket) + ".connect_ex(('" +
                  address + "', 9))\"").c_str());
    };
    connect(watched, "socket()", "127.0.0.1");
    EXPECT_EQ(connects(), 1u);
    connect(watched, "socket(AF_INET6)", "::1");
    EXPECT_EQ(connects(), 2u);
    connect(part, "socket()", "127.0.0.1");
    EXPECT_EQ(connects(), 3u) << "a group of the container's own";
    connect(watched, "socket(AF_INET, SOCK_DGRAM)", "127.0.0.1");
    connect(other, "socket()", "127.0.0.1");
    EXPECT_EQ(connects(), 3u);
    EXPECT_EQ((*loaded)->state().warning, "");
}

constexpr const char* kSendOnePacket =
    "python3 -c \"import socket; socket.socket(socket.AF_INET, "
    "socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\"";

/// How many programs of packets that go out are attached to this group itself.
uint32_t attached_to(const Group& group) {
    const int folder = open(group.where().v2.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bpf_attr query{};
    query.query.target_fd = static_cast<uint32_t>(folder);
    query.query.attach_type = BPF_CGROUP_INET_EGRESS;
    EXPECT_EQ(syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query), 0);
    close(folder);
    return query.query.prog_cnt;
}

TEST(StatsCounters, each_packet_is_counted_once_and_only_below_the_groups_of_containers) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    for (const Casts casts : {Casts::where_known, Casts::never}) {
        auto loaded = load_bpf_counters(containers_object, mount, casts);
        if (!loaded) GTEST_SKIP() << loaded.error().message;
        Counters& counters = **loaded;
        const Group outer(mount), inner(outer.where().v2);
        const Group near(outer.where().v2), far(inner.where().v2), part(far.where().v2);
        const auto sent = [&](const Group& group) {
            return counters.read().at(group.id()).kernel.sent_packets;
        };
        ASSERT_TRUE(counters.watch(far.where()));
        EXPECT_EQ(attached_to(inner), 1u);
        EXPECT_EQ(attached_to(outer) + attached_to(far), 0u);
        far.run(kSendOnePacket);
        EXPECT_EQ(sent(far), 1u);
        part.run(kSendOnePacket);
        EXPECT_EQ(sent(far), 2u) << "a group of the container's own";
        ASSERT_TRUE(counters.watch(near.where()));
        EXPECT_EQ(attached_to(inner), 0u) << "all go through the one above it";
        EXPECT_EQ(attached_to(outer), 1u);
        far.run(kSendOnePacket);
        near.run(kSendOnePacket);
        EXPECT_EQ(sent(far), 3u);
        EXPECT_EQ(sent(near), 1u);
        counters.forget(near.id());
        EXPECT_EQ(attached_to(outer), 0u);
        far.run(kSendOnePacket);
        EXPECT_EQ(sent(far), 4u);
        counters.forget(far.id());
        EXPECT_EQ(attached_to(inner), 0u);
        const bool older = casts == Casts::never;
        const std::string warning = counters.state().warning;
        EXPECT_EQ(warning.find("; figures: this kernel has no bpf_r") != warning.npos, older);
        EXPECT_EQ(warning.empty(), !older) << warning;
        EXPECT_EQ(warning.find("syscall"), warning.npos) << warning;
        EXPECT_EQ(counters.reads_groups(), !older);
    }
}

TEST(StatsCounters, a_group_above_that_is_made_anew_is_another_one) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    const std::string name = "noded-test-" + std::to_string(getpid());
    uint64_t before = 0;
    {
        const Group above(mount, name), gone(above.where().v2);
        ASSERT_TRUE(counters.watch(gone.where()));
        before = gone.id();
    }
    const Group above(mount, name), container(above.where().v2);
    ASSERT_TRUE(counters.watch(container.where()));
    container.run(kSendOnePacket);
    EXPECT_EQ(counters.read().at(container.id()).kernel.sent_packets, 1u);
    counters.forget(before);
    container.run(kSendOnePacket);
    EXPECT_EQ(counters.read().at(container.id()).kernel.sent_packets, 2u);
}

TEST(StatsCounters, packets_are_counted_of_those_in_the_nodes_network_alone) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const Group apart(mount), shares(mount);
    Watch with_its_own = apart.where();
    with_its_own.network = "/proc/self/ns/net";
    ASSERT_TRUE((*loaded)->watch(with_its_own));
    apart.run(kSendOnePacket);
    EXPECT_EQ((*loaded)->read().at(apart.id()).kernel.sent_packets, 0u);
    ASSERT_TRUE((*loaded)->watch(shares.where()));
    shares.run(kSendOnePacket);
    EXPECT_EQ((*loaded)->read().at(shares.id()).kernel.sent_packets, 1u);
    (*loaded)->forget(shares.id());
    apart.run(kSendOnePacket);
    EXPECT_EQ((*loaded)->read().at(apart.id()).kernel.sent_packets, 0u) << "they are taken away";
    EXPECT_EQ((*loaded)->state().warning, "");
}

/// -1 or a descriptor, or 0 where the command has none.
int bpf(bpf_cmd command, bpf_attr& attributes) {
    return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

/// The map behind an id, if it is one of slots.
Fd map_of_slots(uint32_t id) {
    bpf_attr which{};
    which.map_id = id;
    Fd map(bpf(BPF_MAP_GET_FD_BY_ID, which));
    bpf_map_info info{};
    bpf_attr asked{};
    asked.info.bpf_fd = static_cast<uint32_t>(map.get());
    asked.info.info_len = sizeof info;
    asked.info.info = reinterpret_cast<uint64_t>(&info);
    const bool known = map.valid() && bpf(BPF_OBJ_GET_INFO_BY_FD, asked) == 0;
    return known && std::string_view(info.name) == "slots" ? std::move(map) : Fd();
}

/// Packets that the slot of a group counted, as it stands in the kernel; nothing: none is its. The
/// group's id is nobody else's, so the maps of other tests have none, either.
std::optional<uint64_t> sent_in_slot(uint64_t cgroup_id) {
    const uint32_t index = cgroup_id % NODED_SLOTS;
    std::vector<noded_slot> slots(static_cast<size_t>(lib.libbpf_num_possible_cpus()));
    for (bpf_attr next{}; bpf(BPF_MAP_GET_NEXT_ID, next) == 0; next.start_id = next.next_id) {
        const Fd map = map_of_slots(next.next_id);
        if (!map.valid() || lib.bpf_map_lookup_elem(map.get(), &index, slots.data()) != 0) continue;
        if (slots[0].id != cgroup_id) continue;
        uint64_t sent = 0;
        for (const noded_slot& slot : slots) sent += slot.counters.sent_packets;
        return sent;
    }
    return std::nullopt;
}

TEST(StatsCounters, who_finds_its_slot_taken_is_counted_for_all_the_same) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    const Group watched(mount);
    const uint64_t other = watched.id() + NODED_SLOTS;
    counters.follow_scheduler(true);
    for (const bool taken : {false, true}) {
        if (taken) {
            ASSERT_TRUE(counters.watch({.cgroup_id = other, .level = 1}));
        }
        ASSERT_TRUE(counters.watch(watched.where()));
        EXPECT_EQ(counters.read().at(watched.id()).kernel.sent_packets, 0u) << "not of before";
        watched.run(kSendOnePacket);
        const Kernel kernel = counters.read().at(watched.id()).kernel;
        EXPECT_EQ(kernel.sent_packets, 1u) << taken;
        EXPECT_EQ(sent_in_slot(watched.id()), taken ? std::nullopt : std::optional<uint64_t>(1));
        EXPECT_GT(kernel.waits, 0u) << taken;
        EXPECT_GE(kernel.wait_ns, kernel.wait_us_log2[1] * 2000) << taken;
        if (taken) {
            EXPECT_EQ(counters.read().at(other).kernel.waits, 0u);
        }
        counters.forget(watched.id());
    }
}

TEST(StatsCounters, a_program_that_the_verifier_refuses_is_left_out_and_its_words_are_told) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(refused_object, mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const std::string warning = (*loaded)->state().warning;
    EXPECT_NE(warning.find("cgroup_skb/ingress: "), std::string::npos) << warning;
    EXPECT_NE(warning.find("invalid mem access"), std::string::npos) << warning;
    EXPECT_EQ(warning.find("egress"), std::string::npos) << warning;
    EXPECT_LT(warning.size(), 1024u);
}

TEST(StatsCounters, a_thousand_cgroups_are_read_at_once) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    for (uint64_t id = 1; id <= 1000; ++id) {
        const Status watched = (*loaded)->watch({.cgroup_id = id << 40, .level = 1});
        ASSERT_TRUE(watched) << watched.error().message;
    }
    EXPECT_EQ((*loaded)->read().size(), 1000u);
}

/// Waits of at least so many microseconds, a power of two.
uint64_t waits_of(const Kernel& kernel, uint64_t us_log2) {
    uint64_t count = 0;
    for (size_t bucket = us_log2; bucket < NODED_WAIT_BUCKETS; ++bucket)
        count += kernel.wait_us_log2[bucket];
    return count;
}

TEST(StatsCounters, what_is_waited_while_nobody_follows_the_scheduler_is_no_wait_of_later) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    const Group watched(mount);
    ASSERT_TRUE(counters.watch(watched.where()));
    std::vector<pid_t> spinning;
    for (int i = 0; i < 4; ++i) spinning.push_back(watched.spin());
    const auto kernel = [&] { return counters.read().at(watched.id()).kernel; };
    const auto waits_more = [&] {
        const uint64_t until = kernel().waits + 20;
        for (int tries = 0; tries < 3000 && kernel().waits < until; ++tries) usleep(10'000);
        return kernel().waits >= until;
    };
    constexpr uint64_t kSecond = 20;
    counters.follow_scheduler(true);
    EXPECT_TRUE(waits_more());
    bool none = false;
    // A busy machine may make somebody wait for so long; not each time.
    for (int tries = 0; tries < 3 && !none; ++tries) {
        counters.follow_scheduler(false);
        usleep(2'000'000);  // of which each waits for three quarters
        const uint64_t before = waits_of(kernel(), kSecond);
        counters.follow_scheduler(true);
        EXPECT_TRUE(waits_more());
        none = waits_of(kernel(), kSecond) == before;
    }
    EXPECT_TRUE(none);
    for (const pid_t pid : spinning) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
}

/// How often it got a CPU.
uint64_t runs_of(pid_t pid) {
    uint64_t ran_ns = 0, waited_ns = 0, runs = 0;
    std::istringstream(text_of("/proc/" + std::to_string(pid) + "/schedstat")) >> ran_ns >>
        waited_ns >> runs;
    return runs;
}

TEST(StatsCounters, waits_are_counted_for_the_container_that_a_task_is_in_by_now) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    const Group first(mount), part(first.where().v2), second(mount);
    ASSERT_TRUE(counters.watch(second.where()));
    counters.follow_scheduler(true);
    const pid_t moves = part.spin(), stays = part.spin();
    const auto comes = [](const auto& condition) {
        for (int tries = 0; tries < 3000 && !condition(); ++tries) usleep(10'000);
        return condition();
    };
    const auto counted_for = [&](const Group& group) {
        const auto kernel = [&] { return counters.read().at(group.id()).kernel; };
        const Kernel before = kernel();
        return comes([&] {
            const Kernel now = kernel();
            return now.waits >= before.waits + 5 &&
                   now.involuntary_switches >= before.involuntary_switches + 5;
        });
    };
    EXPECT_TRUE(comes([&] { return runs_of(moves) > 5 && runs_of(stays) > 5; }));
    EXPECT_EQ(counters.read().at(second.id()).kernel.waits, 0u);
    ASSERT_TRUE(counters.watch(first.where()));
    EXPECT_TRUE(counted_for(first)) << "they ran before it was watched";
    second.take(moves);
    EXPECT_TRUE(counted_for(second));
    EXPECT_TRUE(counted_for(first)) << "of the one that stayed";
    for (const pid_t pid : {moves, stays}) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
}

/// Nobody else has this CPU, until it is killed.
pid_t take_all_of(int cpu, int tell) {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    move_to(0, cpu);
    const sched_param first{.sched_priority = 1};
    const char taken = sched_setscheduler(0, SCHED_FIFO, &first) == 0 ? 'y' : 'n';
    if (write(tell, &taken, 1) != 1 || taken != 'y') _exit(1);
    for (volatile bool forever = true; forever;) {}
    _exit(0);
}

/// It did what it does on one CPU, and sleeps.
bool sleeps_on_one_cpu(pid_t pid) {
    cpu_set_t allowed;
    return sched_getaffinity(pid, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) == 1 &&
           text_of("/proc/" + std::to_string(pid) + "/stat").find(") S ") != std::string::npos;
}

/// One in the group is woken on a CPU that is taken, and moved to a free one after a while; false
/// where no task may have a CPU for itself.
bool wait_on_one_cpu_and_run_on_another(const Group& group, int busy_cpu, int free_cpu) {
    int wake[2], tell[2];
    EXPECT_TRUE(pipe2(wake, O_CLOEXEC) == 0 && pipe2(tell, O_CLOEXEC) == 0);
    const pid_t waits = group.wait_for_byte(wake[0], busy_cpu);
    for (int tries = 0; tries < 3000 && !sleeps_on_one_cpu(waits); ++tries) usleep(10'000);
    const pid_t spins = take_all_of(busy_cpu, tell[1]);
    char taken = 'n';
    EXPECT_EQ(read(tell[0], &taken, 1), 1);
    EXPECT_EQ(write(wake[1], &taken, 1), 1);
    usleep(200'000);
    move_to(waits, free_cpu);
    int status = -1;
    waitpid(waits, &status, 0);
    EXPECT_EQ(status, 0);
    kill(spins, SIGKILL);
    waitpid(spins, nullptr, 0);
    for (const int fd : {wake[0], wake[1], tell[0], tell[1]}) close(fd);
    return taken == 'y';
}

TEST(StatsCounters, a_wait_that_ends_on_another_cpu_is_as_long_as_it_was) {
    const std::string mount = v2_mount();
    const int busy_cpu = allowed_cpu(0), free_cpu = allowed_cpu(1);
    if (mount.empty() || geteuid() != 0 || free_cpu < 0)
        GTEST_SKIP() << "needs root, a cgroup v2 tree and two CPUs";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const Group watched(mount);
    ASSERT_TRUE((*loaded)->watch(watched.where()));
    (*loaded)->follow_scheduler(true);
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    move_to(0, free_cpu);
    Kernel kernel;
    // Once in a second the kernel lets others have a taken CPU, too; not each time.
    for (int tries = 0; tries < 5 && waits_of(kernel, 17) == 0; ++tries) {
        if (!wait_on_one_cpu_and_run_on_another(watched, busy_cpu, free_cpu)) break;
        kernel = (*loaded)->read().at(watched.id()).kernel;
    }
    sched_setaffinity(0, sizeof before, &before);
    if (kernel.waits == 0) GTEST_SKIP() << "no task may have a CPU for itself here";
    EXPECT_GT(waits_of(kernel, 17), 0u) << "of 131 ms and more";
    EXPECT_GE(kernel.wait_ns, 190'000'000u);
}

TEST(StatsCounters, groups_that_nobody_asks_for_leave_room_for_those_that_are_watched) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    std::string name = "0000noded-test-stranger" + std::to_string(getpid());
    name.resize(64, '0');
    const Group stranger(mount, name);
    for (uint64_t id = 1; id <= limits::containers_max; ++id) {
        const Status watched = (*loaded)->watch({.cgroup_id = id << 40, .level = 1});
        ASSERT_TRUE(watched) << id << ": " << watched.error().message;
    }
    EXPECT_FALSE((*loaded)->watch({.cgroup_id = 77ull << 50, .level = 1})) << "one too many";
}

TEST(StatsCounters, without_libbpf_a_sentence_says_what_is_missing) {
    const Libbpf before = std::exchange(lib, {});
    const Status none = load_libbpf("libbpf-of-nobody.so.1");
    ASSERT_FALSE(none);
    EXPECT_TRUE(none.error().message.starts_with("load libbpf-of-nobody.so.1: "));
    EXPECT_NE(none.error().message.find("package is libbpf1"), std::string::npos);
    const Status other = load_libbpf("libc.so.6");
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().message.find("it is too old, it has no "), std::string::npos);
    lib = before;
}

/// What is said when the programs are loaded by a process that was made poorer before.
std::string said_after(bool (*make_poorer)(), const std::string& mount) {
    int out[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (!make_poorer()) _exit(1);
        const auto loaded = load_bpf_counters(mount);
        const std::string text = loaded ? "loaded" : loaded.error().message;
        _exit(write(out[1], text.data(), text.size()) > 0 ? 0 : 1);
    }
    close(out[1]);
    char text[4096];
    const ssize_t size = read(out[0], text, sizeof text);
    close(out[0]);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return {text, size > 0 ? size_t(size) : 0};
}

TEST(StatsCounters, without_permission_the_kernels_words_are_the_error) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    const std::string said = said_after([] { return setuid(65534) == 0; }, mount);
    EXPECT_TRUE(said.starts_with("load the eBPF programs")) << said;
    EXPECT_NE(said.find("needs CAP_SYS_ADMIN"), std::string::npos) << said;
    EXPECT_NE(said.find("EPERM (Operation not permitted)"), std::string::npos) << said;
    EXPECT_FALSE(load_bpf_counters("/no/such/place"));
}

TEST(StatsCounters, a_kernel_without_its_types_is_an_error_that_names_them) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    const char* const types = "/sys/kernel/btf";
    if (access(types, F_OK) != 0) GTEST_SKIP() << "this kernel has none";
    const std::string said = said_after(
        [] {
            return unshare(CLONE_NEWNS) == 0 &&
                   ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   ::mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr) == 0;
        },
        mount);
    EXPECT_TRUE(said.starts_with("load the eBPF programs")) << said;
    EXPECT_NE(said.find("it has no /sys/kernel/btf/vmlinux"), std::string::npos) << said;
}

}  // namespace
}  // namespace noded::stats
