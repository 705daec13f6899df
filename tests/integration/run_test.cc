// The verbs of one container's life, typed as a user types them, on the real kernel.
#include <gtest/gtest.h>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

using RunTest = SharedNodeTest;

TEST_F(RunTest, prints_what_the_container_prints_and_returns_its_exit_code) {
    const Ran ran =
        node->nodectl({"run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(ran.out, "out\n");
    EXPECT_EQ(ran.err, "err\n");
    EXPECT_EQ(ran.exit_code, 7);
}

TEST_F(RunTest, exit_codes_are_those_of_docker) {
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "no-such-command"}).exit_code, 127);
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "/etc/passwd"}).exit_code, 126);
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "/etc"}).exit_code, 126);
    EXPECT_EQ(node->nodectl({"run", "--rm", "no-such-image", "true"}).exit_code, 125);
    EXPECT_EQ(node->nodectl({"run", "--no-such-flag", "busybox"}).exit_code, 125);
    // The first process of a pid namespace can not kill itself, a parent outside of it can.
    node->ok({"run", "-d", "--name", "victim", "busybox", "sleep", "1000"});
    node->ok({"kill", "-s", "TERM", "victim"});
    node->ok({"kill", "victim"});
    EXPECT_EQ(node->ok({"wait", "victim"}), "137");
    EXPECT_EQ(node->nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
}

TEST_F(RunTest, names_and_users_are_refused_in_dockers_words) {
    const Ran upper = node->nodectl({"run", "UPPER", "true"});
    EXPECT_EQ(upper.exit_code, 125);
    EXPECT_NE(upper.err.find("invalid reference format: repository name (library/UPPER) must be "
                             "lowercase"),
              std::string::npos)
        << upper.err;
    node->ok({"run", "-d", "--name", "web-1", "busybox", "sleep", "1000"});
    const Ran nouser = node->nodectl({"exec", "-u", "nouser", "web-1", "true"});
    EXPECT_EQ(nouser.exit_code, 126);
    EXPECT_NE(nouser.err.find("unable to find user nouser"), std::string::npos) << nouser.err;
    EXPECT_EQ(node->nodectl({"logs", "--tail", "x", "web-1"}).exit_code, 1);
    for (const char* pattern : {"web", "^web-[0-9]$", "^/web-1$", "eb-"})
        EXPECT_NE(node->ok({"ps", "-q", "--filter", std::string("name=") + pattern}), "")
            << pattern;
    for (const char* pattern : {"^eb", "web$"})
        EXPECT_EQ(node->ok({"ps", "-q", "--filter", std::string("name=") + pattern}), "")
            << pattern;
    EXPECT_EQ(node->nodectl({"ps", "--filter", "name=("}).exit_code, 1);
}

TEST_F(RunTest, a_start_that_fails_says_why_in_dockers_words) {
    const Ran ran = node->nodectl({"run", "--rm", "busybox", "no-such-command"});
    EXPECT_NE(ran.err.find("exec: \"no-such-command\": executable file not found in $PATH"),
              std::string::npos)
        << ran.err;
}

TEST_F(RunTest, standard_input_reaches_the_container_and_its_end_too) {
    const Ran ran =
        node->nodectl({"run", "--rm", "-i", "busybox", "wc", "-c"}, std::string(200'000, 'x'));
    EXPECT_EQ(trimmed(ran.out), "200000");
    EXPECT_EQ(ran.exit_code, 0);
}

TEST_F(RunTest, much_output_arrives_whole) {
    const Ran ran = node->nodectl({"run", "--rm", "busybox", "seq", "1", "200000"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_EQ(ran.out.size(), 1288895u);
    EXPECT_TRUE(ran.out.ends_with("199999\n200000\n"));
}

TEST_F(RunTest, a_detached_container_is_listed_logged_and_removed) {
    const std::string id =
        node->ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", "echo hello; sleep 1000"});
    EXPECT_EQ(id.size(), 64u);
    EXPECT_EQ(node->ok({"ps", "--format", "{{.Names}} {{.Image}}"}), "web busybox");
    EXPECT_TRUE(eventually([&] { return node->ok({"logs", "web"}) == "hello"; }));
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}} {{.Name}}", "web"}),
              "running /web");
    EXPECT_NE(node->ok({"top", "web"}).find("sleep 1000"), std::string::npos);
    EXPECT_EQ(node->nodectl({"rm", "web"}).exit_code, 1);
    EXPECT_EQ(node->ok({"rm", "-f", "web"}), "web");
    EXPECT_EQ(node->ok({"ps", "-a", "-q"}), "");
}

TEST_F(RunTest, create_start_stop_and_start_again) {
    node->ok({"create", "--name", "cc", "busybox", "sh", "-c",
              "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}}", "cc"}), "created");
    node->ok({"start", "cc"});
    EXPECT_TRUE(eventually([&] { return node->ok({"logs", "cc"}) == "up"; }));
    node->ok({"stop", "cc"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "cc"}),
              "exited 5");
    node->ok({"start", "cc"});
    EXPECT_TRUE(eventually([&] { return node->ok({"logs", "cc"}) == "up\nup"; }));
    node->ok({"kill", "cc"});
    EXPECT_EQ(node->ok({"wait", "cc"}), "137");
}

TEST_F(RunTest, stop_kills_after_the_grace_period) {
    node->ok({"run", "-d", "--name", "deaf", "busybox", "sh", "-c",
              "trap '' TERM; while :; do sleep 0.1; done"});
    node->ok({"stop", "-t", "1", "deaf"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.ExitCode}}", "deaf"}), "137");
}

