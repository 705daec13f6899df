// A container's life on a kernel that has cgroup v2 alone, whatever the build machine has. Runs
// inside the guest that vm_test.cc boots; same node and checks for leaks as tests/integration.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTop = "/sys/fs/cgroup";

/// "0::/noded/5f0c9d1e/ID\n" as "/noded/5f0c9d1e/ID"; anything else stays and compares unequal.
std::string group_in(const std::string& text) {
    return text.starts_with("0::") ? trimmed(text.substr(3)) : text;
}

std::string group_of(const std::string& pid) {
    return group_in(read_text("/proc/" + pid + "/cgroup"));
}

/// One node for all tests of this file; each test removes what it made.
struct Cgroup2 : testing::Test {
    static void SetUpTestSuite() {
        node = new TestNode;
        node->start();
        fs::copy_file(getenv("GUEST_BUSYBOX"), node->dir() + "/busybox.tar");
        node->import_busybox();
    }
    static void TearDownTestSuite() {
        delete node;
        node = nullptr;
    }
    void TearDown() override { node->expect_nothing_left(); }

    /// Starts a container that sleeps, and gives its id.
    std::string sleeper(const std::string& name) {
        return node->ok({"run", "-d", "--name", name, "busybox", "sleep", "1000"});
    }
    std::string inspect(const std::string& name, const std::string& field) {
        return node->ok({"inspect", "--format", "{{.State." + field + "}}", name});
    }

    static TestNode* node;
};
TestNode* Cgroup2::node = nullptr;

TEST_F(Cgroup2, is_all_that_this_kernel_has_mounted) {
    const std::string mounts = read_text("/proc/self/mounts");
    EXPECT_NE(mounts.find(" /sys/fs/cgroup cgroup2 "), std::string::npos) << mounts;
    EXPECT_EQ(mounts.find(" cgroup "), std::string::npos) << mounts;
}

TEST_F(Cgroup2, nothing_is_said_to_be_missing) {
    EXPECT_EQ(node->diagnostics().find("cgroup"), std::string::npos) << node->diagnostics();
}

TEST_F(Cgroup2, a_container_prints_and_returns_its_exit_code) {
    const Ran ran =
        node->nodectl({"run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(ran.out, "out\n");
    EXPECT_EQ(ran.err, "err\n");
    EXPECT_EQ(ran.exit_code, 7);
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "no-such-command"}).exit_code, 127);
}

TEST_F(Cgroup2, a_container_is_in_a_group_of_its_own) {
    const std::string one = sleeper("one");
    const std::string two = sleeper("two");
    const std::string group = group_of(inspect("one", "Pid"));
    const std::string node_group = fs::path(group).parent_path();
    EXPECT_TRUE(group.starts_with("/noded/") && group.ends_with("/" + one)) << group;
    EXPECT_EQ(group_of(inspect("two", "Pid")), node_group + "/" + two);
    EXPECT_EQ(trimmed(read_text(kTop + group + "/cgroup.procs")), inspect("one", "Pid"));
    // Neither noded nor the shims are in there.
    EXPECT_EQ(read_text(kTop + node_group + "/cgroup.procs"), "");
}

TEST_F(Cgroup2, the_group_of_a_container_has_the_controllers) {
    sleeper("cc");
    const std::string group = kTop + group_of(inspect("cc", "Pid"));
    EXPECT_EQ(trimmed(read_text(group + "/cgroup.controllers")), "cpu io memory pids");
    EXPECT_GT(atol(read_text(group + "/memory.current").c_str()), 0);
    EXPECT_EQ(trimmed(read_text(group + "/pids.current")), "1");
}

TEST_F(Cgroup2, a_container_sees_its_own_group_as_the_root) {
    const Ran ran = node->nodectl(
        {"run", "--rm", "busybox", "sh", "-c",
         "cat /proc/self/cgroup; grep -c . /sys/fs/cgroup/cgroup.procs; "
         "grep cgroup /proc/self/mounts | cut -d' ' -f2-4 | cut -d, -f1; "
         "mkdir /sys/fs/cgroup/mine 2>/dev/null || echo refused"});
    // Two processes: the shell and grep.
    EXPECT_EQ(ran.out, "0::/\n2\n/sys/fs/cgroup cgroup2 ro\nrefused\n") << ran.err;
}

TEST_F(Cgroup2, exec_joins_the_group_of_the_container) {
    sleeper("cc");
    const Ran ran = node->nodectl(
        {"exec", "cc", "sh", "-c", "cat /proc/self/cgroup; cat /proc/1/cgroup; exit 3"});
    EXPECT_EQ(ran.out, "0::/\n0::/\n") << ran.err;
    EXPECT_EQ(ran.exit_code, 3);
    node->ok({"exec", "-d", "cc", "sleep", "1001"});
    const std::string group = kTop + group_of(inspect("cc", "Pid"));
    EXPECT_TRUE(eventually([&] { return trimmed(read_text(group + "/pids.current")) == "2"; }));
    EXPECT_NE(node->ok({"top", "cc"}).find("sleep 1001"), std::string::npos);
}

