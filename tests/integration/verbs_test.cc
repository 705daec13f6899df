// The verbs around containers and images, as docker spells, words and counts them: lists and their
// filters, prune, top with the options of ps, port; both spellings of each.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

using VerbsTest = SharedNodeTest;

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(VerbsTest, every_verb_of_a_container_has_two_spellings_and_a_help) {
    for (const char* verb : {"run", "create", "start", "stop", "kill", "rm", "ps", "exec", "logs",
                             "wait", "top", "port", "inspect"}) {
        for (const auto& words : {std::vector<std::string>{verb}, {"container", verb}}) {
            std::vector<std::string> asked = words;
            asked.push_back("--help");
            const Ran ran = node->nodectl(asked);
            EXPECT_EQ(ran.exit_code, 0) << verb;
            std::string usage = "Usage:  nodectl";
            for (const std::string& word : words) usage += " " + word;
            EXPECT_TRUE(ran.out.starts_with(usage)) << ran.out;
        }
    }
    node->ok({"container", "create", "--name", "both", "busybox", "true"});
    EXPECT_EQ(node->ok({"container", "ls", "-aq"}), node->ok({"ps", "-aq"}));
    EXPECT_EQ(node->ok({"image", "ls", "-q"}), node->ok({"images", "-q"}));
    EXPECT_EQ(node->ok({"container", "rm", "both"}), "both");
    for (const char* group : {"container", "image", "system"})
        EXPECT_TRUE(says(node->ok({group, "--help"}), "prune")) << group;
}

TEST_F(VerbsTest, a_prune_asks_first_and_takes_only_stopped_ones_that_the_filters_name) {
    node->ok({"run", "-d", "--name", "runs", "busybox", "sleep", "1000"});
    node->ok({"create", "--name", "kept", "--label", "keep=yes", "busybox", "true"});
    const std::string gone = node->ok({"create", "--name", "gone", "busybox", "true"});
    const Ran asked = node->nodectl({"container", "prune"}, "n\n");
    EXPECT_EQ(asked.exit_code, 0);
    EXPECT_EQ(asked.out,
              "WARNING! This will remove all stopped containers.\n"
              "Are you sure you want to continue? [y/N] Total reclaimed space: 0B\n");
    EXPECT_EQ(node->ok({"container", "prune", "-f", "--filter", "until=1h"}),
              "Total reclaimed space: 0B");
    const Ran done = node->nodectl({"container", "prune", "--filter", "label!=keep"}, "y\n");
    EXPECT_TRUE(says(done.out, "[y/N] Deleted Containers:\n" + gone + "\n\nTotal reclaimed"))
        << done.out;
    EXPECT_EQ(node->ok({"ps", "-a", "--format", "{{.Names}}"}), "kept\nruns");
    node->ok({"container", "prune", "--force", "--filter", "label=keep=yes"});
    EXPECT_EQ(node->ok({"ps", "-a", "--format", "{{.Names}}"}), "runs");
    EXPECT_EQ(node->nodectl({"container", "prune", "-f", "--filter", "until=soon"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"container", "prune", "-f", "--filter", "name=x"}).exit_code, 1);
}

TEST_F(VerbsTest, a_prune_takes_more_than_it_asks_for_at_once_and_leaves_what_runs) {
    node->ok({"run", "-d", "--name", "busy", "busybox", "sleep", "1000"});
    for (int i = 0; i < 70; ++i) node->ok({"create", "busybox", "true"});
    const std::string done = node->ok({"container", "prune", "-f"});
    EXPECT_EQ(std::ranges::count(done, '\n'), 1 + 70 + 1) << done;
    EXPECT_EQ(node->ok({"ps", "-a", "--format", "{{.Names}}"}), "busy");
}

TEST_F(VerbsTest, an_image_prune_takes_dangling_ones_and_with_all_the_unused) {
    const std::string used = node->ok({"images", "-q", "--no-trunc", "busybox"});
    node->ok({"create", "--name", "user", "busybox", "true"});
    node->import_busybox("spare:1");
    EXPECT_EQ(node->ok({"image", "prune", "-f"}), "Total reclaimed space: 0B");
    const std::string all = node->ok({"image", "prune", "-af"});
    EXPECT_TRUE(says(all, "Deleted Images:\nuntagged: spare:1\ndeleted: sha256:")) << all;
    // Its one layer is that of busybox, too: nothing became free.
    EXPECT_TRUE(all.ends_with("\n\nTotal reclaimed space: 0B")) << all;
    EXPECT_EQ(node->ok({"images", "-q", "--no-trunc"}), used);
    const Ran asked = node->nodectl({"system", "prune", "--filter", "label=x"}, "\n");
    EXPECT_EQ(asked.out,
              "WARNING! This will remove:\n  - all stopped containers\n  - all dangling images\n\n"
              "  Items to be pruned will be filtered with:\n  - label=x\n\n"
              "Are you sure you want to continue? [y/N] ");
    EXPECT_TRUE(says(node->ok({"system", "prune", "-f"}), "Deleted Containers:\n"));
    EXPECT_EQ(node->ok({"ps", "-aq"}), "");
}

