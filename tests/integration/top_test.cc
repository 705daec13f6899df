// nodectl top as a terminal program: a real noded, a real terminal (a pty), keys that are typed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <regex>

#include "tests/integration/on_terminal.h"
#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

struct TopTest : SharedNodeTest {
    std::vector<std::string> environment(std::vector<std::string> more = {}) const {
        more.insert(more.end(), {"TERM=xterm-256color", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"});
        return more;
    }
    void run_two() {
        node->ok({"run", "-d", "--name", "busy", "busybox", "sh", "-c",
                  "echo the first word; while :; do :; done"});
        node->ok({"run", "-d", "--name", "quiet", "--memory", "64m", "busybox", "sleep", "1000"});
    }
};

TEST_F(TopTest, the_node_and_its_containers_are_shown_at_a_glance) {
    run_two();
    OnTerminal top(node->command({"top"}), environment());
    ASSERT_TRUE(top.shows("busy")) << top.drawn();
    EXPECT_TRUE(top.shows("quiet"));
    EXPECT_TRUE(top.shows("2 running"));
    EXPECT_TRUE(top.shows("sorted by CPU"));
    EXPECT_TRUE(eventually([&] { return says(top.drawn(), "█"); })) << "a line of marks";
    EXPECT_TRUE(top.shows("sorted by name", "n"));
    const std::string by_name = top.drawn();
    EXPECT_LT(by_name.find("busy"), by_name.find("quiet"));
    EXPECT_TRUE(top.shows("turned around", "r"));
    const std::string around = top.drawn();
    EXPECT_GT(around.find("busy"), around.find("quiet"));
    EXPECT_TRUE(top.shows("this help", "h"));
    EXPECT_TRUE(top.shows("sorted by", "x"));
    top.type("q");
    EXPECT_EQ(top.exit_code(), 0);
    EXPECT_TRUE(says(top.drawn(), "\x1b[?1049l")) << "the terminal is as it was";
}

TEST_F(TopTest, a_filter_leaves_only_what_is_looked_for) {
    run_two();
    OnTerminal top(node->command({"top"}), environment());
    ASSERT_TRUE(top.shows("busy"));
    EXPECT_TRUE(top.shows("show only: qui", "/qui"));
    EXPECT_TRUE(top.shows("only \"qui\"", "\r"));
    EXPECT_FALSE(says(top.drawn(), "busy ")) << top.drawn();
    EXPECT_TRUE(top.shows("no container matches", "/nothing\r"));
    EXPECT_TRUE(top.shows("busy", "\x1b"));
    top.type("\x03");
    EXPECT_EQ(top.exit_code(), 0);
}

TEST_F(TopTest, a_container_is_looked_at_closely) {
    run_two();
    OnTerminal top(node->command({"top"}), environment());
    ASSERT_TRUE(top.shows("busy"));
    ASSERT_TRUE(top.shows("sorted by name", "n"));
    EXPECT_TRUE(top.shows("the first word", "\x1bOH\r")) << top.drawn();
    EXPECT_TRUE(top.shows("while :", "p")) << top.drawn();
    EXPECT_TRUE(top.shows("STIME"));
    node->ok({"rm", "-f", "busy"});
    EXPECT_TRUE(eventually([&] { return top.shows("has ended"); })) << top.drawn();
    EXPECT_TRUE(top.shows("sorted by name", "\x1b"));
    EXPECT_TRUE(top.shows("1 running"));
    top.type("q");
    EXPECT_EQ(top.exit_code(), 0);
}

TEST_F(TopTest, what_is_longer_than_a_line_is_cut) {
    node->ok({"run", "-d", "--name", "long", "busybox", "sh", "-c",
              "printf '%0300d\\nshort\\n' 7; head -c 10000 /dev/zero | tr '\\0' x; "
              "while :; do sleep 0.3; done"});
    OnTerminal top(node->command({"top"}), environment(), 24, 80);
    ASSERT_TRUE(top.shows("long"));
    ASSERT_TRUE(top.shows("short", "\r")) << top.drawn();
    EXPECT_FALSE(says(top.drawn(), "short0")) << top.drawn();
    EXPECT_TRUE(top.shows("TTY   TIME", "p")) << top.drawn();
    EXPECT_TRUE(top.shows("sh -c")) << top.drawn();
    top.type("q");
    EXPECT_EQ(top.exit_code(), 0);
}

TEST_F(TopTest, the_size_of_the_terminal_may_change) {
    run_two();
    OnTerminal top(node->command({"top"}), environment());
    ASSERT_TRUE(top.shows("busy"));
    top.forget();
    top.resize(8, 40);
    EXPECT_TRUE(eventually([&] { return says(top.drawn(), "too small"); })) << top.drawn();
    top.forget();
    top.resize(40, 150);
    EXPECT_TRUE(eventually([&] { return says(top.drawn(), "sorted by CPU"); })) << top.drawn();
    top.type("q");
    EXPECT_EQ(top.exit_code(), 0);
}

TEST_F(TopTest, without_colours_there_are_none) {
    run_two();
    static const std::regex kColour("\x1b\\[([0-9;]*;)?3[0-7]m");
    const auto has_colours = [](const std::string& text) {
        return std::regex_search(text, kColour);
    };
    OnTerminal plain(node->command({"top"}), environment({"NO_COLOR=1"}));
    ASSERT_TRUE(plain.shows("busy"));
    EXPECT_FALSE(has_colours(plain.drawn()));
    OnTerminal coloured(node->command({"top"}), environment());
    EXPECT_TRUE(eventually([&] { return has_colours(coloured.drawn()); }));
    OnTerminal ascii(node->command({"top"}),
                     {"TERM=xterm", "LC_ALL=C", "PATH=/usr/bin:/bin"});
    ASSERT_TRUE(ascii.shows("busy"));
    EXPECT_FALSE(says(ascii.drawn(), "█"));
}

TEST_F(TopTest, what_is_no_terminal_is_answered_by_a_sentence) {
    const Ran piped = node->nodectl({"top"});
    EXPECT_EQ(piped.exit_code, 1);
    EXPECT_TRUE(says(piped.err, "needs a terminal")) << piped.err;
    for (const char* term : {"TERM=dumb", "TERM="}) {
        OnTerminal top(node->command({"top"}), {term, "PATH=/usr/bin:/bin"});
        EXPECT_EQ(top.exit_code(), 1);
        EXPECT_TRUE(says(top.drawn(), "cannot draw on this terminal")) << top.drawn();
    }
    OnTerminal unknown(node->command({"top"}), {"TERM=no-such-terminal", "PATH=/usr/bin:/bin"});
    EXPECT_EQ(unknown.exit_code(), 1);
    EXPECT_TRUE(says(unknown.drawn(), "no-such-terminal")) << unknown.drawn();
}

TEST(TopAcrossRestarts, it_waits_for_noded_and_goes_on) {
    TestNode node;
    node.start();
    OnTerminal top(node.command({"top"}),
                   {"TERM=xterm", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"});
    ASSERT_TRUE(top.shows("no container runs"));
    node.kill();
    EXPECT_TRUE(eventually([&] { return says(top.drawn(), "waiting for it to come back"); }));
    node.start();
    EXPECT_TRUE(eventually([&] { return top.shows("no container runs"); }));
    top.type("q");
    EXPECT_EQ(top.exit_code(), 0);
}

}  // namespace
}  // namespace noded::test