TEST_F(Cgroup2, stop_and_rm_take_the_group_away) {
    node->ok({"run", "-d", "--name", "cc", "busybox", "sh", "-c",
              "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"});
    ASSERT_TRUE(eventually([&] { return node->ok({"logs", "cc"}) == "up"; }));
    const std::string group = kTop + group_of(inspect("cc", "Pid"));
    ASSERT_TRUE(fs::exists(group + "/cgroup.procs")) << group;
    node->ok({"stop", "cc"});
    EXPECT_EQ(inspect("cc", "ExitCode"), "5");
    node->ok({"rm", "cc"});
    EXPECT_TRUE(eventually([&] { return !fs::exists(group); })) << group;
}

TEST_F(Cgroup2, a_container_that_outgrows_its_memory_is_told_as_killed_for_that) {
    // It waits until the limit stands.
    node->ok({"run", "-d", "--name", "fat", "busybox", "sh", "-c",
              "until [ -e /tmp/go ]; do sleep 0.1; done; exec tail /dev/zero"});
    const std::string group = kTop + group_of(inspect("fat", "Pid"));
    std::ofstream(group + "/memory.max") << "16777216" << std::flush;
    ASSERT_EQ(trimmed(read_text(group + "/memory.max")), "16777216");
    node->ok({"exec", "fat", "touch", "/tmp/go"});
    EXPECT_EQ(node->ok({"wait", "fat"}), "137");
    EXPECT_EQ(inspect("fat", "OOMKilled"), "true");
}

TEST_F(Cgroup2, a_memory_limit_kills_and_is_told) {
    const Ran ran = node->nodectl(
        {"run", "--name", "fat", "-m", "16m", "busybox", "tail", "/dev/zero"});
    EXPECT_EQ(ran.exit_code, 137) << ran.err;
    EXPECT_EQ(inspect("fat", "OOMKilled") + " " + inspect("fat", "ExitCode"), "true 137");
}

TEST_F(Cgroup2, a_pids_limit_refuses_the_next_process) {
    const Ran ran = node->nodectl({"run", "--rm", "--pids-limit", "3", "busybox", "sh", "-c",
                                   "for i in 1 2 3 4 5; do sleep 5 & done; echo all"});
    EXPECT_NE(ran.err.find("fork"), std::string::npos) << ran.out << ran.err;
}

TEST_F(Cgroup2, what_is_reserved_and_what_may_be_swapped_stand_in_the_files) {
    node->ok({"run", "-d", "--name", "both", "-m", "32m", "--memory-swap", "48m",
              "--memory-reservation", "16m", "busybox", "sleep", "1000"});
    const std::string group = kTop + group_of(inspect("both", "Pid"));
    EXPECT_EQ(trimmed(read_text(group + "/memory.low")), "16777216");
    if (fs::exists(group + "/memory.swap.max")) {
        EXPECT_EQ(trimmed(read_text(group + "/memory.swap.max")), "16777216");
    }
    node->ok({"update", "--memory-reservation", "20m", "both"});
    EXPECT_EQ(trimmed(read_text(group + "/memory.low")), "20971520");
    node->ok({"rm", "-f", "both"});
}

/// User-mode Linux has neither CPU sets nor weights of I/O.
TEST_F(Cgroup2, what_this_kernel_cannot_limit_is_refused_with_a_sentence) {
    const std::string controllers = read_text(std::string(kTop) + "/cgroup.controllers");
    if (controllers.find("cpuset") == std::string::npos) {
        const Ran ran = node->nodectl({"run", "--rm", "--cpuset-cpus", "0", "busybox", "true"});
        EXPECT_EQ(ran.exit_code, 125);
        EXPECT_NE(ran.err.find("this host cannot limit cpuset so"), std::string::npos) << ran.err;
    }
    const Ran weighed = node->nodectl({"run", "--rm", "--blkio-weight", "505", "busybox", "sh",
                                       "-c", "cat /sys/fs/cgroup/io.weight"});
    EXPECT_TRUE(weighed.out == "default 5000\n" ||
                weighed.err.find("this host cannot limit blkio so") != std::string::npos)
        << weighed.out << weighed.err;
}