TEST_F(VerbsTest, top_takes_the_options_of_ps) {
    node->ok({"run", "-d", "--name", "busy", "busybox", "sleep", "1234"});
    const std::string plain = node->ok({"top", "busy"});
    EXPECT_TRUE(plain.starts_with("UID ")) << plain;
    const std::string chosen = node->ok({"top", "busy", "-o", "pid,args"});
    const std::string pid = node->ok({"inspect", "--format", "{{.State.Pid}}", "busy"});
    EXPECT_TRUE(chosen.starts_with("PID ")) << chosen;
    EXPECT_TRUE(says(chosen, "\n" + pid)) << chosen;
    EXPECT_TRUE(chosen.ends_with("sleep 1234")) << chosen;
    const Ran no_pid = node->nodectl({"top", "busy", "-o", "args"});
    EXPECT_EQ(no_pid.exit_code, 1);
    EXPECT_TRUE(says(no_pid.err, "Couldn't find PID field in ps output")) << no_pid.err;
    EXPECT_EQ(node->nodectl({"top", "busy", "--no-such"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"top", "nobody"}).exit_code, 1);
}

TEST_F(VerbsTest, port_lists_nothing_and_refuses_what_is_not_published) {
    node->ok({"create", "--name", "web", "busybox", "true"});
    EXPECT_EQ(node->ok({"port", "web"}), "");
    const Ran asked = node->nodectl({"port", "web", "80"});
    EXPECT_EQ(asked.exit_code, 1);
    EXPECT_EQ(asked.err, "Error: No public port '80/tcp' published for web\n");
    EXPECT_TRUE(says(node->nodectl({"port", "nobody"}).err, "No such container: nobody"));
    EXPECT_EQ(node->nodectl({"port", "web", "x"}).exit_code, 1);
}

TEST_F(VerbsTest, a_list_is_filtered_by_all_that_docker_documents) {
    node->ok({"create", "--name", "aa", "-v", "/tmp:/data", "busybox", "true"});
    node->ok({"create", "--name", "bb", "busybox", "true"});
    const auto names = [](std::vector<std::string> more) {
        std::vector<std::string> words = {"ps", "-a", "--format", "{{.Names}}"};
        words.insert(words.end(), more.begin(), more.end());
        return node->ok(words);
    };
    EXPECT_EQ(names({"--filter", "volume=/data"}), "aa");
    EXPECT_EQ(names({"--filter", "volume=/tmp"}), "aa");
    EXPECT_EQ(names({"--filter", "health=none"}), "bb\naa");
    EXPECT_EQ(names({"--filter", "health=healthy"}), "");
    EXPECT_EQ(names({"--filter", "is-task=false"}), "bb\naa");
    EXPECT_EQ(names({"--filter", "publish=80"}), "");
    EXPECT_EQ(names({"--filter", "expose=80-90/udp"}), "");
    EXPECT_EQ(names({"--filter", "since=aa"}), "bb");
    EXPECT_EQ(names({"--filter", "before=bb"}), "aa");
    EXPECT_EQ(names({"-l"}), "bb");
    EXPECT_EQ(names({"-n", "1"}), "bb");
    EXPECT_EQ(node->ok({"ps", "-a", "--filter", "name=^aa$", "--format", "{{.Mounts}}"}), "/tmp");
    EXPECT_TRUE(says(node->ok({"ps", "-a", "--format", "json"}), "\"Names\":\"aa\""));
    EXPECT_TRUE(node->ok({"ps", "-a", "--format", "table {{.Names}}\\t{{.State}}"})
                    .starts_with("NAMES     STATE\n"));
    for (const char* wrong : {"health=fine", "is-task=maybe", "publish=x", "expose=9-1", "what=1"})
        EXPECT_EQ(node->nodectl({"ps", "--filter", wrong}).exit_code, 1) << wrong;
}

}  // namespace
}  // namespace noded::test
