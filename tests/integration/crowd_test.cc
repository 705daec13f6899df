// Many containers beside each other, and some that are stuck: a process that is stopped or frozen,
// a shim that is stopped, a client that never reads, a disk that does not answer. Nobody else may
// have to wait for them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/integration/freezer.h"
#include "tests/integration/silent_disk.h"
#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

struct CrowdTest : SharedNodeTest {
    /// A verb that waits for what is stuck would take for ever.
    static Ran within_a_minute(const std::vector<std::string>& words) {
        std::vector<std::string> argv = {"/usr/bin/timeout", "60"};
        const std::vector<std::string> command = node->command(words);
        argv.insert(argv.end(), command.begin(), command.end());
        return run_program(argv);
    }
    static void works(const std::vector<std::string>& words) {
        const Ran ran = within_a_minute(words);
        EXPECT_EQ(ran.exit_code, 0) << words[0] << ": " << ran.err << node->diagnostics();
    }
    static void box(const std::string& name, const std::string& script = "sleep 1000") {
        node->ok({"run", "-d", "--name", name, "--network", "none", "busybox", "sh", "-c", script});
    }
    /// All that may be done to others, and with all of them.
    static void others_go_on() {
        works({"run", "--rm", "--network", "none", "busybox", "true"});
        works({"run", "-d", "--name", "other", "--network", "none", "busybox", "sleep", "1000"});
        works({"exec", "other", "true"});
        works({"pause", "other"});
        works({"unpause", "other"});
        works({"cp", "other:/etc/passwd", node->dir() + "/passwd"});
        works({"top", "other"});
        works({"restart", "-t", "0", "other"});
        works({"ps", "-a", "-s"});
        works({"stats", "--no-stream"});
        works({"inspect", "other"});
        works({"logs", "other"});
        works({"rm", "-f", "other"});
    }
    static pid_t shim_of(const std::string& name) {
        const std::string pid = node->ok({"inspect", "-f", "{{.State.Pid}}", name});
        const std::string status = read_text("/proc/" + pid + "/status");
        return atoi(status.c_str() + status.find("PPid:\t") + 6);
    }
};

TEST_F(CrowdTest, a_stopped_process_delays_nobody_and_can_be_stopped) {
    box("stuck");
    node->ok({"kill", "-s", "STOP", "stuck"});
    Running waiting(node->command({"wait", "stuck"}));
    others_go_on();
    works({"exec", "stuck", "true"});
    works({"stop", "-t", "1", "stuck"});
    EXPECT_EQ(waiting.wait().out, "137\n");
}

TEST_F(CrowdTest, a_client_that_never_reads_delays_neither_its_container_nor_others) {
    const std::vector<std::string> flood = {"sh", "-c",
                                            "head -c 20000000 /dev/zero; touch /done; sleep 1000"};
    std::vector<std::string> words = {"run", "--name", "flood", "--network", "none", "busybox"};
    words.insert(words.end(), flood.begin(), flood.end());
    Running attached(node->command(words));
    ASSERT_TRUE(eventually(
        [] { return node->nodectl({"exec", "flood", "ls", "/done"}).exit_code == 0; }, 60));
    box("source", "head -c 20000000 /dev/zero >/large; touch /done; sleep 1000");
    ASSERT_TRUE(eventually(
        [] { return node->nodectl({"exec", "source", "ls", "/done"}).exit_code == 0; }, 60));
    Running follower(node->command({"logs", "-f", "flood"}));
    Running executed(node->command({"exec", "source", "cat", "/large"}));
    Running exported(node->command({"export", "source"}));
    Running copied(node->command({"cp", "source:/large", "-"}));
    Running events(node->command({"events", "-f"}));
    sleep_ms(300);
    ::kill(events.pid(), SIGSTOP);
    others_go_on();
    works({"rm", "-f", "flood", "source"});
}

