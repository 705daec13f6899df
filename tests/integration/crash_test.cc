// kill -9 of noded at any instant: containers go on, output is kept, exits are collected exactly
// once, half-done things are finished or rolled back, nothing leaks.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

size_t count_of(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + part.size()))
        ++count;
    return count;
}

/// The second word of each line.
std::vector<uint64_t> seqs_of(const std::string& events) {
    std::vector<uint64_t> seqs;
    for (size_t at = 0; at < events.size(); at = events.find('\n', at) + 1) {
        const size_t space = events.find(' ', at);
        if (space == std::string::npos || events.find('\n', at) == std::string::npos) break;
        seqs.push_back(strtoull(events.c_str() + space, nullptr, 10));
    }
    return seqs;
}

TEST(Crash, who_follows_logs_events_or_an_end_goes_on_without_gap_or_repeat) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "long", "busybox", "sh", "-c",
             "i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.03; done; exit 7"});
    Running logs(node.command({"logs", "-f", "long"}));
    Running end(node.command({"wait", "long"}));
    Running events(node.command({"events", "-f"}));
    ASSERT_TRUE(logs.read_until("5\n"));
    ASSERT_TRUE(events.read_until("ContainerStarted"));
    node.kill();
    sleep_ms(200);
    node.start();
    EXPECT_EQ(trimmed(end.wait().out), "7");
    std::string expected;
    for (int i = 0; i < 60; ++i) expected += std::to_string(i) + "\n";
    EXPECT_EQ(logs.wait().out, expected);
    ASSERT_TRUE(events.read_until("ContainerExited"));
    const std::vector<uint64_t> seqs = seqs_of(events.out());
    ASSERT_FALSE(seqs.empty());
    for (size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], i + 1) << events.out();
    ::kill(events.pid(), SIGTERM);
    events.wait();
}

TEST(Crash, who_follows_one_that_was_removed_meanwhile_still_learns_how_it_ended) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--rm", "--name", "short", "busybox", "sh", "-c",
             "echo begun; sleep 1; echo done; exit 7"});
    Running logs(node.command({"logs", "-f", "short"}));
    Running end(node.command({"wait", "short"}));
    ASSERT_TRUE(logs.read_until("begun"));
    sleep_ms(200);   // the wait has begun, too
    node.kill();
    sleep_ms(1500);
    // Both find it gone: they are held back until it is removed.
    ::kill(logs.pid(), SIGSTOP);
    ::kill(end.pid(), SIGSTOP);
    node.start();
    EXPECT_TRUE(eventually([&] { return node.ok({"ps", "-aq"}).empty(); }));
    ::kill(logs.pid(), SIGCONT);
    ::kill(end.pid(), SIGCONT);
    const Ran followed = logs.wait();
    EXPECT_EQ(followed.exit_code, 0) << followed.err;
    EXPECT_EQ(followed.out, "begun\ndone\n");
    const Ran waited = end.wait();
    EXPECT_EQ(waited.exit_code, 0) << waited.err;
    EXPECT_EQ(trimmed(waited.out), "7");
}

TEST(Crash, a_running_container_goes_on_and_its_output_is_kept) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "cc", "busybox", "sh", "-c",
             "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"});
    const std::string pid = node.ok({"inspect", "--format", "{{.State.Pid}}", "cc"});
    ASSERT_TRUE(eventually([&] { return node.ok({"logs", "cc"}).size() > 4; }));
    node.kill();
    sleep_ms(300);
    node.start();
    EXPECT_EQ(node.ok({"inspect", "--format", "{{.State.Status}} {{.State.Pid}}", "cc"}),
              "running " + pid);
    EXPECT_EQ(node.ok({"exec", "cc", "echo", "alive"}), "alive");
    node.ok({"kill", "cc"});
    node.ok({"wait", "cc"});
    const std::string logs = node.ok({"logs", "cc"});
    const size_t lines = count_of(logs, "\n") + 1;
    for (size_t i = 0; i < lines; ++i) {
        ASSERT_NE(("\n" + logs + "\n").find("\n" + std::to_string(i) + "\n"), std::string::npos)
            << i;
    }
    EXPECT_GT(lines, 6u);
}

TEST(Crash, an_exit_that_happened_meanwhile_is_collected_exactly_once) {
    TestNode node;
    node.start();
    node.import_busybox();
    const std::string id =
        node.ok({"run", "-d", "--name", "cc", "busybox", "sh", "-c", "sleep 0.3; exit 42"});
    node.kill();
    sleep_ms(600);
    node.start();
    EXPECT_EQ(node.ok({"wait", "cc"}), "42");
    node.kill();
    node.start();
    EXPECT_EQ(node.ok({"inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "cc"}),
              "exited 42");
    EXPECT_EQ(count_of(node.ok({"events", "--filter", "container=" + id, "-o", "json"}),
                       "\"ContainerExited\""),
              1u);
}

TEST(Crash, an_attached_client_sees_the_end_although_noded_died) {
    TestNode node;
    node.start();
    node.import_busybox();
    Running client(node.command(
        {"run", "--name", "cc", "busybox", "sh", "-c", "echo one; sleep 1; echo two"}));
    ASSERT_TRUE(client.read_until("one"));
    node.kill();
    node.start();
    client.wait();
    EXPECT_EQ(node.ok({"wait", "cc"}), "0");
    EXPECT_EQ(node.ok({"logs", "cc"}), "one\ntwo");
}

/// A spare shim ends with its noded, and with it the namespaces and mounts that only it holds.
TEST(Crash, what_waits_for_the_next_container_ends_with_noded) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "--rm", "busybox", "true"});
    std::string spare;   // a shim that has a zygote
    ASSERT_TRUE(eventually([&] {
        for (const std::string& shim : children_of(node.pid(), "noded-shim"))
            if (!children_of(atoi(shim.c_str()), "noded-shim").empty()) spare = shim;
        return !spare.empty();
    }, 60));
    node.kill();
    EXPECT_TRUE(eventually([&] {
        std::ifstream name("/proc/" + spare + "/comm");
        std::string text;
        std::getline(name, text);
        return text != "noded-shim";
    }, 60));
}