TEST_F(Cgroup2, a_cpu_limit_throttles) {
    node->ok({"run", "-d", "--name", "busy", "--cpus", "0.2", "-c", "512", "busybox",
              "sh", "-c", "while :; do :; done"});
    const std::string group = kTop + group_of(inspect("busy", "Pid"));
    EXPECT_EQ(trimmed(read_text(group + "/cpu.max")), "20000 100000");
    EXPECT_EQ(trimmed(read_text(group + "/cpu.weight")), "59");
    EXPECT_TRUE(eventually([&] {
        const std::string text = read_text(group + "/cpu.stat");
        const size_t at = text.find("nr_throttled ");
        return at != std::string::npos && atol(text.c_str() + at + 13) > 0;
    })) << read_text(group + "/cpu.stat");
    node->ok({"rm", "-f", "busy"});
}

/// User-mode Linux has no BTF, and so no eBPF programs.
TEST_F(Cgroup2, figures_come_from_files_where_the_kernel_counts_nothing_and_info_says_so) {
    node->ok({"run", "-d", "--name", "busy", "busybox", "sh", "-c", "while :; do :; done"});
    std::string shown;
    EXPECT_TRUE(eventually([&] {
        shown = node->ok({"stats", "--no-stream", "--format",
                          "{{.CPUPerc}} {{.PIDs}} {{.WaitP50}} {{.OOMKills}} {{.IOP99}}", "busy"});
        return strtod(shown.c_str(), nullptr) > 1 && shown.ends_with("% 1 -- -- --");
    })) << shown;
    const std::string warnings = node->ok({"info", "--format", "{{json .Warnings}}"});
    EXPECT_NE(warnings.find("nothing is counted by eBPF: load the eBPF programs"),
              std::string::npos)
        << warnings;
    const std::string sources = node->ok({"info", "--format", "{{json .StatsSources}}"});
    EXPECT_NE(sources.find("memory /sys/fs/cgroup"), std::string::npos) << sources;
    node->ok({"rm", "-f", "busy"});
}

/// Its own rights over a device that no container has: the disk of this machine.
TEST_F(Cgroup2, a_program_keeps_containers_from_the_devices_of_the_host) {
    const std::string look = "mknod /disk b 98 0; head -c 1 /disk >/dev/null 2>&1 && echo read; "
                             "(: >> /disk) 2>/dev/null && echo write; "
                             "head -c 1 /dev/zero | wc -c";
    const auto run = [&](std::vector<std::string> options) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", look});
        return node->nodectl(all).out;
    };
    EXPECT_EQ(run({}), "1\n");
    EXPECT_EQ(run({"--device-cgroup-rule", "b 98:0 r"}), "read\n1\n");
    EXPECT_EQ(run({"--device-cgroup-rule", "b 98:* rw"}), "read\nwrite\n1\n");
    EXPECT_EQ(run({"--privileged"}), "read\nwrite\n1\n");
    EXPECT_EQ(run({"--device", "/dev/ubda:/dev/other:r"}), "read\n1\n");
    const Ran given = node->nodectl({"run", "--rm", "--device", "/dev/ubda:/dev/given:r", "busybox",
                                     "sh", "-c",
                                     "head -c 1 /dev/given | wc -c; (: >> /dev/given) || echo no"});
    EXPECT_EQ(given.out, "1\nno\n") << given.err;
}

TEST_F(Cgroup2, the_program_of_devices_is_there_after_many_restarts_of_noded) {
    for (int i = 0; i < 3; ++i) {
        node->kill();
        node->start();
    }
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "sh", "-c",
                             "mknod /disk b 98 0; head -c 1 /disk 2>/dev/null || echo no"})
                  .out,
              "no\n");
    EXPECT_EQ(node->diagnostics().find("nodev"), std::string::npos) << node->diagnostics();
}

TEST_F(Cgroup2, a_group_with_a_parent_of_its_own_has_limits_and_devices) {
    node->ok({"run", "-d", "--name", "cc", "--cgroup-parent", "/mine/deep", "-m", "32m",
              "--pids-limit", "7", "busybox", "sleep", "1000"});
    const std::string group = group_of(inspect("cc", "Pid"));
    EXPECT_TRUE(group.starts_with("/mine/deep/")) << group;
    EXPECT_EQ(trimmed(read_text(kTop + group + "/memory.max")), "33554432");
    EXPECT_EQ(trimmed(read_text(kTop + group + "/pids.max")), "7");
    EXPECT_NE(node->nodectl({"exec", "cc", "sh", "-c", "mknod /d b 98 0; head -c 1 /d"}).exit_code,
              0);
    node->ok({"rm", "-f", "cc"});
    EXPECT_TRUE(eventually([&] { return !fs::exists(kTop + group); }));
    rmdir((std::string(kTop) + "/mine/deep").c_str());
    rmdir((std::string(kTop) + "/mine").c_str());
}

