// What containers use, through the whole path: a real load in a real container, the kernel's
// counters, the plugin stats, and nodectl stats in docker's columns.
#include <gtest/gtest.h>

#include <cstdlib>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

using Json = nlohmann::json;
using StatsTest = SharedNodeTest;

/// The newest sample's row of a container; null if there is none.
Json figures(const TestNode& node, const std::string& container) {
    const Json answer = Json::parse(
        node.ok({"call", "stats", "read", Json{{"containers", {container}}}.dump()}));
    const Json& rows = answer["samples"].back()["containers"];
    return rows.empty() ? Json() : rows[0];
}

uint64_t number(const Json& value) { return value.get<uint64_t>(); }

TEST_F(StatsTest, a_table_has_dockers_columns_and_one_row_for_each_that_runs) {
    const std::string id = node->ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    node->ok({"create", "--name", "still", "busybox", "true"});
    const auto lines = lines_of(node->ok({"stats", "--no-stream"}));
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(std::regex_replace(lines[0], std::regex("   *"), "|"),
              "CONTAINER ID|NAME|CPU %|MEM USAGE / LIMIT|MEM %|NET I/O|BLOCK I/O|PIDS");
    EXPECT_TRUE(lines[1].starts_with(id.substr(0, 12) + "   web       0.")) << lines[1];
    EXPECT_TRUE(lines[1].ends_with("   1")) << lines[1];
    const auto all = lines_of(node->ok({"stats", "--no-stream", "-a", "--format",
                                        "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"}));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0], "still 0.00% 0B / 0B 0");
    EXPECT_EQ(node->ok({"stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}"}), id);
    EXPECT_EQ(node->ok({"container", "stats", "--no-stream", "--format",
                        "{{.Container}} {{.NetIO}} {{.BlockIO}}", "web"}),
              "web 0B / 0B 0B / 0B");
    const Json json = Json::parse(node->ok({"stats", "--no-stream", "--format", "json", "web"}));
    for (const char* key : {"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name",
                            "NetIO", "PIDs"})
        EXPECT_TRUE(json.contains(key)) << key;
}

TEST(StatsWithoutPlugin, figures_come_from_the_files_of_cgroups) {
    TestNode bare;
    std::filesystem::remove(bare.plugin_dir() + "/stats.so");
    bare.start();
    bare.import_busybox();
    bare.ok({"run", "-d", "--name", "busy", "--memory", "64m", "--pids-limit", "50", "busybox",
             "sh", "-c", "dd if=/dev/zero of=/dev/shm/fill bs=1M count=20; while :; do :; done"});
    bare.ok({"create", "--name", "still", "busybox", "true"});
    const std::string format = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}";
    const auto row = [&] {
        return trimmed(bare.ok({"stats", "--no-stream", "--format", format, "busy"}));
    };
    EXPECT_TRUE(eventually([&] {
        std::smatch found;
        const std::string text = row();
        return std::regex_match(text, found,
                                std::regex("busy ([0-9.]+)% ([0-9.]+)MiB / 64MiB 1")) &&
               std::stod(found[1]) > 1 && std::stod(found[2]) > 20;
    }, 60)) << row();
    EXPECT_EQ(lines_of(bare.ok({"stats", "--no-stream", "-a"})).size(), 3u);
    Running stream(bare.command({"stats", "--format", "{{.Name}}"}));
    EXPECT_TRUE(stream.read_until("busy\n\033[2J\033[Hbusy\n", 60));
    EXPECT_EQ(bare.nodectl({"stats", "--no-stream", "nobody"}).err,
              "Error: No such container: nobody\n");
}

