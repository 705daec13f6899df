// What the stats plugin does over time: who is sampled, when, what becomes of files that vanish.
#include <gtest/gtest.h>

#include "plugins/stats/limits.h"
#include "plugins/stats/test_plugin.h"
#include "schemas/container.capnp.h"

namespace noded::stats {
namespace {

using Calls = schema::Stats;

const std::string kWeb(64, 'a');
const std::string kDb(64, 'b');

class StatsTest : public testing::TestWithParam<bool> {
protected:
    StatsTest() {
        machine = std::make_shared<FakeSys>();
        fill_machine(*machine, v2_only());
        EXPECT_EQ(host.load(&test_table), "");
        host.know<schema::ContainerStartFailed>();
    }
    bool v2_only() const { return GetParam(); }

    void run(const std::string& id, const char* name, uint32_t pid, uint64_t n,
             const char* network = "none", const char* parent = "/noded/0badcafe") {
        fill_container(*machine, v2_only(), id, pid, n, parent);
        host.inject<schema::ContainerRequested>([&](auto root) {
            root.setId(id.c_str());
            root.setName(name);
            root.initSpec().setImageName("box");
            root.getSpec().setNetwork(network);
        });
        started(id, pid, 1);
    }
    void started(const std::string& id, uint32_t pid, uint32_t run) {
        host.inject<schema::ContainerStarted>([&](auto root) {
            root.setId(id.c_str());
            root.setRun(run);
            root.setPid(pid);
            root.setPidStartTime(777);
        });
    }
    void exited(const std::string& id) {
        host.inject<schema::ContainerExited>([&](auto root) { root.setId(id.c_str()); });
    }
    uint64_t ask(std::vector<std::string> names = {}, uint64_t after = 0) {
        return host.call<Calls::ReadParams>("stats", "read", [&](auto params) {
            auto list = params.initContainers(unsigned(names.size()));
            for (unsigned i = 0; i < names.size(); ++i) list.set(i, names[i].c_str());
            params.setAfter(after);
        });
    }
    /// The topics of all that was published since the last call, sorted, each with its number.
    std::string published() {
        std::map<std::string, int> counts;
        for (const auto& one : host.published()) {
            std::string topic = one.topic;
            for (const auto& [id, name] : {std::pair(kWeb, "WEB"), std::pair(kDb, "DB")})
                if (const size_t at = topic.find(id); at != std::string::npos)
                    topic.replace(at, id.size(), name);
            ++counts[topic];
        }
        host.forget_published();
        std::string text;
        for (const auto& [topic, count] : counts)
            text += topic + " " + std::to_string(count) + "\n";
        return text;
    }
    /// Time passes here and on the machine.
    void advance_ms(int64_t ms) {
        for (int64_t i = 0; i < ms; i += 10) {
            machine->now_ns += 10'000'000;
            host.advance(10'000'000);
        }
    }
    std::string names_in(schema::Sample::Reader sample) {
        std::string names;
        for (const auto row : sample.getContainers()) names += std::string(row.getName()) + " ";
        return names;
    }
    /// The rows of the newest sample of an answer; "?" while there is none.
    std::string rows(uint64_t token) {
        const auto* answer = host.answer(token);
        if (answer == nullptr) return "?";
        if (answer->refused) return answer->message;
        sdk::Reading<Calls::ReadResults> results(answer->bytes());
        const auto samples = results->getSamples();
        return names_in(samples[samples.size() - 1]);
    }
    schema::StatsStatus::Reader status() {
        const uint64_t token = host.call<Calls::StatusParams>("stats", "status", [](auto) {});
        status_ = std::make_unique<sdk::Reading<Calls::StatusResults>>(host.answer(token)->bytes());
        return (*status_)->getStatus();
    }

    /// All that the kernel's own figures can tell of a container, which has loopback alone.
    Group& know_group(uint32_t pid) {
        machine->files["/proc/" + std::to_string(pid) + "/net/dev"] =
            "  lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n";
        Group& group = machine->counted[1000 + pid].group;
        group.monotonic_ns = 5;
        group.cpu = Cpu{.total_ns = 9};
        group.throttling = true;
        group.memory_usage = 101;
        group.memory_limit = 1000;
        group.pids = {7, 8};
        group.memory_mark = group.pressure_mark = group.io_mark = group.network_mark = 1;
        return group;
    }

