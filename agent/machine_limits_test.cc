// The limits of a machine, read from a tree of files that looks like one.
#include "agent/machine_limits.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace noded {
namespace {

namespace fs = std::filesystem;

struct MachineLimitsTest : testing::Test {
    void SetUp() override {
        char name[] = "/tmp/noded-test-machine-XXXXXX";
        root = mkdtemp(name);
        put("/proc/self/mountinfo",
            "30 24 0:26 / /cg/pids rw - cgroup cgroup rw,pids\n"
            "31 24 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
            "32 24 0:28 / /cg/unified rw - cgroup2 cgroup2 rw\n");
        put("/proc/self/cgroup", "3:pids:/a/b\n2:memory:/a\n0::/a/b\n");
        put("/proc/sys/fs/file-max", "9223372036854775807\n");
        put("/proc/sys/kernel/pid_max", "4194304\n");
        put("/proc/sys/kernel/threads-max", "200000\n");
        put("/cg/pids/a/b/pids.max", "max\n");
        put("/cg/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    }
    void TearDown() override { fs::remove_all(root); }
    void put(const std::string& path, const std::string& text) {
        fs::create_directories(fs::path(root + path).parent_path());
        std::ofstream(root + path) << text;
    }
    /// Those that are not about descriptors, which are this process's.
    std::vector<std::string> warnings() {
        std::vector<std::string> all = look_at_machine(root).warnings;
        std::erase_if(all, [](const std::string& text) {
            return text.find("open files") != std::string::npos;
        });
        return all;
    }

    std::string root;
};

TEST_F(MachineLimitsTest, a_machine_that_limits_nothing_is_not_complained_about) {
    EXPECT_TRUE(warnings().empty());
    const MachineLimits found = look_at_machine(root);
    EXPECT_EQ(found.processes_max, 200'000u);
    EXPECT_EQ(found.shims_max, 200'000u);
    EXPECT_EQ(found.memory_max, UINT64_MAX);
}

TEST_F(MachineLimitsTest, the_tightest_of_all_groups_above_counts) {
    put("/cg/pids/a/pids.max", "500\n");
    put("/cg/memory/a/memory.limit_in_bytes", "104857600\n");
    put("/cg/unified/memory.max", "52428800\n");
    const MachineLimits found = look_at_machine(root);
    EXPECT_EQ(found.shims_max, 500u);
    EXPECT_EQ(found.memory_max, 52'428'800u);
    const auto said = warnings();
    ASSERT_EQ(said.size(), 2u);
    EXPECT_NE(said[0].find("allows 500 processes in the cgroup of noded"), std::string::npos);
    EXPECT_NE(said[0].find("raise TasksMax"), std::string::npos);
    EXPECT_NE(said[1].find("52428800 bytes of memory"), std::string::npos);
}

TEST_F(MachineLimitsTest, what_the_kernel_has_little_of_is_told_with_the_name_of_its_setting) {
    put("/proc/sys/fs/inotify/max_user_watches", "500\n");
    put("/proc/sys/fs/inotify/max_user_instances", "2\n");
    put("/proc/sys/kernel/keys/root_maxkeys", "200\n");
    put("/proc/sys/kernel/pty/max", "64\n");
    put("/proc/meminfo", "MemTotal:         262144 kB\nMemFree:          100 kB\n");
    const auto said = warnings();
    ASSERT_EQ(said.size(), 5u);
    const char* const parts[] = {"allows 500 watches", "allows 2 watchers",
                                 "kernel.keys.root_maxkeys", "allows 64 terminals",
                                 "allows 268435456 bytes of memory in all"};
    for (size_t i = 0; i < 5; ++i) EXPECT_NE(said[i].find(parts[i]), std::string::npos) << said[i];
    put("/proc/meminfo", "MemTotal:        8388608 kB\n");
    EXPECT_EQ(warnings().size(), 4u);
}

TEST_F(MachineLimitsTest, few_namespaces_and_processes_are_told) {
    put("/proc/sys/user/max_net_namespaces", "100\n");
    put("/proc/sys/kernel/pid_max", "4096\n");
    const auto said = warnings();
    ASSERT_EQ(said.size(), 2u);
    EXPECT_NE(said[0].find("kernel.pid_max"), std::string::npos);
    EXPECT_NE(said[1].find("allows 100 namespaces"), std::string::npos);
}

}  // namespace
}  // namespace noded
