// attach, and what run, start and exec have of it: which streams, which signals, the detach keys,
// exit codes, and terminals that go away under them.
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>

#include "tests/integration/on_terminal.h"
#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

constexpr const char* kKeys = "\x10\x11";  // ctrl-p, ctrl-q

/// Runs until it is told to end by SIGUSR1, then with 9; SIGTERM is said.
constexpr const char* kSaysSignals =
    "trap 'echo got TERM' TERM; trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done";

struct AttachTest : SharedNodeTest {
    static std::vector<std::string> environment() { return {"TERM=xterm", "PATH=/usr/bin:/bin"}; }
    static std::string state(const std::string& name) {
        return node->ok({"inspect", "-f", "{{.State.Status}}", name});
    }
    static bool has_said(const std::string& name, const std::string& text) {
        return eventually([&] { return says(node->nodectl({"logs", name}).out, text); }, 30);
    }
    /// Before it is attached they would end it.
    static bool takes_signals(pid_t pid) {
        const std::string file = "/proc/" + std::to_string(pid) + "/status";
        return eventually(
            [&] {
                const std::string status = read_text(file);
                return says(status, "SigBlk:") && !says(status, "SigBlk:\t0000000000000000");
            },
            30);
    }
    /// A shell on a terminal, as a user starts one.
    static std::unique_ptr<OnTerminal> shell(const std::vector<std::string>& words) {
        auto at = std::make_unique<OnTerminal>(node->command(words), environment());
        at->type("echo $((40 + 2))-here\n");
        EXPECT_TRUE(at->has_drawn("42-here")) << at->drawn();
        return at;
    }
    /// It answers to whoever comes back to it.
    static void expect_answers(const std::string& name) {
        EXPECT_EQ(state(name), "running");
        OnTerminal back(node->command({"attach", name}), environment());
        back.type("echo $((6 * 7))-again\n");
        EXPECT_TRUE(back.has_drawn("42-again")) << back.drawn();
        back.type("exit 5\n");
        EXPECT_EQ(back.exit_code(30), 5) << back.drawn();
    }
};

TEST_F(AttachTest, streams_from_now_on_and_the_exit_code) {
    node->ok({"run", "-di", "--name", "one", "busybox", "sh", "-c",
              "echo before; read x; echo out $x; echo err $x >&2; exit 4"});
    ASSERT_TRUE(has_said("one", "before"));
    const Ran ran = node->nodectl({"attach", "one"}, "hi\n");
    EXPECT_EQ(ran.exit_code, 4) << ran.err;
    EXPECT_EQ(ran.out, "out hi\n");
    EXPECT_EQ(ran.err, "err hi\n");
    const Ran over = node->nodectl({"container", "attach", "one"});
    EXPECT_EQ(over.exit_code, 1);
    EXPECT_EQ(over.err, "Error: You cannot attach to a stopped container, start it first\n");
}

TEST_F(AttachTest, what_has_no_streams_is_refused) {
    node->ok({"create", "--name", "new", "busybox", "true"});
    EXPECT_EQ(node->nodectl({"attach", "new"}).err,
              "Error: You cannot attach to a stopped container, start it first\n");
    node->ok({"run", "-d", "--name", "froze", "busybox", "sleep", "1000"});
    node->ok({"pause", "froze"});
    EXPECT_EQ(node->nodectl({"attach", "froze"}).err,
              "Error: You cannot attach to a paused container, unpause it first\n");
    EXPECT_EQ(node->nodectl({"attach", "nobody"}).err, "Error: No such container: nobody\n");
    EXPECT_EQ(node->nodectl({"attach"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"attach", "froze", "froze"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"attach", "--detach-keys", "ctrl-", "froze"}).exit_code, 1);
}

TEST_F(AttachTest, without_stdin_the_input_of_the_container_stays_open) {
    node->ok({"create", "-i", "--name", "cat", "busybox", "sh", "-c",
              "(while :; do echo tick; sleep 0.1; done) & cat; kill $!"});
    node->ok({"start", "cat"});
    Running attached(node->command({"attach", "--no-stdin", "cat"}));
    ASSERT_TRUE(attached.read_until("tick", 30));
    attached.write("lost\n");
    attached.close_input();
    EXPECT_EQ(node->nodectl({"attach", "cat"}, "kept\n").exit_code, 0);
    const Ran ran = attached.wait();
    EXPECT_NE(ran.out.find("kept\n"), std::string::npos);
    EXPECT_EQ(ran.out.find("lost"), std::string::npos);
    EXPECT_EQ(ran.exit_code, 0);
}

