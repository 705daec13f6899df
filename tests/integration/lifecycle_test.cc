// Verbs and policies that go on with a container after its start: pause, rename, restart, update,
// and runs that follow by themselves. On the real kernel.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

struct LifecycleTest : SharedNodeTest {
    static std::string inspected(const std::string& format, const std::string& name) {
        return node->ok({"inspect", "--format", format, name});
    }
    static bool becomes(const std::string& format, const std::string& name,
                        const std::string& wanted) {
        return eventually([&] { return inspected(format, name) == wanted; });
    }
    static size_t lines_of_log(const std::string& name) {
        const std::string log = node->nodectl({"logs", name}).out;
        return size_t(std::count(log.begin(), log.end(), '\n'));
    }
};

TEST_F(LifecycleTest, a_paused_container_does_nothing_until_it_is_unpaused) {
    node->ok({"run", "-d", "--name", "pp", "busybox", "sh", "-c",
              "while :; do echo x; usleep 5000; done"});
    EXPECT_EQ(node->ok({"pause", "pp"}), "pp");
    EXPECT_EQ(inspected("{{.State.Status}} {{.State.Running}} {{.State.Paused}}", "pp"),
              "paused true true");
    EXPECT_NE(node->ok({"ps"}).find("(Paused)"), std::string::npos);
    const size_t before = lines_of_log("pp");
    sleep_ms(100);
    EXPECT_EQ(lines_of_log("pp"), before);
    EXPECT_NE(node->nodectl({"exec", "pp", "true"}).err.find("unpause the container before exec"),
              std::string::npos);
    EXPECT_NE(node->nodectl({"pause", "pp"}).err.find("is already paused"), std::string::npos);
    EXPECT_NE(node->nodectl({"rm", "pp"}).err.find("You cannot remove a paused container"),
              std::string::npos);
    EXPECT_EQ(node->ok({"unpause", "pp"}), "pp");
    EXPECT_TRUE(eventually([&] { return lines_of_log("pp") > before; }));
    EXPECT_NE(node->nodectl({"unpause", "pp"}).err.find("is not paused"), std::string::npos);
}

TEST_F(LifecycleTest, a_paused_container_can_be_stopped_killed_and_removed) {
    for (const char* verb : {"stop", "kill"}) {
        node->ok({"run", "-d", "--name", verb, "busybox", "sleep", "1000"});
        node->ok({"pause", verb});
        EXPECT_EQ(node->nodectl({verb, verb}).exit_code, 0);
        EXPECT_TRUE(becomes("{{.State.Status}} {{.State.Paused}}", verb, "exited false"));
    }
    node->ok({"run", "-d", "--name", "forced", "busybox", "sleep", "1000"});
    node->ok({"pause", "forced"});
    EXPECT_EQ(node->ok({"rm", "-f", "forced"}), "forced");
}

TEST_F(LifecycleTest, a_pause_outlives_noded) {
    node->ok({"run", "-d", "--name", "pp", "busybox", "sleep", "1000"});
    node->ok({"pause", "pp"});
    node->kill();
    node->start();
    EXPECT_EQ(inspected("{{.State.Status}}", "pp"), "paused");
    EXPECT_EQ(node->ok({"unpause", "pp"}), "pp");
    EXPECT_EQ(node->nodectl({"exec", "pp", "true"}).exit_code, 0);
}

TEST_F(LifecycleTest, a_renamed_container_is_found_by_its_new_name_only) {
    node->ok({"run", "-d", "--name", "old", "busybox", "sleep", "1000"});
    node->ok({"rename", "old", "new"});
    EXPECT_EQ(inspected("{{.Name}}", "new"), "/new");
    EXPECT_EQ(node->nodectl({"inspect", "old"}).exit_code, 1);
    node->ok({"run", "-d", "--name", "old", "busybox", "sleep", "1000"});
    const Ran taken = node->nodectl({"rename", "old", "new"});
    EXPECT_EQ(taken.exit_code, 1);
    EXPECT_NE(taken.err.find("is already in use by container"), std::string::npos) << taken.err;
}

