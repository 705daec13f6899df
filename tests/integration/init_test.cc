// --init: a first process that reaps, hands signals on and ends as its command ends.
#include <gtest/gtest.h>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

struct InitTest : SharedNodeTest {
    /// A container whose command leaves an orphan that ends at once, and waits for nothing itself.
    static void start_careless(const std::string& name, std::vector<std::string> options) {
        std::vector<std::string> all = {"run", "-d", "--name", name};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", "sh -c 'sleep 0.1 &'; exec sleep 1000"});
        node->ok(all);
    }
    static std::string states(const std::string& name) {
        return node->ok({"exec", name, "sh", "-c",
                         "for p in /proc/[0-9]*; do grep -h ^State $p/status; done 2>/dev/null"});
    }
};

TEST_F(InitTest, reaps_what_nobody_waits_for) {
    start_careless("without", {});
    EXPECT_TRUE(eventually([] { return states("without").find("zombie") != std::string::npos; }));
    start_careless("with", {"--init"});
    sleep_ms(400);
    EXPECT_EQ(states("with").find("zombie"), std::string::npos) << states("with");
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.Init}} {{.Path}}", "with"}),
              "true sh");
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.Init}}", "without"}), "<nil>");
    const std::string first = node->ok({"exec", "with", "sh", "-c",
                                        "tr '\\0' ' ' < /proc/1/cmdline"});
    EXPECT_TRUE(first.starts_with("/sbin/docker-init -- sh ")) << first;
}

TEST_F(InitTest, hands_signals_on_and_ends_as_the_command_ends) {
    node->ok({"run", "-d", "--init", "--name", "trap", "busybox", "sh", "-c",
              "trap 'exit 42' TERM; trap 'echo usr1' USR1; echo ready; "
              "while :; do sleep 0.05; done"});
    ASSERT_TRUE(eventually([] { return node->ok({"logs", "trap"}) == "ready"; }));
    node->ok({"kill", "-s", "USR1", "trap"});
    EXPECT_TRUE(eventually([] { return node->ok({"logs", "trap"}) == "ready\nusr1"; }));
    node->ok({"stop", "trap"});
    EXPECT_EQ(node->ok({"wait", "trap"}), "42");
    const auto exit_code = [](std::vector<std::string> command) {
        std::vector<std::string> all = {"run", "--rm", "--init", "busybox"};
        all.insert(all.end(), command.begin(), command.end());
        return node->nodectl(all).exit_code;
    };
    EXPECT_EQ(exit_code({"sh", "-c", "exit 7"}), 7);
    EXPECT_EQ(exit_code({"sh", "-c", "kill -9 $$"}), 137);
    EXPECT_EQ(exit_code({"no-such-command"}), 127);
    EXPECT_EQ(exit_code({"/etc"}), 126);
}

TEST_F(InitTest, lets_the_command_have_the_terminal_and_the_user) {
    EXPECT_EQ(node->ok({"run", "--rm", "-u", "1000", "--read-only", "--init", "busybox", "id",
                        "-u"}),
              "1000");
    node->ok({"run", "-dt", "--init", "--name", "tty", "busybox", "sh", "-c",
              "stty -echo; read line < /dev/tty && echo got $line"});
    sleep_ms(200);
    // A command that is not in the foreground would be stopped by its read.
    EXPECT_EQ(states("tty").find("stopped"), std::string::npos) << states("tty");
}

TEST_F(InitTest, is_not_used_where_the_host_has_one) {
    EXPECT_EQ(node->ok({"run", "--rm", "--init", "--pid", "host", "busybox", "sh", "-c",
                        "tr '\\0' ' ' < /proc/$$/cmdline | cut -c 1-5"}),
              "sh -c");
}

}  // namespace
}  // namespace noded::test
