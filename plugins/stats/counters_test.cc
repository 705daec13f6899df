// The eBPF programs on this machine's kernel: what a cgroup does is counted for it alone, and a
// kernel that takes no programs is an error with its words. (tests/integration/stats_test.cc makes
// each program count something in a container.)
#include "plugins/stats/counters.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "bpf/refused_object.h"
#include "plugins/stats/places.h"

namespace noded::stats {
namespace {

std::string v2_mount() {
    std::stringstream text;
    text << std::ifstream("/proc/self/mountinfo").rdbuf();
    for (const Mount& mount : parse_mounts(text.str()))
        if (mount.controllers.empty()) return mount.path;
    return "";
}

/// Empty where blkio has no hierarchy of its own.
std::string blkio_mount() {
    std::stringstream text;
    text << std::ifstream("/proc/self/mountinfo").rdbuf();
    for (const Mount& mount : parse_mounts(text.str()))
        if (mount.has("blkio")) return mount.path;
    return "";
}

uint64_t id_of(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// A group of its own in the v2 tree, one below the root, and in that of blkio.
class Group {
public:
    explicit Group(const std::string& mount) : path_(mount + "/noded-test-XXXXXX") {
        EXPECT_NE(mkdtemp(path_.data()), nullptr);
        if (blkio_mount().empty()) return;
        blkio_ = blkio_mount() + path_.substr(mount.size());
        mkdir(blkio_.c_str(), 0755);
    }
    ~Group() {
        rmdir(path_.c_str());
        if (!blkio_.empty()) rmdir(blkio_.c_str());
    }
    uint64_t id() const { return id_of(path_); }
    uint64_t blkio_id() const { return blkio_.empty() ? 0 : id_of(blkio_); }
    /// Runs a script in it to its end: one program, and those that it names.
    void run(const char* script) const {
        const pid_t child = fork();
        if (child == 0) {
            std::ofstream(path_ + "/cgroup.procs") << getpid() << std::flush;
            if (!blkio_.empty())
                std::ofstream(blkio_ + "/cgroup.procs") << getpid() << std::flush;
            execl("/bin/sh", "sh", "-c", script, nullptr);
            _exit(121);
        }
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }

private:
    std::string path_, blkio_;
};

TEST(StatsCounters, what_a_cgroup_does_is_counted_for_it_alone) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount, 1);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    Counters& counters = **loaded;
    EXPECT_EQ(counters.state().source, "kernel eBPF");
    const Group watched(mount), other(mount), unknown(mount);
    ASSERT_TRUE(counters.watch(watched.id()));
    ASSERT_TRUE(counters.watch(watched.id())) << "again";
    ASSERT_TRUE(counters.watch(other.id()));
    for (int i = 0; i < 3; ++i) watched.run(":");
    unknown.run(":");
    auto found = counters.read();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[watched.id()].execs, 3u);
    EXPECT_EQ(found[watched.id()].exits, 3u);
    EXPECT_EQ(found[watched.id()].waits, 0u) << "nobody asked for the scheduler";
    EXPECT_EQ(found[other.id()].execs, 0u);
    counters.follow_scheduler(true);
    watched.run("sleep 0.01; :");
    EXPECT_GT(counters.read()[watched.id()].waits, 0u);
    counters.follow_scheduler(false);
    const uint64_t waits = counters.read()[watched.id()].waits;
    watched.run("sleep 0.01; :");
    EXPECT_EQ(counters.read()[watched.id()].waits, waits);
    counters.forget(other.id());
    EXPECT_EQ(counters.read().size(), 1u);
}

TEST(StatsCounters, requests_of_block_devices_are_counted_with_their_time) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount, 1);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    if ((*loaded)->state().warning.find("block_rq") != std::string::npos)
        GTEST_SKIP() << (*loaded)->state().warning;
    const Group watched(mount), other(mount);
    ASSERT_TRUE((*loaded)->watch(watched.id(), watched.blkio_id()));
    ASSERT_TRUE((*loaded)->watch(other.id(), other.blkio_id()));
    const std::string file = testing::TempDir() + "/noded-counters-test";
    // What goes past the cache is charged to the one who writes.
    const std::string script = "dd if=/dev/zero of=" + file +
                               " bs=1M count=4 oflag=direct 2>/dev/null && dd if=" + file +
                               " of=/dev/null bs=1M iflag=direct 2>/dev/null || exit 9";
    const int fits = open((file + "-probe").c_str(), O_CREAT | O_WRONLY | O_DIRECT, 0600);
    unlink((file + "-probe").c_str());
    if (fits < 0) GTEST_SKIP() << "the temporary folder takes no direct writes";
    close(fits);
    watched.run(script.c_str());
    unlink(file.c_str());
    auto found = (*loaded)->read();
    const Kernel& figures = found[watched.id()];
    EXPECT_GE(figures.io.write_bytes, 4u << 20);
    EXPECT_LT(figures.io.write_bytes, 6u << 20);
    EXPECT_GE(figures.io.read_bytes, 4u << 20);
    EXPECT_GT(figures.io.reads, 0u);
    EXPECT_GT(figures.io.writes, 0u);
    EXPECT_GT(figures.io_ns, 0u);
    uint64_t in_buckets = 0;
    for (const uint64_t count : figures.io_us_log2) in_buckets += count;
    EXPECT_EQ(in_buckets, figures.io.reads + figures.io.writes);
    EXPECT_EQ(found[other.id()].io.writes, 0u);
}

TEST(StatsCounters, a_connection_that_is_begun_is_counted) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(mount, 1);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    const Group watched(mount);
    ASSERT_TRUE((*loaded)->watch(watched.id()));
    watched.run("python3 -c \"import socket; socket.socket().connect_ex(('127.0.0.1', 9))\"");
    EXPECT_EQ((*loaded)->read()[watched.id()].tcp_connects, 1u);
}

TEST(StatsCounters, a_program_that_the_verifier_refuses_is_left_out_and_its_words_are_told) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    auto loaded = load_bpf_counters(refused_object, mount, 1);
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
    auto loaded = load_bpf_counters(mount, 1);
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    for (uint64_t id = 1; id <= 1000; ++id) {
        const Status watched = (*loaded)->watch(id << 40);
        ASSERT_TRUE(watched) << watched.error().message;
    }
    EXPECT_EQ((*loaded)->read().size(), 1000u);
}

TEST(StatsCounters, without_permission_the_kernels_words_are_the_error) {
    const std::string mount = v2_mount();
    if (mount.empty() || geteuid() != 0) GTEST_SKIP() << "needs root and a cgroup v2 tree";
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (setuid(65534) != 0) _exit(1);
        const auto loaded = load_bpf_counters(mount, 1);
        const std::string text = loaded ? "loaded" : loaded.error().message;
        _exit(write(out[1], text.data(), text.size()) > 0 ? 0 : 1);
    }
    close(out[1]);
    char text[4096];
    const ssize_t size = read(out[0], text, sizeof text);
    close(out[0]);
    waitpid(child, nullptr, 0);
    const std::string said(text, size > 0 ? size_t(size) : 0);
    EXPECT_TRUE(said.starts_with("load the eBPF programs")) << said;
    EXPECT_NE(said.find("EPERM (Operation not permitted)"), std::string::npos) << said;
    EXPECT_FALSE(load_bpf_counters("/no/such/place", 1));
}

}  // namespace
}  // namespace noded::stats