TEST_F(StatsTest, what_a_container_does_is_what_its_figures_say) {
    node->ok({"run", "-d", "--name", "busy", "--memory", "64m", "--pids-limit", "50", "busybox",
              "sh", "-c",
              "dd if=/dev/zero of=/dev/shm/fill bs=1M count=20; while :; do :; done"});
    const auto filled = [&] {
        const Json row = figures(*node, "busy");
        return !row.is_null() && number(row["memory"]["usageBytes"]) > (20u << 20);
    };
    ASSERT_TRUE(eventually(filled)) << figures(*node, "busy").dump();
    const Json row = figures(*node, "busy");
    EXPECT_EQ(number(row["memory"]["limitBytes"]), 64u << 20);
    EXPECT_LT(number(row["memory"]["workingSetBytes"]), 64u << 20);
    EXPECT_EQ(number(row["pids"]["limit"]), 50u);
    EXPECT_GE(number(row["pids"]["current"]), 1u);
    EXPECT_EQ(row["name"], "busy");
    EXPECT_EQ(row["image"], "busybox");
    // A shell that never sleeps uses what it can get of a CPU, on a busy machine, too.
    const std::string percent =
        node->ok({"stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", "busy"});
    EXPECT_GT(strtod(percent.c_str(), nullptr), 1.0) << percent;
    EXPECT_TRUE(says(percent, "MiB / 64MiB")) << percent;
    const uint64_t before = number(figures(*node, "busy")["cpu"]["totalNs"]);
    EXPECT_TRUE(eventually(
        [&] { return number(figures(*node, "busy")["cpu"]["totalNs"]) > before; }));
}

TEST_F(StatsTest, cpu_time_is_the_kernels_own_and_throttling_is_counted) {
    // As little as may be asked for: on a busy machine nobody has more than their share, and who
    // may have more than that is not slowed down.
    node->ok({"run", "-d", "--name", "slow", "--cpus", "0.01", "busybox", "sh", "-c",
              "while :; do :; done"});
    EXPECT_TRUE(eventually([&] {
        const Json row = figures(*node, "slow");
        return !row.is_null() && number(row["cpu"]["throttledPeriods"]) > 0 &&
               number(row["cpu"]["throttledNs"]) > 0;
    })) << figures(*node, "slow").dump();
    node->ok({"kill", "slow"});
    node->ok({"wait", "slow"});
    EXPECT_TRUE(eventually([&] { return figures(*node, "slow").is_null(); }));
}

TEST_F(StatsTest, right_below_the_root_of_all_groups_figures_move_too) {
    node->ok({"run", "-d", "--name", "root", "--cgroup-parent", "/", "busybox", "sh", "-c",
              "while :; do :; done"});
    const auto used = [&] {
        const Json row = figures(*node, "root");
        return row.is_null() ? uint64_t{0} : number(row["cpu"]["totalNs"]);
    };
    ASSERT_TRUE(eventually([&] { return used() > 0; }));
    const uint64_t before = used();
    EXPECT_TRUE(eventually([&] { return used() > before; }));
}

/// What eBPF counted; null where the kernel takes no programs, which the status tells.
Json counted(const TestNode& node, const std::string& container) {
    const Json row = figures(node, container);
    return row.is_null() || !row.contains("kernel") ? Json() : row["kernel"];
}

class KernelCountersTest : public StatsTest {
protected:
    void SetUp() override {
        // The programs are loaded with the first container that lives long enough to be looked at.
        node->ok({"run", "-d", "--name", "first", "busybox", "sleep", "1000"});
        const auto status = [&] {
            return Json::parse(node->ok({"call", "stats", "status"}))["status"];
        };
        ASSERT_TRUE(eventually([&] { return says(status().dump(), "eBPF"); }));
        node->ok({"rm", "-f", "first"});
        for (const Json& warning : status()["warnings"])
            if (says(warning.get<std::string>(), "nothing is counted by eBPF"))
                GTEST_SKIP() << warning;
    }
    bool grows(const std::string& container, const char* field, uint64_t from = 0) {
        return eventually([&] {
            const Json kernel = counted(*node, container);
            return !kernel.is_null() && number(kernel[field]) > from;
        }, 20);
    }
};

TEST_F(KernelCountersTest, programs_that_begin_and_end_are_counted) {
    node->ok({"run", "-d", "--name", "forks", "busybox", "sh", "-c",
              "while :; do /bin/busybox true; sleep 0.1; done"});
    EXPECT_TRUE(grows("forks", "execs", 3));
    EXPECT_TRUE(grows("forks", "exits", 3));
    node->ok({"run", "-d", "--name", "still", "busybox", "sleep", "1000"});
    EXPECT_TRUE(eventually([&] { return !counted(*node, "still").is_null(); }));
    EXPECT_LE(number(counted(*node, "still")["execs"]), 1u) << "only what is in the container";
}