/// One reads 16 MiB at 64 KiB per second, the other as fast as it can: who began later is first.
TEST_F(Cgroup2, a_limit_on_reading_slows_what_has_it) {
    const std::vector<std::string> read = {"busybox", "dd", "if=/dev/ubda", "of=/dev/null",
                                           "iflag=direct", "bs=64k", "count=256"};
    const auto start = [&](const std::string& name, std::vector<std::string> options) {
        std::vector<std::string> all = {"run", "-d",       "--name",
                                        name,  "--device", "/dev/ubda:/dev/ubda:r"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), read.begin(), read.end());
        node->ok(all);
    };
    start("slow", {"--device-read-bps", "/dev/ubda:64k"});
    const std::string group = kTop + group_of(inspect("slow", "Pid"));
    EXPECT_NE(read_text(group + "/io.max").find("rbps=65536"), std::string::npos)
        << read_text(group + "/io.max");
    start("fast", {});
    EXPECT_EQ(node->ok({"wait", "fast"}), "0");
    EXPECT_EQ(inspect("slow", "Status"), "running");
    node->ok({"rm", "-f", "slow", "fast"});
}

TEST_F(Cgroup2, that_the_memory_was_not_enough_is_an_event) {
    node->ok({"run", "-d", "--name", "fat", "-m", "16m", "busybox", "tail", "/dev/zero"});
    EXPECT_EQ(node->ok({"wait", "fat"}), "137");
    EXPECT_EQ(inspect("fat", "OOMKilled"), "true");
    const std::string events = node->ok({"events", "--filter", "type=ContainerExited"});
    EXPECT_NE(events.find("oomKilled=true"), std::string::npos) << events;
}

/// A tmpfs of this kernel cannot, its ext4 can.
TEST_F(Cgroup2, ids_are_mapped_where_the_file_system_can_and_else_it_is_said) {
    const auto configure = [](const TestNode& of) {
        const std::string path = of.dir() + "/noded.json";
        std::ofstream(path) << R"({"plugins": {"container": {"usernsIds": "100000:65536"}}})";
        return path;
    };
    const std::vector<std::string> who = {"run", "--rm", "--userns", "remap", "busybox", "sh", "-c",
                                          "id -u; awk '{print $2}' /proc/self/uid_map"};
    node->stop();
    node->start({"--config", configure(*node)});
    const Ran refused = node->nodectl(who);
    EXPECT_EQ(refused.exit_code, 125);
    EXPECT_NE(refused.err.find("idmapped mounts"), std::string::npos) << refused.err;
    setenv("TMPDIR", "/run/disk", 1);
    {
        TestNode other;
        other.start({"--config", configure(other)});
        fs::copy_file(getenv("GUEST_BUSYBOX"), other.dir() + "/busybox.tar");
        other.import_busybox();
        EXPECT_EQ(other.nodectl(who).out, "0\n100000\n");
    }
    setenv("TMPDIR", "/run", 1);
}

TEST_F(Cgroup2, a_limit_that_this_kernel_does_not_know_is_refused) {
    const Ran ran =
        node->nodectl({"run", "--rm", "-m", "64m", "--oom-kill-disable", "busybox", "true"});
    EXPECT_EQ(ran.exit_code, 125);
    EXPECT_NE(ran.err.find("this host cannot limit memory so"), std::string::npos) << ran.err;
}

TEST_F(Cgroup2, a_container_outlives_a_killed_noded_in_the_same_group) {
    const std::string id = sleeper("cc");
    const std::string pid = inspect("cc", "Pid");
    const std::string group = group_of(pid);
    node->kill();
    EXPECT_EQ(group_of(pid), group);
    node->start();
    EXPECT_EQ(inspect("cc", "Status") + " " + inspect("cc", "Pid"), "running " + pid);
    EXPECT_EQ(group_of(pid), group);
    EXPECT_EQ(node->ok({"exec", "cc", "cat", "/proc/self/cgroup"}), "0::/");
    // One that ends while nobody is there is removed as well.
    node->ok({"run", "-d", "--rm", "--name", "short", "busybox", "sh", "-c", "sleep 1; exit 4"});
    const std::string short_group = kTop + group_of(inspect("short", "Pid"));
    node->kill();
    sleep_ms(1500);
    node->start();
    EXPECT_TRUE(eventually([&] { return !fs::exists(short_group); })) << short_group;
    node->ok({"stop", "-t", "0", "cc"});
    EXPECT_EQ(inspect("cc", "ExitCode"), "137");
}

TEST_F(Cgroup2, a_node_that_stops_leaves_no_group_of_its_own) {
    sleeper("cc");
    const std::string node_group = fs::path(kTop + group_of(inspect("cc", "Pid"))).parent_path();
    node->ok({"rm", "-f", "cc"});
    node->expect_nothing_left();
    node->stop();
    EXPECT_FALSE(fs::exists(node_group)) << node_group;
    node->start();
}

}  // namespace
}  // namespace noded::test