TEST_F(LifecycleTest, a_restart_is_another_run_with_the_same_files) {
    for (const char* more : {"--tty", "--rm"}) {
        node->ok({"run", "-d", more, "--name", "rr", "busybox", "sh", "-c",
                  "echo run >> /runs; exec sleep 1000"});
        const std::string pid = inspected("{{.State.Pid}}", "rr");
        EXPECT_TRUE(eventually(
            [&] { return node->nodectl({"exec", "rr", "cat", "/runs"}).out.starts_with("run"); }));
        EXPECT_EQ(node->ok({"restart", "-t", "0", "rr"}), "rr");
        EXPECT_EQ(inspected("{{.State.Status}}", "rr"), "running");
        EXPECT_NE(inspected("{{.State.Pid}}", "rr"), pid);
        EXPECT_TRUE(eventually(
            [&] { return trimmed(node->nodectl({"exec", "rr", "cat", "/runs"}).out).size() > 4; }))
            << more;
        node->ok({"rm", "-f", "rr"});
    }
}

TEST_F(LifecycleTest, an_update_reaches_the_cgroup_of_a_running_container) {
    node->ok({"run", "-d", "--name", "uu", "-m", "32m", "busybox", "sleep", "1000"});
    EXPECT_EQ(node->ok({"update", "--pids-limit", "20", "-m", "64m", "--cpus", "0.5", "uu"}), "uu");
    EXPECT_EQ(inspected("{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} "
                        "{{.HostConfig.NanoCpus}}", "uu"),
              "20 67108864 500000000");
    const std::string shown = node->ok(
        {"exec", "uu", "sh", "-c",
         "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null; "
         "cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true"});
    EXPECT_EQ(shown, "20\n67108864");
    EXPECT_EQ(node->ok({"update", "--pids-limit", "0", "uu"}), "uu");   // none, as -1
    EXPECT_EQ(node->ok({"exec", "uu", "sh", "-c",
                        "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null; true"}),
              "max");
    EXPECT_EQ(node->ok({"update", "--pids-limit", "-5", "uu"}), "uu");
    EXPECT_EQ(inspected("{{.HostConfig.PidsLimit}}", "uu"), "0");
    const Ran none = node->nodectl({"update", "uu"});
    EXPECT_EQ(none.exit_code, 1);
    EXPECT_NE(none.err.find("You must provide one or more flags"), std::string::npos);
    const Ran many = node->nodectl({"update", "--cpus", "100000", "uu"});
    EXPECT_NE(many.err.find("Range of CPUs is from 0.01 to"), std::string::npos) << many.err;
    EXPECT_NE(node->nodectl({"run", "--cpus", "100000", "busybox", "true"}).err.find("Range"),
              std::string::npos);
}

TEST_F(LifecycleTest, on_failure_tries_so_often_and_waits_longer_each_time) {
    node->ok({"run", "-d", "--name", "ff", "--restart", "on-failure:2", "--restart-delay", "10ms",
              "busybox", "sh", "-c", "echo run; exit 3"});
    EXPECT_TRUE(becomes("{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", "ff",
                        "exited 3 2"));
    EXPECT_EQ(lines_of_log("ff"), 3u);
    const std::string events = node->ok({"events", "--since", "1h", "--until", "0s", "--filter",
                                         "type=ContainerRestartScheduled", "--filter",
                                         "container=ff"});
    EXPECT_NE(events.find("delayMs=10 "), std::string::npos) << events;
    EXPECT_NE(events.find("delayMs=20 "), std::string::npos) << events;
    node->ok({"run", "-d", "--name", "fine", "--restart", "on-failure", "busybox", "true"});
    EXPECT_TRUE(becomes("{{.State.Status}} {{.RestartCount}}", "fine", "exited 0"));
}

TEST_F(LifecycleTest, a_wait_for_the_next_run_outlives_noded_and_a_stop_ends_it) {
    node->ok({"run", "-d", "--name", "ww", "--restart", "always", "--restart-delay", "1500ms",
              "busybox", "sh", "-c", "exit 1"});
    ASSERT_TRUE(becomes("{{.State.Status}}", "ww", "restarting"));
    EXPECT_NE(node->ok({"ps"}).find("Restarting (1) "), std::string::npos);
    EXPECT_NE(node->nodectl({"exec", "ww", "true"}).err.find("is restarting, wait until"),
              std::string::npos);
    node->kill();
    node->start();
    EXPECT_TRUE(becomes("{{.RestartCount}}", "ww", "2"));
    node->ok({"stop", "ww"});
    EXPECT_EQ(inspected("{{.State.Status}} {{.State.Restarting}}", "ww"), "exited false");
}