TEST_F(KernelCountersTest, packets_are_counted_in_the_nodes_network_too) {
    node->ok({"run", "-d", "--name", "talks", "--network", "host", "busybox", "sh", "-c",
              "while :; do nc -w 1 127.0.0.1 9; sleep 0.1; done"});
    ASSERT_TRUE(eventually([&] {
        const Json kernel = counted(*node, "talks");
        return !kernel.is_null() && number(kernel["net"]["sentPackets"]) > 2 &&
               number(kernel["net"]["sentBytes"]) > 100;
    })) << figures(*node, "talks").dump();
    const std::string shown =
        node->ok({"stats", "--no-stream", "--format", "{{.NetIO}}", "talks"});
    EXPECT_FALSE(says(shown, "/ 0B")) << shown;
}

TEST_F(KernelCountersTest, a_segment_that_is_sent_again_is_counted) {
    // What goes to this network comes back to its own sender, who does not take it: nobody answers.
    node->ok({"run", "-d", "--name", "alone", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c",
              "ip route add 10.9.9.0/24 dev lo; while :; do nc -w 4 10.9.9.9 9; done"});
    EXPECT_TRUE(grows("alone", "tcpRetransmits")) << figures(*node, "alone").dump();
}

TEST_F(KernelCountersTest, kills_for_want_of_memory_are_counted) {
    node->ok({"run", "-d", "--name", "greedy", "--memory", "16m", "busybox", "sh", "-c",
              "while :; do dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 0.2; done"});
    EXPECT_TRUE(grows("greedy", "oomKills")) << figures(*node, "greedy").dump();
}

TEST_F(KernelCountersTest, waits_for_a_cpu_are_counted_while_somebody_asks) {
    node->ok({"run", "-d", "--name", "waits", "busybox", "sh", "-c",
              "(while :; do :; done) & (while :; do :; done) & (while :; do :; done) & "
              "(while :; do :; done) & (while :; do :; done) & wait"});
    EXPECT_TRUE(grows("waits", "waits"));
    EXPECT_TRUE(grows("waits", "waitNs", 1'000'000));
    EXPECT_TRUE(grows("waits", "involuntarySwitches"));
    const Json kernel = counted(*node, "waits");
    uint64_t in_buckets = 0;
    for (const Json& bucket : kernel["waitUsLog2"]) in_buckets += number(bucket);
    EXPECT_EQ(in_buckets, number(kernel["waits"]));
    const auto shown = lines_of(node->ok({"stats", "--no-stream", "--format",
                                          "table {{.Name}}\t{{.WaitP99}}\t{{.PressureCPU}}"}));
    ASSERT_EQ(shown.size(), 2u);
    EXPECT_TRUE(says(shown[0], "WAIT P99")) << shown[0];
    EXPECT_TRUE(says(shown[1], "s ")) << shown[1];
    EXPECT_FALSE(says(shown[1], "--")) << shown[1];
}

TEST_F(StatsTest, the_node_has_figures_of_its_own) {
    const Json answer = Json::parse(node->ok({"call", "stats", "read", R"({"containers": [""]})"}));
    const Json sample = answer["samples"].back();
    EXPECT_TRUE(sample["containers"].empty());
    const Json& of_node = sample["node"];
    EXPECT_EQ(of_node["cpus"], sysconf(_SC_NPROCESSORS_ONLN));
    EXPECT_GT(number(of_node["memory"]["totalBytes"]), number(of_node["memory"]["freeBytes"]));
    EXPECT_GT(number(of_node["cpu"]["userNs"]), 0u);
    EXPECT_GT(number(of_node["processesCreated"]), 0u);
    const bool has_loopback = std::ranges::any_of(
        of_node["networks"], [](const Json& network) { return network["name"] == "lo"; });
    EXPECT_TRUE(has_loopback);
    const Json status = Json::parse(node->ok({"call", "stats", "status"}));
    EXPECT_TRUE(status["status"]["sampling"]);
    EXPECT_FALSE(status["status"]["sources"].empty());
    const Json info = Json::parse(node->ok({"info", "--format", "json"}));
    EXPECT_EQ(info["StatsSources"], status["status"]["sources"]);
    EXPECT_EQ(info["Warnings"], status["status"]["warnings"]);
}