TEST_F(AttachTest, of_one_in_the_background_input_stays_open_for_the_next) {
    node->ok({"run", "-di", "--name", "cat", "busybox", "cat"});
    for (const char* line : {"first\n", "second\n"}) {
        Running attached(node->command({"attach", "cat"}));
        attached.write(line);
        attached.close_input();
        EXPECT_TRUE(attached.read_until(line, 30));
    }
    EXPECT_EQ(state("cat"), "running");
}

TEST_F(AttachTest, signals_go_to_the_container_if_wanted) {
    node->ok({"run", "-d", "--name", "sig", "busybox", "sh", "-c", kSaysSignals});
    ASSERT_TRUE(has_said("sig", "ready"));
    Running proxy(node->command({"attach", "sig"}));
    ASSERT_TRUE(takes_signals(proxy.pid()));
    kill(proxy.pid(), SIGTERM);
    EXPECT_TRUE(proxy.read_until("got TERM", 30));
    kill(proxy.pid(), SIGUSR1);
    EXPECT_EQ(proxy.wait().exit_code, 9);

    node->ok({"start", "sig"});
    Running alone(node->command({"attach", "--sig-proxy=false", "sig"}));
    kill(alone.pid(), SIGTERM);
    EXPECT_EQ(alone.wait().exit_code, 128 + SIGTERM);
    EXPECT_EQ(state("sig"), "running");
}

TEST_F(AttachTest, start_attached_has_the_exit_code_and_forwards_signals) {
    node->ok({"create", "--name", "sig", "busybox", "sh", "-c", kSaysSignals});
    Running started(node->command({"start", "-a", "sig"}));
    ASSERT_TRUE(started.read_until("ready", 30));
    kill(started.pid(), SIGTERM);
    EXPECT_TRUE(started.read_until("got TERM", 30));
    kill(started.pid(), SIGUSR1);
    EXPECT_EQ(started.wait().exit_code, 9);
    Running alone(node->command({"start", "-a", "--sig-proxy=false", "sig"}));
    ASSERT_TRUE(alone.read_until("ready", 30));
    kill(alone.pid(), SIGTERM);
    EXPECT_EQ(alone.wait().exit_code, 128 + SIGTERM);
    EXPECT_EQ(state("sig"), "running");
}

TEST_F(AttachTest, who_sees_the_first_output_may_send_signals) {
    for (int i = 0; i < 20; ++i) {
        Running ran(node->command({"run", "--rm", "busybox", "sh", "-c", kSaysSignals}));
        ASSERT_TRUE(ran.read_until("ready", 30));
        kill(ran.pid(), SIGUSR1);
        EXPECT_EQ(ran.wait().exit_code, 9);
    }
}

TEST_F(AttachTest, run_attaches_to_the_streams_that_it_is_told) {
    const std::vector<std::string> both = {"busybox", "sh", "-c", "echo out; echo err >&2; exit 3"};
    const auto run = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"run", "--rm"});
        words.insert(words.end(), both.begin(), both.end());
        return node->nodectl(words);
    };
    const Ran out = run({"-a", "stdout"});
    EXPECT_EQ(out.out + out.err, "out\n");
    EXPECT_EQ(out.exit_code, 3);
    const Ran err = run({"--attach", "STDERR"});
    EXPECT_EQ(err.out, "");
    EXPECT_EQ(err.err, "err\n");
    EXPECT_EQ(run({"-a", "stdout", "-a", "stderr"}).err, "err\n");
    const Ran wrong = run({"-a", "stdfoo"});
    EXPECT_EQ(wrong.exit_code, 125);
    EXPECT_TRUE(says(wrong.err, "invalid argument \"stdfoo\" for \"-a, --attach\" flag: valid "
                                "streams are STDIN, STDOUT and STDERR"))
        << wrong.err;
    const Ran detached = run({"-d", "-a", "stdout"});
    EXPECT_TRUE(says(detached.err, "Conflicting options: -a and -d"));
    EXPECT_EQ(detached.exit_code, 1);

    // With nothing to show it is the id that is said, and the input handed over.
    const Ran in = node->nodectl({"run", "-a", "stdin", "-i", "busybox", "cat"}, "kept\n");
    EXPECT_EQ(in.exit_code, 0) << in.err;
    EXPECT_EQ(trimmed(in.out).size(), 64u) << in.out;
    EXPECT_EQ(node->ok({"wait", trimmed(in.out)}), "0");
    EXPECT_EQ(node->ok({"logs", trimmed(in.out)}), "kept");
}

