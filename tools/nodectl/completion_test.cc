// What the shells are told, over a node of this test's own; and that every verb is in the manual.
#include "tools/nodectl/completion.h"

#include <gtest/gtest.h>

namespace noded::nodectl {
namespace {

class TestNames final : public Names {
public:
    std::string asked;
    std::string key;

    void ask(const std::string& host, const remote::TlsFiles& files) override {
        asked = host;
        key = files.key;
    }
    std::vector<std::string> containers(Which which) override {
        if (which == Which::running) return {"web"};
        if (which == Which::stopped) return {"old"};
        return {"web", "old"};
    }
    std::vector<std::string> images() override { return {"box:1"}; }
    std::vector<std::string> plugins() override { return {"storage"}; }
    std::vector<std::string> machines() override { return {"node1", "node2"}; }
};

class Completion : public testing::Test {
protected:
    /// "a b c" of what may stand at the end, and "FILES" if a path may.
    std::string of(std::vector<std::string> words) {
        std::string host;
        bool version = false;
        const Option globals[] = {{'H', "host", &host, "string", "Socket"},
                                  {0, "at", &host, "string", "When"},
                                  {0, "tlskey", &host, "file", "Key"},
                                  {'v', "version", &version, "", "Version"}};
        const Candidates found = complete_line(words, globals, names);
        std::string out;
        for (const Candidate& candidate : found.words)
            out += (out.empty() ? "" : " ") + candidate.word;
        if (found.files) out += out.empty() ? "FILES" : " FILES";
        return out;
    }
    TestNames names;
};

TEST_F(Completion, begins_with_the_verbs_in_both_spellings) {
    EXPECT_EQ(of({"ren"}), "rename");
    EXPECT_EQ(of({"cont"}), "container");
    EXPECT_EQ(of({"container", "ren"}), "rename");
    EXPECT_EQ(of({"image", "l"}), "ls list load");
    EXPECT_EQ(of({"system", ""}), "events sub prune info") << "dial-stdio is for programs";
    EXPECT_EQ(of({"nothing", ""}), "");
    EXPECT_EQ(of({"__"}), "");
    EXPECT_EQ(of({"--h"}), "--host --help");
}

TEST_F(Completion, the_value_of_a_hidden_option_is_not_taken_for_an_argument) {
    EXPECT_EQ(of({"run", "--pull", "never", "bo"}), "box:1");
    EXPECT_EQ(of({"run", "-p", "80:80", "bo"}), "box:1");
    EXPECT_EQ(of({"run", "--pul"}), "");
}

TEST_F(Completion, knows_the_options_of_each_verb_and_values_of_some) {
    EXPECT_EQ(of({"run", "--restart-d"}), "--restart-delay --restart-delay-max");
    EXPECT_EQ(of({"run", "--restart", "un"}), "unless-stopped");
    EXPECT_EQ(of({"run", "--restart=un"}), "--restart=unless-stopped");
    EXPECT_EQ(of({"container", "rm", "--fo"}), "--force");
    EXPECT_EQ(of({"run", "-v", ""}), "FILES");
    EXPECT_EQ(of({"run", "--name", ""}), "");
}

TEST_F(Completion, offers_what_fits_to_the_place) {
    EXPECT_EQ(of({"rm", ""}), "web old");
    EXPECT_EQ(of({"rm", "-f", "web", "o"}), "old");
    EXPECT_EQ(of({"stop", ""}), "web");
    EXPECT_EQ(of({"start", ""}), "old");
    EXPECT_EQ(of({"run", "-it", ""}), "box:1");
    EXPECT_EQ(of({"run", "-it", "box:1", ""}), "FILES");
    EXPECT_EQ(of({"run", "box:1", "--rm"}), "FILES") << "it belongs to the command";
    EXPECT_EQ(of({"exec", "web", ""}), "FILES");
    EXPECT_EQ(of({"inspect", ""}), "web old box:1");
    EXPECT_EQ(of({"rename", "web", ""}), "");
    EXPECT_EQ(of({"plugin", "inspect", "s"}), "storage");
    EXPECT_EQ(of({"completion", ""}), "bash fish zsh");
    EXPECT_EQ(of({"ps", ""}), "");
    EXPECT_EQ(of({"events", "d"}), "diff");
    EXPECT_EQ(of({"cp", "w"}), "web: FILES");
    EXPECT_EQ(of({"cp", "file", "o"}), "old: FILES");
}

TEST_F(Completion, asks_the_node_that_the_line_names) {
    EXPECT_EQ(of({"-H", "unix:/a", "rm", "w"}), "web");
    EXPECT_EQ(names.asked, "unix:/a");
    EXPECT_EQ(of({"--host=unix:/b", "rm", "w"}), "web");
    EXPECT_EQ(names.asked, "unix:/b");
    EXPECT_EQ(of({"-H", "unix:/a", "--tlskey", "/k", "--at", "7", "rm", "w"}), "web");
    EXPECT_EQ(names.key, "/k");
    EXPECT_EQ(of({"-H", ""}), "unix:/ tcp:// ssh://");
    EXPECT_EQ(of({"-H", "unix:/"}), "FILES");
    EXPECT_EQ(of({"--host=ssh://node2"}), "--host=ssh://node2");
    EXPECT_EQ(of({"--host", "tcp://"}), "tcp://node1 tcp://node2");
    EXPECT_EQ(of({"--tlskey", ""}), "FILES");
    EXPECT_EQ(of({"--at", ""}), "");
}

TEST_F(Completion, knows_keys_and_values_of_filters_for_each_verb) {
    EXPECT_EQ(of({"ps", "-f", "s"}), "since= status=");
    EXPECT_EQ(of({"ps", "--filter", "status=p"}), "status=paused");
    EXPECT_EQ(of({"ps", "--filter=ancestor="}), "--filter=ancestor=box:1");
    EXPECT_EQ(of({"images", "--filter", ""}), "before= dangling= label= reference= since=");
    EXPECT_EQ(of({"images", "--filter", "since="}), "since=box:1");
    EXPECT_EQ(of({"container", "prune", "--filter", ""}), "label= until=");
    EXPECT_EQ(of({"events", "--filter", "plugin="}), "plugin=storage");
    EXPECT_EQ(of({"events", "-o", ""}), "json text");
    EXPECT_EQ(of({"export", "-o", ""}), "FILES");
    EXPECT_EQ(of({"run", "--ipc", "container:"}), "container:web");
    EXPECT_EQ(of({"serve", "--tlscert", ""}), "FILES");
    EXPECT_EQ(of({"serve", ""}), "tcp://");
    EXPECT_EQ(of({"sub", "s"}), "stats/ stats/node");
}

TEST(CompletionMachines, are_those_that_ssh_has_names_for) {
    EXPECT_EQ(machines_in("# Host no\nHost a b.c\n  HostName x\nhost=d\n\tHost *.e !f g?\n"
                          "Host \"h\""),
              (std::vector<std::string>{"a", "b.c", "d", "h"}));
}

TEST(CompletionScript, is_there_for_three_shells) {
    for (const char* shell : {"bash", "zsh", "fish"})
        EXPECT_NE(completion_script(shell)->find("__complete"), std::string::npos) << shell;
    EXPECT_EQ(completion_script("tcsh").error().message,
              "there is no completion for the shell 'tcsh': give bash, zsh or fish");
}

TEST(Verbs, of_containers_and_images_have_both_spellings) {
    for (const Verb& verb : verbs()) {
        const std::string usage = verb.usage;
        const std::string all = verb.spellings;
        if (usage.find("CONTAINER") != std::string::npos) {
            EXPECT_NE(all.find("container "), std::string::npos) << all;
        }
        if (usage.find("IMAGE") != std::string::npos &&
            all.find("container ") == std::string::npos) {
            EXPECT_NE(all.find("image "), std::string::npos) << all;
        }
    }
}

TEST(Manual, has_every_verb_with_its_options) {
    const std::string page = manual_page({});
    for (const Verb& verb : verbs()) {
        if (verb.description == nullptr) continue;
        EXPECT_NE(page.find(".SS \"nodectl " + verb.main_spelling()), std::string::npos)
            << verb.spellings;
    }
    EXPECT_NE(page.find("\\fB\\-\\-restart\\fR \\fIstring\\fR\n"), std::string::npos);
    EXPECT_EQ(page.find("__complete"), std::string::npos);
    EXPECT_EQ(page.find("\n-"), std::string::npos) << "a dash that troff may break";
}

}  // namespace
}  // namespace noded::nodectl