    sdk::FakeHost host;
    std::unique_ptr<sdk::Reading<Calls::StatusResults>> status_;
};

INSTANTIATE_TEST_SUITE_P(Hierarchies, StatsTest, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "v2" : "hybrid"; });

TEST_P(StatsTest, a_first_question_is_answered_by_two_samples_of_all_figures) {
    run(kWeb, "web", 10, 50);
    const uint64_t token = ask();
    EXPECT_EQ(rows(token), "?");
    advance_ms(250);
    ASSERT_EQ(rows(token), "web ");
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    ASSERT_EQ(results->getSamples().size(), 2u);
    const auto older = results->getSamples()[0], newer = results->getSamples()[1];
    EXPECT_EQ(newer.getSeq(), older.getSeq() + 1);
    EXPECT_EQ(newer.getMonotonicNs() - older.getMonotonicNs(), 250'000'000);
    const auto row = newer.getContainers()[0];
    EXPECT_EQ(row.getId(), kWeb.c_str());
    EXPECT_EQ(row.getImage(), "box");
    EXPECT_EQ(row.getCpu().getTotalNs(), 50'000u);
    EXPECT_EQ(row.getCpu().getUserNs(), 3'000u);
    EXPECT_EQ(row.getCpu().getPeriods(), 5u);
    EXPECT_EQ(row.getCpu().getThrottledNs(), 6'000u);
    EXPECT_EQ(row.getMemory().getUsageBytes(), 50u);
    EXPECT_EQ(row.getMemory().getWorkingSetBytes(), 49u);
    EXPECT_EQ(row.getMemory().getCacheBytes(), 8u);
    EXPECT_EQ(row.getMemory().getLimitBytes(), 0u);
    EXPECT_EQ(row.getMemory().getPageFaults(), 3u);
    EXPECT_EQ(row.getPids().getCurrent(), 2u);
    EXPECT_EQ(row.getPids().getLimit(), 100u);
    EXPECT_EQ(row.getIo().getWriteBytes(), 20u);
    EXPECT_EQ(row.getIo().getReads(), 1u);
    EXPECT_EQ(row.getNet().getReceivedBytes(), 50u);
    EXPECT_EQ(row.getNet().getSentPackets(), 4u);
    EXPECT_EQ(row.getPressure().getIo().getSomeUs(), 5u);
    const auto node = newer.getNode();
    EXPECT_EQ(node.getCpus(), 2u);
    EXPECT_EQ(node.getMemory().getTotalBytes(), 1'024'000u);
    EXPECT_EQ(node.getDisks().size(), 1u);
    EXPECT_EQ(node.getNetworks().size(), 2u);
    EXPECT_EQ(node.getPressure().getCpu().getFullUs(), 7u);
    EXPECT_EQ(host.snapshot_trouble("stats"), "");
    EXPECT_EQ(host.damaged_snapshot_trouble("stats"), "");
}

TEST_P(StatsTest, a_later_question_is_answered_at_once_and_files_stay_open) {
    run(kWeb, "web", 10, 50);
    ask();
    advance_ms(300);
    const size_t opens = machine->opens;
    EXPECT_GT(machine->open_now, 8u);
    EXPECT_EQ(rows(ask()), "web ");
    advance_ms(2500);
    EXPECT_EQ(rows(ask()), "web ");
    EXPECT_EQ(machine->opens, opens);
}

TEST_P(StatsTest, nothing_is_read_before_a_question_and_some_time_after_the_last) {
    run(kWeb, "web", 10, 50);
    advance_ms(3000);
    EXPECT_EQ(machine->reads, 3u) << "the mounts, and what cgroup it is";
    EXPECT_FALSE(status().getSampling());
    ask();
    advance_ms(5000);
    EXPECT_TRUE(status().getSampling());
    EXPECT_GT(status().getOpenFiles(), 8u);
    advance_ms(7000);
    EXPECT_FALSE(status().getSampling());
    const size_t reads = machine->reads;
    advance_ms(5000);
    EXPECT_EQ(machine->reads, reads);
    EXPECT_EQ(machine->open_now, 0u);
    EXPECT_EQ(host.timers(), 0u);
    // What was kept is too old by now.
    const uint64_t again = ask();
    EXPECT_EQ(rows(again), "?");
    advance_ms(250);
    EXPECT_EQ(rows(again), "web ");
}

TEST_P(StatsTest, a_follower_gets_each_sample_once) {
    run(kWeb, "web", 10, 50);
    ask();
    advance_ms(300);
    uint64_t seq = 2;
    for (int i = 0; i < 3; ++i) {
        const uint64_t token = ask({}, seq);
        EXPECT_EQ(rows(token), "?");
        advance_ms(1000);
        ASSERT_EQ(rows(token), "web ");
        sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
        ASSERT_EQ(results->getSamples().size(), 1u);
        EXPECT_EQ(results->getSamples()[0].getSeq(), seq + 1);
        seq = results->getSamples()[0].getSeq();
    }
    // The number of an earlier noded.
    const uint64_t old = ask({}, 1000);
    EXPECT_EQ(rows(old), "web ");
}

TEST_P(StatsTest, rows_come_newest_first_and_by_id_or_name) {
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    ask();
    advance_ms(300);
    EXPECT_EQ(rows(ask()), "db web ");
    EXPECT_EQ(rows(ask({"web"})), "web ");
    EXPECT_EQ(rows(ask({kDb})), "db ");
    EXPECT_EQ(rows(ask({"nobody"})), "");
    EXPECT_EQ(rows(ask({""})), "");
    host.inject<schema::ContainerRenamed>([&](auto root) {
        root.setId(kWeb.c_str());
        root.setOldName("web");
        root.setName("www");
    });
    advance_ms(1000);
    EXPECT_EQ(rows(ask({"www"})), "www ");
}

TEST_P(StatsTest, a_container_that_has_just_started_is_waited_for) {
    run(kWeb, "web", 10, 50);
    ask();
    advance_ms(300);
    run(kDb, "db", 11, 60);
    EXPECT_EQ(rows(ask({"web"})), "web ");
    const uint64_t token = ask({"db"});
    EXPECT_EQ(rows(token), "?");
    advance_ms(500);
    EXPECT_EQ(rows(token), "db ");
}

TEST_P(StatsTest, cgroups_that_vanish_cost_their_own_row_only) {
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    ask();
    advance_ms(300);
    machine->remove(v2_only() ? "/sys/fs/cgroup/noded/0badcafe/" + kDb : "/cg/");
    if (!v2_only()) fill_container(*machine, false, kWeb, 10, 70);
    advance_ms(1000);
    EXPECT_EQ(rows(ask({"web"})), "web ");
    const uint64_t all = ask();
    advance_ms(2000);
    EXPECT_EQ(rows(all), "web ");
}

TEST_P(StatsTest, one_file_that_vanishes_costs_its_own_figures_only) {
    run(kWeb, "web", 10, 50);
    machine->files.erase("/proc/10/net/dev");
    for (auto& [path, text] : machine->files)
        if (path.ends_with("memory.stat") || path.ends_with("memory.usage_in_bytes") ||
            path.ends_with("memory.current"))
            text = "";
    ask();
    advance_ms(300);
    sdk::Reading<Calls::ReadResults> results(host.answer(ask())->bytes());
    const auto row = results->getSamples()[1].getContainers()[0];
    EXPECT_FALSE(row.hasMemory());
    EXPECT_FALSE(row.hasNet());
    EXPECT_TRUE(row.hasCpu());
    EXPECT_TRUE(row.hasPids());
}

TEST_P(StatsTest, a_process_with_the_number_of_one_that_ended_is_not_taken_for_it) {
    run(kWeb, "web", 10, 50);
    machine->files["/proc/10/stat"] = "10 (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 888 0 0\n";
    const uint64_t token = ask();
    advance_ms(1000);
    EXPECT_EQ(rows(token), "");
}

TEST_P(StatsTest, an_exit_takes_the_row_away_and_the_next_run_brings_it_back) {
    run(kWeb, "web", 10, 50);
    ask();
    advance_ms(300);
    exited(kWeb);
    EXPECT_EQ(rows(ask()), "") << "nor is it told of from samples of before";
    advance_ms(1000);
    EXPECT_EQ(rows(ask()), "");
    EXPECT_LE(machine->open_now, 9u) << "the node's files alone";
    fill_container(*machine, v2_only(), kWeb, 12, 5);
    started(kWeb, 12, 2);
    const uint64_t token = ask();
    advance_ms(1000);
    ASSERT_EQ(rows(token), "web ");
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    EXPECT_EQ(results->getSamples()[1].getContainers()[0].getRun(), 2u);
    EXPECT_EQ(results->getSamples()[1].getContainers()[0].getCpu().getTotalNs(), 5'000u);
    host.inject<schema::ContainerRemoved>([&](auto root) { root.setId(kWeb.c_str()); });
    EXPECT_EQ(host.snapshot_trouble("stats"), "");
}

TEST_P(StatsTest, files_are_opened_anew_where_too_few_may_stay_open) {
    machine->files_allowed = 64;  // of which a quarter may stay open
    host.restart();
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    const uint64_t token = ask();
    advance_ms(300);
    EXPECT_EQ(rows(token), "db web ");
    EXPECT_LE(machine->open_now, 16u);
}

TEST_P(StatsTest, the_network_of_the_node_is_not_a_containers) {
    run(kWeb, "web", 10, 50, "host");
    ask();
    advance_ms(300);
    sdk::Reading<Calls::ReadResults> results(host.answer(ask())->bytes());
    EXPECT_FALSE(results->getSamples()[1].getContainers()[0].hasNet());
}

TEST_P(StatsTest, a_restart_knows_who_runs) {
    run(kWeb, "web", 10, 50);
    host.restart_from_snapshot();
    const uint64_t token = ask();
    advance_ms(300);
    EXPECT_EQ(rows(token), "web ");
}

TEST_P(StatsTest, a_question_whose_client_left_is_forgotten_and_too_many_are_refused) {
    const uint64_t token = ask();
    host.cancel(token);
    advance_ms(300);
    EXPECT_EQ(host.late_answers(), 0u);
    for (size_t i = 0; i < limits::questions_waiting_max; ++i) ask({}, 2);
    EXPECT_NE(rows(ask({}, 2)).find("try again"), std::string::npos);
}

TEST_P(StatsTest, a_full_lane_delays_a_sample_and_loses_nobody) {
    run(kWeb, "web", 10, 50);
    host.fill_offload(true);
    const uint64_t token = ask();
    advance_ms(1000);
    EXPECT_EQ(rows(token), "?");
    host.fill_offload(false);
    advance_ms(600);
    EXPECT_EQ(rows(token), "web ");
}

TEST_P(StatsTest, a_full_lane_delays_counting_in_the_kernel_and_its_end) {
    host.fill_offload(true);
    run(kWeb, "web", 10, 50);
    advance_ms(1000);
    EXPECT_TRUE(machine->counted.empty());
    host.fill_offload(false);
    advance_ms(100);
    EXPECT_TRUE(machine->counted.contains(1010)) << "though nobody asked";
    ask();
    advance_ms(9'900);
    EXPECT_TRUE(machine->scheduler_followed);
    host.fill_offload(true);
    advance_ms(5'000);
    EXPECT_TRUE(machine->scheduler_followed);
    host.fill_offload(false);
    advance_ms(200);
    EXPECT_FALSE(machine->scheduler_followed);
    EXPECT_EQ(machine->open_now, 0u);
    EXPECT_EQ(host.timers(), 0u);
}

TEST_P(StatsTest, a_cgroup_that_could_not_be_found_is_looked_for_again) {
    machine->cgroups_hidden = true;
    run(kWeb, "web", 10, 50);
    EXPECT_TRUE(machine->counted.empty());
    machine->cgroups_hidden = false;
    ask();
    advance_ms(300);
    EXPECT_TRUE(machine->counted.contains(1010));
}

TEST_P(StatsTest, who_asks_once_gets_one_new_sample_and_nothing_follows) {
    run(kWeb, "web", 10, 50);
    const auto ask_once = [&](const char* name) {
        return host.call<Calls::ReadParams>("stats", "read", [&](auto params) {
            params.initContainers(1).set(0, name);
            params.setOnce(true);
        });
    };
    const uint64_t one = ask_once("web"), other = ask_once("");
    EXPECT_EQ(rows(one), "?");
    advance_ms(10);
    ASSERT_EQ(rows(one), "web ");
    ASSERT_EQ(rows(other), "");
    sdk::Reading<Calls::ReadResults> results(host.answer(one)->bytes());
    sdk::Reading<Calls::ReadResults> others(host.answer(other)->bytes());
    ASSERT_EQ(results->getSamples().size(), 1u);
    EXPECT_EQ(results->getSamples()[0].getSeq(), 0u);
    EXPECT_GT(results->getSamples()[0].getMonotonicNs(), 0);
    EXPECT_EQ(results->getSamples()[0].getMonotonicNs(), others->getSamples()[0].getMonotonicNs())
        << "they came together";
    EXPECT_FALSE(status().getSampling());
    EXPECT_FALSE(machine->scheduler_followed);
    const size_t reads = machine->reads, opens = machine->opens;
    advance_ms(20'000);
    EXPECT_EQ(machine->reads, reads);
    // Files stay open for the next one, and not for ever.
    const uint64_t next = ask_once("web");
    advance_ms(10);
    EXPECT_EQ(rows(next), "web ");
    EXPECT_EQ(machine->opens, opens);
    advance_ms(limits::once_keep_ns / 1'000'000 + 100);
    EXPECT_EQ(machine->open_now, 0u);
    EXPECT_EQ(host.timers(), 0u);
}

TEST_P(StatsTest, asking_once_does_not_shorten_the_span_of_those_who_ask_for_rates) {
    run(kWeb, "web", 10, 50);
    ask();
    advance_ms(1000);
    host.call<Calls::ReadParams>("stats", "read", [](auto params) { params.setOnce(true); });
    advance_ms(10);
    sdk::Reading<Calls::ReadResults> results(host.answer(ask())->bytes());
    ASSERT_EQ(results->getSamples().size(), 2u);
    EXPECT_GE(results->getSamples()[1].getMonotonicNs() - results->getSamples()[0].getMonotonicNs(),
              limits::first_pair_ns);
}

TEST_P(StatsTest, a_machine_without_cgroups_says_so_and_still_has_a_node) {
    machine->files["/proc/self/mountinfo"] = "1 1 0:1 / / rw - ext4 /dev/vda rw\n";
    host.restart();
    run(kWeb, "web", 10, 50);
    const uint64_t token = ask();
    advance_ms(1000);
    EXPECT_EQ(rows(token), "");
    ASSERT_EQ(status().getWarnings().size(), 5u);
    EXPECT_NE(std::string(status().getWarnings()[1]).find("the controller memory"),
              std::string::npos);
    EXPECT_NE(std::string(status().getWarnings()[4]).find("no cgroup v2 tree"), std::string::npos);
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    EXPECT_EQ(results->getSamples()[1].getNode().getMemory().getFreeBytes(), 300u * 1024);
}

TEST_P(StatsTest, only_what_is_subscribed_to_is_published_and_read) {
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    host.subscribe("stats/" + kWeb);
    advance_ms(2500);
    EXPECT_EQ(published(), "stats/WEB 3\n");
    EXPECT_FALSE(machine->opened.contains("/proc/stat"));
    EXPECT_FALSE(machine->opened.contains("/proc/11/net/dev"));
    host.subscribe("json/stats/node");
    host.subscribe("stats/");
    advance_ms(900);
    EXPECT_EQ(published(), "json/stats/node 1\nstats/DB 1\nstats/WEB 1\nstats/node 1\n");
    for (const std::string& prefix : {"stats/" + kWeb, std::string("json/stats/node"),
                                     std::string("stats/")})
        host.subscribe(prefix, false);
    advance_ms(3000);
    host.forget_published();
    advance_ms(2000);
    EXPECT_EQ(published(), "");
    EXPECT_EQ(machine->open_now, 0u);
    EXPECT_EQ(host.timers(), 0u);
}

TEST_P(StatsTest, each_rate_and_form_is_a_feed_of_its_own) {
    run(kWeb, "web", 10, 50);
    host.subscribe("stats@10/" + kWeb);
    host.subscribe("json/stats@100/node");
    host.subscribe("stats/node");
    advance_ms(2950);
    const std::string text = published();
    EXPECT_NE(text.find("stats@10/WEB 30"), std::string::npos) << text;
    EXPECT_NE(text.find("json/stats@100/node 29"), std::string::npos) << text;
    EXPECT_NE(text.find("stats/node 3"), std::string::npos) << text;
    // Who asks by RPC has samples a second apart all the same.
    ask();
    advance_ms(400);
    sdk::Reading<Calls::ReadResults> results(host.answer(ask())->bytes());
    EXPECT_GE(results->getSamples()[1].getMonotonicNs() - results->getSamples()[0].getMonotonicNs(),
              limits::first_pair_ns);
}

TEST_P(StatsTest, messages_are_numbered_and_tell_of_those_that_were_lost) {
    run(kWeb, "web", 10, 50);
    host.set_subscriber_slow(true);
    host.subscribe("stats/" + kWeb);
    advance_ms(1500);
    host.set_subscriber_slow(false);
    advance_ms(1000);
    ASSERT_EQ(host.published().size(), 3u);
    uint64_t sequence = 0;
    for (const auto& one : host.published()) {
        sdk::Reading<schema::StatsMessage> message({one.payload.data(), one.payload.size()});
        EXPECT_EQ(message->getSequence(), ++sequence);
        EXPECT_EQ(message->getLost(), std::min<uint64_t>(sequence - 1, 2));
        EXPECT_EQ(message->getContainer().getMemory().getUsageBytes(), 50u);
    }
    host.forget_published();
    host.subscribe("json/stats/" + kWeb);
    advance_ms(10);
    const std::string json(as_text(host.published().back().payload));
    EXPECT_NE(json.find("\"sequence\":\"1\""), std::string::npos) << json;
    EXPECT_NE(json.find("\"usageBytes\":\"50\""), std::string::npos) << json;
}

TEST_P(StatsTest, a_subscription_to_nothing_is_told_so_once) {
    const auto told = [&](const std::string& prefix) {
        host.forget_published();
        host.subscribe(prefix);
        for (const auto& one : host.published())
            if (one.topic == prefix) return std::string(as_text(one.payload));
        return std::string();
    };
    EXPECT_NE(told("stats/nobody").find("the topics are node and <container id>"),
              std::string::npos);
    for (const char* rate : {"stats@0/node", "stats@101/node", "stats@x/node", "stats@10",
                             "json/stats@99999999999/node"})
        EXPECT_NE(told(rate).find("{\"error\":\"a rate is 1 to 100"), std::string::npos) << rate;
    EXPECT_NE(told("stats/" + kWeb).find("no container with this id runs now"), std::string::npos);
    EXPECT_EQ(told("stats/nobody"), "") << "it was told before";
    EXPECT_EQ(told("json/stats/no"), "");
    EXPECT_EQ(told("st"), "");
}

TEST_P(StatsTest, the_kernel_counts_from_the_start_of_a_container_to_its_end) {
    run(kWeb, "web", 10, 50, "host");
    ASSERT_TRUE(machine->counted.contains(1010)) << "before anybody asked";
    EXPECT_EQ(machine->watched.level, 3);
    EXPECT_FALSE(machine->scheduler_followed);
    machine->counted[1010].kernel.sent_bytes = 7;
    machine->counted[1010].kernel.wait_us_log2 = {1, 2, 3};
    const uint64_t token = ask();
    advance_ms(300);
    EXPECT_TRUE(machine->scheduler_followed);
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    const auto kernel = results->getSamples()[1].getContainers()[0].getKernel();
    EXPECT_EQ(kernel.getNet().getSentBytes(), 7u);
    EXPECT_EQ(kernel.getWaitUsLog2().size(), 3u) << "without empty ones at the end";
    EXPECT_EQ(kernel.getWaitUsLog2()[2], 3u);
    EXPECT_EQ(kernel.getIoUsLog2().size(), 0u);
    EXPECT_EQ(std::string(status().getSources()[status().getSources().size() - 1]), "kernel eBPF");
    exited(kWeb);
    advance_ms(1000);
    EXPECT_TRUE(machine->counted.empty());
    advance_ms(12'000);
    EXPECT_FALSE(machine->scheduler_followed);
}

TEST_P(StatsTest, the_kernel_ends_to_count_for_those_who_are_gone_while_nobody_asks) {
    for (uint32_t pid = 10; pid < 10 + 3 * limits::looks_between_all; ++pid) {
        const std::string id = "c0ffee" + std::to_string(pid);
        run(id, id.c_str(), pid, 50);
        ASSERT_TRUE(machine->counted.contains(1000 + pid));
        exited(id);
        EXPECT_LE(machine->counted.size(), limits::looks_between_all + 1);
    }
}

TEST_P(StatsTest, the_end_of_the_last_one_in_the_nodes_network_ends_what_others_paid_for) {
    run(kDb, "db", 11, 60);
    run(kWeb, "web", 10, 50, "host");
    run("c0ffee", "more", 12, 70, "host");
    exited(kWeb);
    EXPECT_TRUE(machine->counted.contains(1012));
    host.inject<schema::ContainerRemoved>([](auto root) { root.setId("c0ffee"); });
    EXPECT_FALSE(machine->counted.contains(1010));
    EXPECT_FALSE(machine->counted.contains(1012));
    EXPECT_TRUE(machine->counted.contains(1011));
    host.restart();
    run(kWeb, "web", 13, 80, "host");
    EXPECT_TRUE(machine->counted.contains(1013));
    exited(kWeb);
    EXPECT_FALSE(machine->counted.contains(1013));
}

TEST_P(StatsTest, a_disk_that_is_mounted_later_is_told_of) {
    const auto disks = [&] {
        const uint64_t token = ask();
        advance_ms(1300);
        sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
        const auto samples = results->getSamples();
        return samples[samples.size() - 1].getNode().getFilesystems().size();
    };
    EXPECT_EQ(disks(), 0u);
    machine->files["/proc/self/mountinfo"] += "50 1 254:1 / / rw - ext4 /dev/vda rw\n";
    advance_ms(1300);
    EXPECT_EQ(disks(), 1u);
    EXPECT_EQ(disks(), 1u);
}

TEST_P(StatsTest, the_scheduler_is_followed_for_those_who_stay_and_look_at_containers) {
    run(kWeb, "web", 10, 50);
    host.subscribe("stats/node");
    advance_ms(1000);
    EXPECT_FALSE(machine->scheduler_followed);
    host.subscribe("stats@10/" + kWeb);
    advance_ms(200);
    EXPECT_TRUE(machine->scheduler_followed);
    host.subscribe("stats@10/" + kWeb, false);
    advance_ms(2000);
    EXPECT_FALSE(machine->scheduler_followed);
}

TEST_P(StatsTest,
       files_are_read_only_for_what_the_kernels_figures_do_not_tell_and_may_have_changed) {
    machine->groups_read = true;
    run(kWeb, "web", 10, 50);
    Group& group = machine->counted[1010].group;
    group.monotonic_ns = 5;
    group.cpu = Cpu{.total_ns = 9, .user_ns = 5, .system_ns = 4, .periods = 3};
    group.throttling = true;
    group.memory_usage = 101;
    group.memory_limit = 1000;
    group.pids = {7, 8};
    group.memory_mark = group.pressure_mark = group.io_mark = group.network_mark = 1;
    machine->files["/proc/10/net/dev"] = "  lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n";
    host.subscribe("stats/" + kWeb);
    advance_ms(10);
    const auto newest = [&](auto look) {
        ASSERT_FALSE(host.published().empty());
        const auto& payload = host.published().back().payload;
        sdk::Reading<schema::StatsMessage> message({payload.data(), payload.size()});
        look(message->getContainer());
    };
    newest([&](auto row) {
        EXPECT_EQ(row.getMonotonicNs(), 5);
        EXPECT_EQ(row.getCpu().getTotalNs(), 9u);
        EXPECT_EQ(row.getCpu().getPeriods(), 3u);
        EXPECT_EQ(row.getMemory().getUsageBytes(), 101u);
        EXPECT_EQ(row.getMemory().getWorkingSetBytes(), 100u);
        EXPECT_EQ(row.getMemory().getLimitBytes(), 1000u);
        EXPECT_EQ(row.getPids().getCurrent(), 7u);
        EXPECT_EQ(row.getIo().getWriteBytes(), 20u);
        EXPECT_EQ(row.getNet().getReceivedBytes(), 0u);
        EXPECT_TRUE(row.hasPressure());
    });
    for (const char* file : {"cpuacct.usage", "usage_in_bytes", "memory.current", "pids.current"})
        for (const std::string& path : machine->opened) EXPECT_FALSE(path.ends_with(file)) << path;
    // Nothing changed: two files of the groups above, and no other.
    const size_t reads = machine->reads;
    advance_ms(1000);
    EXPECT_LE(machine->reads, reads + 2);
    // What may have changed is read, and what is kept is not kept for ever.
    group.memory_mark = 2;
    group.io_mark = 0;
    for (auto& [path, text] : machine->files)
        if (path.ends_with("memory.stat")) text = "total_inactive_file 11\ninactive_file 11\n";
    group.monotonic_ns = 1'000'000'005;
    advance_ms(1000);
    newest([&](auto row) { EXPECT_EQ(row.getMemory().getWorkingSetBytes(), 90u); });
    machine->files["/proc/10/net/dev"] +=
        "eth0: 77 2 0 0 0 0 0 0 1 4 0 0 0 0 0 0\n";
    advance_ms(1000);
    newest([&](auto row) { EXPECT_EQ(row.getNet().getReceivedBytes(), 0u) << "no new interface"; });
    group.network_mark = 2;
    advance_ms(1000);
    newest([&](auto row) { EXPECT_EQ(row.getNet().getReceivedBytes(), 77u); });
    machine->files["/proc/10/net/dev"] = "eth0: 78 2 0 0 0 0 0 0 1 4 0 0 0 0 0 0\n";
    advance_ms(1000);
    newest([&](auto row) { EXPECT_EQ(row.getNet().getReceivedBytes(), 78u); });
    // Its groups are gone: so is the row, and nobody else's.
    run(kDb, "db", 11, 60);
    host.subscribe("stats/" + kDb);
    machine->counted[1010].group = {};
    machine->remove(v2_only() ? "/sys/fs/cgroup/noded/0badcafe/" + kWeb : "/cg/");
    if (!v2_only()) fill_container(*machine, false, kDb, 11, 70);
    host.forget_published();
    advance_ms(1000);
    EXPECT_EQ(published(), "stats/DB 1\n");
}

TEST_P(StatsTest, pressure_has_a_time_of_its_own_and_is_read_for_each_of_a_pair_of_samples) {
    machine->groups_read = true;
    run(kWeb, "web", 10, 50);
    Group& group = know_group(10);
    const auto waited = [&](uint64_t us, int64_t now_ms) {
        for (auto& [path, text] : machine->files)
            if (path.ends_with("/cpu.pressure"))
                text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(us) + "\n";
        ++group.pressure_mark;
        group.monotonic_ns = now_ms * 1'000'000;
    };
    const auto tells = [](schema::PressureFigures::Reader pressure, uint64_t us, int64_t ms) {
        EXPECT_EQ(pressure.getCpu().getSomeUs(), us);
        EXPECT_EQ(pressure.getMonotonicNs(), ms * 1'000'000);
    };
    waited(100, 10'000);
    const uint64_t token = ask();
    advance_ms(10);
    waited(350, 10'250);
    advance_ms(250);
    ASSERT_EQ(rows(token), "web ");
    {
        sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
        tells(results->getSamples()[0].getContainers()[0].getPressure(), 100, 10'000);
        tells(results->getSamples()[1].getContainers()[0].getPressure(), 350, 10'250);
    }
    advance_ms(limits::interest_ns / 1'000'000 + 1000);
    host.subscribe("stats@10/" + kWeb);
    const auto newest = [&](uint64_t us, int64_t ms) {
        ASSERT_FALSE(host.published().empty());
        const auto& payload = host.published().back().payload;
        sdk::Reading<schema::StatsMessage> message({payload.data(), payload.size()});
        tells(message->getContainer().getPressure(), us, ms);
    };
    waited(500, 30'000);
    advance_ms(100);
    newest(500, 30'000);
    group.monotonic_ns = 30'100'000'000;
    advance_ms(100);
    newest(500, 30'100);  // nobody waited meanwhile
    waited(600, 30'200);
    advance_ms(100);
    newest(500, 30'100);
    waited(700, 31'000);
    advance_ms(100);
    newest(700, 31'000);
}

TEST_P(StatsTest, what_was_read_of_files_that_may_not_stay_open_is_used_all_the_same) {
    machine->files_allowed = 40;  // a quarter of them: those of one container
    machine->groups_read = true;
    host.restart();
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    know_group(10);
    know_group(11);
    host.subscribe("stats/");
    advance_ms(10);
    const size_t opens = machine->opens;
    EXPECT_LE(machine->open_now, 10u + 9u) << "and the node's";
    host.forget_published();
    advance_ms(1000);
    EXPECT_EQ(machine->opens, opens);
    ASSERT_EQ(host.published().size(), 3u);
    for (const auto& one : host.published()) {
        sdk::Reading<schema::StatsMessage> message({one.payload.data(), one.payload.size()});
        if (!message->isContainer()) continue;
        EXPECT_EQ(message->getContainer().getMemory().getCacheBytes(), 8u);
        EXPECT_TRUE(message->getContainer().hasPressure());
        EXPECT_TRUE(message->getContainer().hasNet());
    }
}

TEST_P(StatsTest, a_file_that_nobody_needs_is_closed_and_opened_again_when_it_may_tell_more) {
    machine->groups_read = true;
    run(kWeb, "web", 10, 50);
    Group& group = know_group(10);
    host.subscribe("stats/" + kWeb);
    advance_ms(10);
    EXPECT_GT(machine->open_now, 2u + 3u);
    for (int i = 0; i < 2; ++i) {
        group.monotonic_ns += limits::file_unused_ns;
        advance_ms(1000);
    }
    EXPECT_LE(machine->open_now, 2u) << "of the groups above";
    const size_t opens = machine->opens, open_now = machine->open_now;
    group.memory_mark = 2;
    group.network_mark = 2;
    advance_ms(1000);
    EXPECT_EQ(machine->opens, opens + 3) << "and whether the process is the container's still";
    EXPECT_EQ(machine->open_now, open_now + 2);
    sdk::Reading<schema::StatsMessage> message({host.published().back().payload.data(),
                                                host.published().back().payload.size()});
    EXPECT_TRUE(message->getContainer().hasNet());
    EXPECT_EQ(message->getContainer().getMemory().getCacheBytes(), 8u);
}

TEST_P(StatsTest, right_below_the_root_a_groups_own_files_bring_its_figures_up_to_date) {
    machine->groups_read = true;
    const std::string memory = v2_only() ? "/sys/fs/cgroup" : "/cg/memory";
    const std::string v2 = v2_only() ? "/sys/fs/cgroup" : "/cg/unified";
    for (const std::string& root : {memory + "/memory.stat", v2 + "/cpu.stat"})
        machine->files[root] = "of the root";
    run(kWeb, "web", 10, 50, "none", "");
    machine->counted[1010].group.cpu = Cpu{.total_ns = 9};
    host.subscribe("stats/" + kWeb);
    advance_ms(10);
    EXPECT_TRUE(machine->opened.contains(v2 + "/" + kWeb + "/cpu.stat"));
    EXPECT_TRUE(machine->opened.contains(memory + "/" + kWeb + "/memory.stat"));
    EXPECT_FALSE(machine->opened.contains(v2 + "/cpu.stat"));
    EXPECT_FALSE(machine->opened.contains(memory + "/memory.stat"));
}

TEST_P(StatsTest, counters_that_begin_anew_are_told_as_they_are) {
    run(kWeb, "web", 10, 50);
    run(kDb, "db", 11, 60);
    host.subscribe("stats/");
    advance_ms(1010);
    host.forget_published();
    fill_container(*machine, v2_only(), kWeb, 10, 7);
    advance_ms(1000);
    std::map<std::string, uint64_t> told;
    for (const auto& one : host.published()) {
        sdk::Reading<schema::StatsMessage> message({one.payload.data(), one.payload.size()});
        if (!message->isContainer()) continue;
        EXPECT_EQ(message->getContainer().getRun(), 1u);
        EXPECT_EQ(message->getSequence(), 3u);
        told[message->getContainer().getName().cStr()] =
            message->getContainer().getCpu().getTotalNs();
    }
    EXPECT_EQ(told, (std::map<std::string, uint64_t>{{"web", 7'000}, {"db", 60'000}}));
}

TEST_P(StatsTest, each_interface_of_a_containers_network_is_told_of_but_loopback) {
    run(kWeb, "web", 10, 50);
    machine->files["/proc/10/net/dev"] += "eth1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n";
    const uint64_t token = ask();
    advance_ms(300);
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    const auto row = results->getSamples()[1].getContainers()[0];
    ASSERT_EQ(row.getNetworks().size(), 2u);
    EXPECT_EQ(row.getNetworks()[0].getName(), "eth0");
    EXPECT_EQ(row.getNetworks()[1].getNet().getSentBytes(), 6u);
    EXPECT_EQ(row.getNet().getReceivedBytes(), 55u);
}

TEST(StatsCpu, time_is_divided_as_ticks_tell_and_no_part_shrinks) {
    const Cpu first = divide_cpu(1000, 30, 10, {});
    EXPECT_EQ(first.user_ns, 750u);
    EXPECT_EQ(first.system_ns, 250u);
    const Cpu second = divide_cpu(1004, 40, 10, first);
    EXPECT_EQ(second.system_ns, 250u) << "the share shrank, the time does not";
    EXPECT_EQ(second.user_ns, 754u);
    const Cpu third = divide_cpu(1010, 40, 40, second);
    EXPECT_EQ(third.user_ns, 754u);
    EXPECT_EQ(third.system_ns, 256u);
    EXPECT_EQ(divide_cpu(7, 0, 0, {}).user_ns, 7u) << "too short for a tick";
    EXPECT_EQ(divide_cpu(5, 0, 1, third).system_ns, 5u) << "another run";
}

TEST_P(StatsTest, a_kernel_that_takes_no_programs_costs_their_figures_only_and_is_told) {
    machine->counters_refusal = "load the eBPF programs: EPERM (Operation not permitted)";
    host.restart();
    run(kWeb, "web", 10, 50);
    const uint64_t token = ask();
    advance_ms(300);
    sdk::Reading<Calls::ReadResults> results(host.answer(token)->bytes());
    const auto row = results->getSamples()[1].getContainers()[0];
    EXPECT_FALSE(row.hasKernel());
    EXPECT_TRUE(row.hasCpu());
    ASSERT_EQ(status().getWarnings().size(), 1u);
    const std::string told = "nothing is counted by eBPF: " + machine->counters_refusal;
    EXPECT_EQ(std::string(status().getWarnings()[0]), told);
    advance_ms(3000);
    EXPECT_EQ(std::ranges::count(host.lines(), told, &sdk::FakeHost::Line::text), 1);
}

TEST_P(StatsTest, a_subscription_before_a_restart_is_served_after_it) {
    run(kWeb, "web", 10, 50);
    host.subscribe("stats/" + kWeb);
    host.restart();
    host.forget_published();
    advance_ms(1000);
    EXPECT_EQ(published(), "stats/WEB 1\n");
}

}  // namespace
}  // namespace noded::stats