/// The cgroups of a container that is started with these words, CONTAINER being its id.
std::string groups_of(TestNode& node, std::vector<std::string> words) {
    std::vector<std::string> argv = {"run", "-d", "--rm"};
    argv.insert(argv.end(), words.begin(), words.end());
    argv.insert(argv.end(), {"busybox", "sleep", "100"});
    const std::string id = node.ok(argv);
    std::ifstream file("/proc/" + node.ok({"inspect", "-f", "{{.State.Pid}}", id}) + "/cgroup");
    std::string groups;
    for (std::string line; std::getline(file, line);) {
        const size_t at = line.find(id);
        if (at != std::string::npos) line.replace(at, id.size(), "CONTAINER");
        groups += line + "\n";
    }
    node.ok({"rm", "-f", id});
    return groups;
}

/// Most containers are born in groups in which a zygote waited. Whatever becomes of the zygote, and
/// whatever keeps a container from being its child, the groups are the same.
TEST(Crash, a_container_is_in_its_groups_with_a_zygote_and_without) {
    TestNode node;
    node.start();
    node.import_busybox();
    const auto all_wait = [&] { return node.shims().size() >= idle_shims; };
    ASSERT_TRUE(eventually(all_wait, 60));
    const std::string groups = groups_of(node, {});
    EXPECT_NE(groups.find("CONTAINER"), std::string::npos) << groups;
    EXPECT_EQ(groups.find("spare"), std::string::npos) << groups;
    EXPECT_EQ(groups_of(node, {"-v", "/tmp:/mnt"}), groups);
    EXPECT_EQ(groups_of(node, {"--pids-limit", "1"}), groups);
    ASSERT_TRUE(eventually(all_wait, 60));
    for (const std::string& shim : node.shims())
        for (const std::string& zygote : children_of(atoi(shim.c_str()), "noded-shim"))
            kill(atoi(zygote.c_str()), SIGKILL);
    for (size_t i = 0; i < idle_shims; ++i) EXPECT_EQ(groups_of(node, {}), groups);
    node.expect_nothing_left();
}

/// Kills noded at a random moment of the verb, again and again; afterwards state, kernel and disk
/// agree.
TEST(Crash, kills_at_random_moments_lose_nothing_and_leak_nothing) {
    const char* given = getenv("NODED_CRASH_SEED");
    const unsigned seed =
        given != nullptr ? static_cast<unsigned>(atoi(given)) : std::random_device{}();
    SCOPED_TRACE("repeat with --test_env=NODED_CRASH_SEED=" + std::to_string(seed));
    std::mt19937 random(seed);
    TestNode node;
    node.start();
    node.import_busybox();
    const std::vector<std::vector<std::string>> verbs = {
        {"run", "-d", "busybox", "sleep", "1000"},
        {"run", "--rm", "busybox", "true"},
        {"run", "-d", "--rm", "busybox", "sh", "-c", "sleep 0.05; exit 3"},
        {"create", "busybox", "true"},
    };
    for (int round = 0; round < 25; ++round) {
        Running client(node.command(verbs[random() % verbs.size()]));
        usleep(static_cast<useconds_t>(random() % 15'000));
        node.kill();
        client.wait();
        node.start();
        std::string state;
        EXPECT_TRUE(eventually([&] {
            state =
                node.ok({"ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}} {{.Status}}"});
            return state.find("starting") == std::string::npos &&
                   state.find("removing") == std::string::npos &&
                   state.find("requested") == std::string::npos;
        })) << state;
        if (round % 5 == 4) {
            for (const std::string& id : {node.ok({"ps", "-a", "-q", "--no-trunc", "-n", "1"})}) {
                if (!id.empty()) node.nodectl({"rm", "-f", id});  // one with --rm may be faster
            }
        }
    }
    // A start that is under way looks like "created": the last round's may still be.
    std::string events;
    eventually([&] {
        events = node.ok({"events", "-o", "json"});
        return count_of(events, "\"ContainerStarted\"") +
                   count_of(events, "\"ContainerStartFailed\"") ==
               count_of(events, "\"ContainerStartRequested\"");
    });
    EXPECT_LE(count_of(events, "\"ContainerExited\""),
              count_of(events, "\"ContainerStartRequested\""));
    EXPECT_EQ(
        count_of(events, "\"ContainerStarted\"") + count_of(events, "\"ContainerStartFailed\""),
        count_of(events, "\"ContainerStartRequested\""));
}

}  // namespace
}  // namespace noded::test