TEST_F(AttachTest, the_detach_keys_leave_the_shell_at_work) {
    auto run = shell({"run", "-it", "--name", "box", "busybox", "sh"});
    run->type(kKeys);
    EXPECT_EQ(run->exit_code(30), 0);
    auto back = shell({"attach", "--detach-keys", "ctrl-x,y", "box"});
    back->type("\x18y");
    EXPECT_EQ(back->exit_code(30), 0);
    expect_answers("box");
    auto again = shell({"start", "-ai", "box"});
    again->type(kKeys);
    EXPECT_EQ(again->exit_code(30), 0);
    expect_answers("box");
}

TEST_F(AttachTest, a_terminal_that_goes_away_leaves_the_container_at_work) {
    auto run = shell({"run", "-it", "--name", "box", "busybox", "sh"});
    run->go_away();
    EXPECT_EQ(run->exit_code(30), 128 + SIGHUP);
    EXPECT_EQ(state("box"), "running");
    auto back = shell({"attach", "box"});
    back->go_away();
    EXPECT_EQ(back->exit_code(30), 128 + SIGHUP);
    expect_answers("box");
}

TEST_F(AttachTest, a_terminal_that_goes_away_ends_the_exec_and_not_the_container) {
    node->ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    auto exec = shell({"exec", "-it", "box", "sh"});
    exec->go_away();
    EXPECT_EQ(exec->exit_code(30), 128 + SIGHUP);
    EXPECT_EQ(state("box"), "running");
    EXPECT_TRUE(eventually(
        [] { return !says(node->ok({"top", "box", "-eo", "pid,args"}), " sh"); }, 30));
    EXPECT_EQ(node->ok({"exec", "box", "echo", "fine"}), "fine");
}

TEST_F(AttachTest, exec_has_detach_keys_and_exit_codes_on_a_terminal) {
    node->ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    auto exec = shell({"exec", "-it", "box", "sh"});
    exec->type("exit 3\n");
    EXPECT_EQ(exec->exit_code(30), 3);
    auto left = shell({"exec", "-it", "--detach-keys", "ctrl-a", "box", "sh"});
    left->type("\x01");
    EXPECT_EQ(left->exit_code(30), 0);
    // It was left at work, and ends with the container at the latest.
    EXPECT_TRUE(says(node->ok({"top", "box", "-eo", "pid,args"}), " sh"));
    EXPECT_EQ(state("box"), "running");
}

TEST_F(AttachTest, a_stop_that_waits_for_ever_sends_no_kill) {
    node->ok({"run", "-d", "--name", "stays", "--stop-timeout", "-1", "busybox", "sh", "-c",
              kSaysSignals});
    ASSERT_TRUE(has_said("stays", "ready"));
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.Config.StopTimeout}}", "stays"}), "-1");
    Running stop(node->command({"stop", "stays"}));
    ASSERT_TRUE(has_said("stays", "got TERM"));
    EXPECT_EQ(state("stays"), "running");
    node->ok({"kill", "-s", "USR1", "stays"});
    EXPECT_EQ(stop.wait().exit_code, 0);
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.ExitCode}}", "stays"}), "9");
    const std::string events = node->ok({"events", "--filter", "type=ContainerStopRequested",
                                         "--filter", "container=stays", "-o", "json"});
    EXPECT_TRUE(says(events, "\"timeoutSeconds\":-2")) << events;
}

}  // namespace
}  // namespace noded::test