TEST_F(LifecycleTest, what_was_stopped_stays_so_with_a_new_noded) {
    for (const char* policy : {"always", "unless-stopped"})
        node->ok({"run", "-d", "--name", policy, "--restart", policy, "busybox", "sleep", "1000"});
    node->ok({"kill", "always"});
    node->ok({"stop", "-t", "0", "unless-stopped"});
    node->kill();
    node->start();
    sleep_ms(200);
    for (const char* policy : {"always", "unless-stopped"})
        EXPECT_EQ(inspected("{{.State.Status}}", policy), "exited");
    node->ok({"start", "always"});
    EXPECT_EQ(inspected("{{.State.Status}}", "always"), "running");
}

TEST_F(LifecycleTest, policies_that_cannot_be_are_refused_in_dockers_words) {
    const auto says = [](const std::vector<std::string>& flags) {
        std::vector<std::string> all = {"run"};
        all.insert(all.end(), flags.begin(), flags.end());
        all.push_back("busybox");
        const Ran ran = node->nodectl(all);
        EXPECT_EQ(ran.exit_code, 125);
        return ran.err;
    };
    EXPECT_NE(says({"--rm", "--restart", "always"})
                  .find("Conflicting options: --restart and --rm"),
              std::string::npos);
    EXPECT_NE(says({"--restart", "often"}).find("invalid restart policy 'often'"),
              std::string::npos);
    EXPECT_NE(says({"--restart", "always:3"}).find("maximum retry count cannot be used with"),
              std::string::npos);
    EXPECT_NE(says({"--restart", "on-failure:x"}).find("maximum retry count must be an integer"),
              std::string::npos);
}

TEST_F(LifecycleTest, health_follows_the_check_and_only_changes_are_events) {
    node->ok({"run", "-d", "--name", "hh", "--health-cmd", "echo looked; test -e /ok",
              "--health-interval", "50ms", "--health-retries", "2", "busybox", "sleep", "1000"});
    EXPECT_NE(node->ok({"ps"}).find("(health: starting)"), std::string::npos);
    EXPECT_TRUE(becomes("{{.State.Health.Status}}", "hh", "unhealthy"));
    EXPECT_NE(node->ok({"ps"}).find("(unhealthy)"), std::string::npos);
    node->ok({"exec", "hh", "touch", "/ok"});
    EXPECT_TRUE(becomes("{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "hh",
                        "healthy 0"));
    ASSERT_TRUE(becomes("{{len .State.Health.Log}}", "hh", "5"));
    EXPECT_EQ(inspected("{{(index .State.Health.Log 4).ExitCode}} "
                        "{{(index .State.Health.Log 4).Output}}", "hh"),
              "0 looked");
    node->kill();
    node->start();
    EXPECT_EQ(inspected("{{.State.Health.Status}}", "hh"), "healthy");
    EXPECT_EQ(node->ok({"ps", "-q", "--filter", "health=healthy"}).size(), 12u);
    node->ok({"exec", "hh", "rm", "/ok"});
    EXPECT_TRUE(becomes("{{.State.Health.Status}}", "hh", "unhealthy"));
    const std::string events = node->ok({"events", "--since", "1h", "--until", "0s", "--filter",
                                         "container=hh", "--filter",
                                         "type=ContainerHealthChanged"});
    EXPECT_EQ(std::count(events.begin(), events.end(), '\n'), 2) << events;
}

TEST_F(LifecycleTest, what_is_unhealthy_is_killed_restarted_or_stopped_as_asked_for) {
    for (const char* action : {"kill", "restart", "stop"})
        node->ok({"run", "-d", "--name", action, "--health-cmd", "false", "--health-interval",
                  "50ms", "--health-retries", "1", "--health-on-failure", action, "--stop-timeout",
                  "0", "busybox", "sleep", "1000"});
    EXPECT_TRUE(becomes("{{.State.Status}} {{.State.ExitCode}}", "kill", "exited 137"));
    EXPECT_TRUE(becomes("{{.State.Status}}", "stop", "exited"));
    EXPECT_TRUE(eventually([&] {
        return node->ok({"events", "--since", "1h", "--until", "0s", "--filter",
                         "container=restart", "--filter", "type=ContainerStarted"})
                   .find("run=2") != std::string::npos;
    }));
}

TEST_F(LifecycleTest, a_probe_that_takes_too_long_has_failed) {
    node->ok({"run", "-d", "--name", "slow", "--health-cmd", "sleep 100", "--health-interval",
              "20ms", "--health-timeout", "100ms", "--health-retries", "1", "busybox", "sleep",
              "1000"});
    EXPECT_TRUE(becomes("{{.State.Health.Status}}", "slow", "unhealthy"));
    EXPECT_EQ(inspected("{{(index .State.Health.Log 0).ExitCode}} "
                        "{{(index .State.Health.Log 0).Output}}", "slow"),
              "-1 Health check exceeded timeout (100ms)");
    const Ran ran = node->nodectl({"run", "--no-healthcheck", "--health-cmd", "x", "busybox"});
    EXPECT_NE(ran.err.find("--no-healthcheck conflicts with --health-* options"),
              std::string::npos);
}