TEST_F(RunTest, exec_runs_beside_the_container_and_returns_its_own_code) {
    node->ok({"run", "-d", "--name", "ex", "busybox", "sleep", "1000"});
    const Ran ran = node->nodectl(
        {"exec", "-e", "A=b", "-w", "/tmp", "ex", "sh", "-c", "echo $A $PWD; exit 3"});
    EXPECT_EQ(ran.out, "b /tmp\n");
    EXPECT_EQ(ran.exit_code, 3);
    EXPECT_EQ(node->nodectl({"exec", "-i", "ex", "cat"}, "through\n").out, "through\n");
    EXPECT_EQ(node->nodectl({"exec", "ex", "nothing-there"}).exit_code, 127);
    EXPECT_EQ(trimmed(node->nodectl({"exec", "-u", "nobody", "ex", "id", "-u"}).out), "65534");
    EXPECT_EQ(node->nodectl({"exec", "none", "true"}).exit_code, 1);
}

TEST_F(RunTest, the_container_is_isolated_as_docker_isolates_it) {
    const Ran ran = node->nodectl({"run", "--rm", "--name", "iso", "busybox", "sh", "-c",
                                   "echo $$; hostname | wc -c; ls /sys/class/net; grep -E "
                                   "'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; "
                                   "cat /proc/kcore | wc -c; echo x 2>/dev/null > "
                                   "/proc/sys/kernel/domainname || echo read-only"});
    EXPECT_EQ(ran.out,
              "1\n13\nlo\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n0\nread-only\n")
        << ran.err;
}

TEST_F(RunTest, a_terminal_is_a_terminal) {
    // script(1) gives nodectl a terminal of its own.
    std::string line;
    for (const std::string& word :
         node->command({"run", "--rm", "-it", "busybox", "sh", "-c", "'tty; stty size; exit 4'"})) {
        line += word + " ";
    }
    const Ran ran =
        run_program({"/usr/bin/script", "-qec", "stty rows 33 cols 99; " + line, "/dev/null"});
    EXPECT_NE(ran.out.find("/dev/pts/0"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("33 99"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.exit_code, 4);
}

TEST_F(RunTest, the_foreground_client_passes_signals_on) {
    Running client(node->command(
        {"run", "--rm", "--name", "sig", "busybox", "sh", "-c",
         "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"}));
    ASSERT_TRUE(client.read_until("ready"));
    kill(client.pid(), SIGTERM);
    const Ran ran = client.wait();
    EXPECT_EQ(ran.out, "ready\ncaught\n");
    EXPECT_EQ(ran.exit_code, 9);
}

TEST_F(RunTest, a_client_that_goes_away_leaves_the_container_running) {
    Running client(
        node->command({"run", "--name", "stay", "busybox", "sh", "-c", "echo ready; sleep 1000"}));
    ASSERT_TRUE(client.read_until("ready"));
    kill(client.pid(), SIGKILL);
    client.wait();
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}}", "stay"}), "running");
}

TEST_F(RunTest, logs_follow_until_the_end_and_keep_the_streams_apart) {
    node->ok({"run", "-d", "--name", "lo", "busybox", "sh", "-c",
              "for i in 1 2 3 4 5; do echo $i; echo e$i >&2; sleep 0.1; done"});
    const Ran followed = node->nodectl({"logs", "-f", "lo"});
    EXPECT_EQ(followed.out, "1\n2\n3\n4\n5\n");
    EXPECT_EQ(followed.err, "e1\ne2\ne3\ne4\ne5\n");
    EXPECT_EQ(node->nodectl({"logs", "--tail", "2", "lo"}).out +
                  node->nodectl({"logs", "--tail", "2", "lo"}).err,
              "5\ne5\n");
}

TEST_F(RunTest, events_tell_the_whole_life_in_order) {
    const std::string id = node->ok({"run", "-d", "--rm", "--name", "ev", "busybox", "true"});
    ASSERT_TRUE(eventually([&] { return node->ok({"ps", "-aq"}).empty(); }));
    const std::string events = node->ok({"events", "--filter", "container=" + id, "-o", "json"});
    size_t at = 0;
    for (const char* name :
         {"ContainerRequested", "ContainerStartRequested", "RootfsPrepared", "ContainerStarted",
          "ContainerExited", "ContainerRemovalRequested", "ContainerRemoved"}) {
        const size_t found = events.find(std::string("\"") + name + "\"", at);
        EXPECT_NE(found, std::string::npos) << name << " in\n" << events;
        if (found != std::string::npos) at = found;
    }
    // Storage's own outcome, before or after.
    EXPECT_TRUE(eventually([&] {
        return node->ok({"events", "-o", "json"}).find("\"RootfsRemoved\"") != std::string::npos;
    }));
}

TEST_F(RunTest, names_and_ids_resolve_as_in_docker) {
    const std::string id = node->ok({"create", "--name", "one", "busybox", "true"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.Id}}", id.substr(0, 12)}), id);
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.Id}}", "one"}), id);
    const Ran taken = node->nodectl({"create", "--name", "one", "busybox", "true"});
    EXPECT_EQ(taken.exit_code, 125);
    EXPECT_NE(taken.err.find("is already in use by container"), std::string::npos) << taken.err;
    const Ran unknown = node->nodectl({"inspect", "two"});
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_NE(unknown.err.find("two"), std::string::npos);
}

TEST_F(RunTest, many_containers_at_once_all_end_and_leave_nothing) {
    std::vector<std::unique_ptr<Running>> clients;
    for (int i = 0; i < 24; ++i) {
        clients.push_back(std::make_unique<Running>(
            node->command({"run", "--rm", "busybox", "sh", "-c", "exit " + std::to_string(i)})));
    }
    for (int i = 0; i < 24; ++i) EXPECT_EQ(clients[static_cast<size_t>(i)]->wait().exit_code, i);
}

}  // namespace
}  // namespace noded::test