TEST_F(CrowdTest, a_stopped_shim_delays_only_its_own_container) {
    box("stuck");
    const pid_t shim = shim_of("stuck");
    ASSERT_GT(shim, 1);
    ASSERT_EQ(::kill(shim, SIGSTOP), 0);
    Running executed(node->command({"exec", "stuck", "echo", "late"}));
    others_go_on();
    ASSERT_EQ(::kill(shim, SIGCONT), 0);
    EXPECT_EQ(executed.wait().out, "late\n");
    works({"rm", "-f", "stuck"});
}

TEST_F(CrowdTest, what_somebody_else_froze_delays_nobody_and_can_be_ended) {
    const std::vector<std::vector<std::string>> ends = {
        {"kill", "stuck"}, {"stop", "-t", "1", "stuck"}, {"rm", "-f", "stuck"}};
    for (const auto& words : ends) {
        box("stuck");
        const Freezer freezer =
            freezer_of(atoi(node->ok({"inspect", "-f", "{{.State.Pid}}", "stuck"}).c_str()));
        ASSERT_TRUE(freezer.write(freezer.freeze)) << freezer.file;
        if (words[0] == "kill") others_go_on();
        works(words);
        node->nodectl({"rm", "stuck"});
    }
}

TEST_F(CrowdTest, a_disk_that_does_not_answer_delays_only_who_wants_it) {
    const std::string folder = node->dir() + "/silent";
    std::filesystem::create_directory(folder);
    SilentDisk disk(folder);
    if (!disk.mounted()) GTEST_SKIP() << "there is no FUSE here";
    const auto run = [&](const char* name, const std::vector<std::string>& options) {
        std::vector<std::string> words = {"run", "-d", "--name", name, "--network", "none"};
        words.insert(words.end(), options.begin(), options.end());
        words.insert(words.end(), {"busybox", "sleep", "1000"});
        return node->command(words);
    };
    Running below(run("below", {"-v", folder + "/sub:/x"}));
    Running whole(run("whole", {"--mount", "type=bind,source=" + folder + ",target=/x"}));
    Running peer(run("peer", {"-v", folder + ":/x:rslave"}));
    ASSERT_TRUE(eventually([&] { return disk.asked() >= 2; }, 60)) << disk.asked();
    others_go_on();
    disk.give_up();
    for (Running* each : {&below, &whole, &peer}) {
        const Ran ran = each->wait();
        EXPECT_EQ(ran.exit_code, 125) << ran.err;
        EXPECT_TRUE(says(ran.err, folder)) << ran.err;
    }
    works({"rm", "-f", "below", "whole", "peer"});
}

TEST_F(CrowdTest, a_kill_returns_when_the_container_has_ended) {
    box("stuck");
    const pid_t shim = shim_of("stuck");
    ASSERT_GT(shim, 1);
    ASSERT_EQ(::kill(shim, SIGSTOP), 0);
    Running killing(node->command({"kill", "stuck"}));
    sleep_ms(200);
    siginfo_t info{};
    waitid(P_PID, id_t(killing.pid()), &info, WEXITED | WNOHANG | WNOWAIT);
    EXPECT_EQ(info.si_pid, 0) << "its shim cannot have sent the signal yet";
    ASSERT_EQ(::kill(shim, SIGCONT), 0);
    EXPECT_EQ(killing.wait().exit_code, 0);
    EXPECT_EQ(node->ok({"rm", "stuck"}), "stuck");
}

TEST_F(CrowdTest, many_are_started_at_the_same_time_listed_and_removed_at_once) {
    constexpr int kCount = 120;
    std::atomic<int> next = 0;
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i)
        clients.emplace_back([&] {
            for (int number = next++; number < kCount; number = next++)
                works({"run", "-d", "--network", "none", "--name", "c" + std::to_string(number),
                       "busybox", "sleep", "1000"});
        });
    for (std::thread& client : clients) client.join();
    const std::vector<std::string> ids = lines_of(node->ok({"ps", "-q", "--no-trunc"}));
    EXPECT_EQ(ids.size(), size_t(kCount));
    for (const char* verb : {"kill", "rm"}) {
        std::vector<std::string> words = {verb};
        words.insert(words.end(), ids.begin(), ids.end());
        works(words);
    }
    EXPECT_EQ(node->ok({"ps", "-aq"}), "");
}

}  // namespace
}  // namespace noded::test