TEST_F(StatsTest, a_stream_follows_what_starts_and_what_ends) {
    node->ok({"run", "-d", "--name", "one", "busybox", "sleep", "1000"});
    Running stream(node->command({"stats", "--format", "<{{.Name}}>"}));
    ASSERT_TRUE(stream.read_until("\033[2J\033[H<one>\n"));
    node->ok({"run", "-d", "--name", "two", "busybox", "sleep", "1000"});
    ASSERT_TRUE(stream.read_until("\033[2J\033[H<two>\n<one>\n")) << stream.out();
    node->ok({"rm", "-f", "one"});
    EXPECT_TRUE(stream.read_until("<one>\n\033[2J\033[H<two>\n\033[2J")) << stream.out();
}

TEST_F(StatsTest, a_named_one_that_is_removed_stays_without_figures) {
    node->ok({"run", "-d", "--name", "one", "busybox", "sleep", "1000"});
    node->ok({"run", "-d", "--name", "two", "busybox", "sleep", "1000"});
    const char* const format = "<{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}>";
    Running stream(node->command({"stats", "--format", format, "one", "two"}));
    ASSERT_TRUE(stream.read_until(" 1>"));
    node->ok({"stop", "-t", "0", "one"});
    EXPECT_TRUE(stream.read_until("<one 0.00% 0B / 0B 0>")) << stream.out();
    node->ok({"rm", "one"});
    EXPECT_TRUE(stream.read_until("<one -- -- / -- -->")) << stream.out();
    node->ok({"rm", "-f", "two"});
    EXPECT_TRUE(stream.read_until("<one -- -- / -- -->\n<two -- -- / -- -->")) << stream.out();
}

TEST_F(StatsTest, what_can_not_be_shown_is_said) {
    const Ran none = node->nodectl({"stats", "--no-stream", "nobody"});
    EXPECT_EQ(none.exit_code, 1);
    EXPECT_TRUE(says(none.err, "No such container: nobody")) << none.err;
    const Ran format = node->nodectl({"stats", "--no-stream", "--format", "{{.Nothing}}"});
    EXPECT_EQ(format.out, "");
    node->ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    EXPECT_EQ(node->nodectl({"stats", "--no-stream", "--format", "{{.Nothing}}"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"stats", "--sometimes"}).exit_code, 125);
    EXPECT_EQ(node->nodectl({"stats", "--help"}).exit_code, 0);
}

TEST(StatsAcrossRestarts, a_noded_that_was_killed_knows_who_runs_and_a_stream_goes_on) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    Running stream(node.command({"stats", "--format", "<{{.Name}}>"}));
    ASSERT_TRUE(stream.read_until("<web>"));
    node.kill();
    node.start();
    EXPECT_EQ(node.ok({"stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}"}), "web 1");
    const size_t seen = stream.out().size();
    EXPECT_TRUE(eventually([&] {
        stream.read_until("never", 1);
        return stream.out().find("<web>", seen) != std::string::npos;
    }));
}

TEST(StatsMany, containers_that_die_while_they_are_sampled_cost_nobody_else_a_row) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "stays", "busybox", "sleep", "1000"});
    Running stream(node.command({"stats", "--format", "<{{.Name}}>"}));
    for (int round = 0; round < 20; ++round) {
        node.ok({"run", "-d", "--rm", "busybox", "true"});
        EXPECT_TRUE(says(node.ok({"stats", "--no-stream", "--format", "<{{.Name}}>"}), "<stays>"));
    }
    EXPECT_TRUE(stream.read_until("<stays>"));
}

}  // namespace
}  // namespace noded::test