/// What /proc/PID/status says under a key: its first word.
std::string status_of(const std::string& pid, const std::string& key) {
    std::ifstream status("/proc/" + pid + "/status");
    std::string word;
    while (status >> word)
        if (word == key) return status >> word, word;
    return "";
}

TEST_F(LifecycleTest, a_container_whose_shim_was_stopped_is_still_killed_stopped_and_removed) {
    const std::vector<std::vector<std::string>> verbs = {
        {"kill", "k1"}, {"stop", "-t", "0", "s1"}, {"rm", "-f", "r1"}, {"rm", "-f", "auto"}};
    for (const auto& verb : verbs) {
        const std::string& name = verb.back();
        node->ok({"run", "-d", name == "auto" ? "--rm" : "--tty=false", "--name", name, "busybox",
                  "sleep", "1000"});
        const std::string shim = status_of(inspected("{{.State.Pid}}", name), "PPid:");
        ASSERT_EQ(::kill(std::stoi(shim), SIGSTOP), 0);
        ASSERT_TRUE(eventually([&] { return status_of(shim, "State:") == "T"; }, 60));
    }
    std::vector<std::unique_ptr<Running>> clients;
    for (const auto& verb : verbs)
        clients.push_back(std::make_unique<Running>(node->command(verb)));
    for (const auto& client : clients) {
        const Ran ran = client->wait();
        EXPECT_EQ(ran.exit_code, 0) << ran.err;
    }
    for (const char* name : {"k1", "s1"}) {
        EXPECT_EQ(node->ok({"wait", name}), "137");
        node->ok({"start", name});
        EXPECT_EQ(node->ok({"exec", name, "echo", "again"}), "again");
    }
    EXPECT_TRUE(eventually([] {
        return node->ok({"ps", "-a", "--format", "{{.Names}}", "--filter", "name=^(r1|auto)$"})
            .empty();
    }, 60));
}

TEST_F(LifecycleTest, a_shim_that_was_stopped_before_its_release_does_not_hold_the_next_start) {
    node->ok({"run", "-d", "--name", "held", "busybox", "sleep", "1000"});
    const std::string pid = inspected("{{.State.Pid}}", "held");
    const std::string shim = status_of(pid, "PPid:");
    const std::string record = node->runtime_dir() + "/plugins/container/" +
                               inspected("{{.Id}}", "held") + "/1/exit";
    // It has told the exit, and is stopped before noded has read that.
    ASSERT_EQ(::kill(node->pid(), SIGSTOP), 0);
    EXPECT_EQ(::kill(std::stoi(pid), SIGKILL), 0);
    EXPECT_TRUE(eventually([&] {
        return std::filesystem::exists(record) && status_of(shim, "State:") == "S";
    }, 60));
    EXPECT_EQ(::kill(std::stoi(shim), SIGSTOP), 0);
    EXPECT_TRUE(eventually([&] { return status_of(shim, "State:") == "T"; }, 60));
    ASSERT_EQ(::kill(node->pid(), SIGCONT), 0);
    EXPECT_EQ(node->ok({"wait", "held"}), "137");
    node->ok({"start", "held"});
    EXPECT_EQ(node->ok({"exec", "held", "echo", "again"}), "again");
    node->ok({"rm", "-f", "held"});
}

TEST_F(LifecycleTest, docker_messages_tell_when_a_stop_and_a_restart_are_done) {
    node->ok({"run", "-d", "--name", "told", "--stop-signal", "KILL", "busybox", "sleep", "1000"});
    node->ok({"restart", "told"});
    node->ok({"stop", "told"});
    node->ok({"restart", "told"});
    const auto told = [&](std::vector<std::string> more) {
        std::vector<std::string> words = {"events", "--filter", "container=told", "--format",
                                          "{{.Action}}"};
        words.insert(words.end(), more.begin(), more.end());
        std::string out = node->ok(words);
        std::ranges::replace(out, '\n', ' ');
        return out;
    };
    EXPECT_EQ(told({}), "create start kill die stop start restart kill die stop start restart");
    EXPECT_EQ(told({"--filter", "event=restart"}), "restart restart");
}

}  // namespace
}  // namespace noded::test
