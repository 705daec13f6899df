// The verbs around containers and images, as docker spells, words and counts them: lists and their
// filters, prune, top with the options of ps, port; both spellings of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

using VerbsTest = SharedNodeTest;

TEST_F(VerbsTest, every_verb_of_a_container_has_two_spellings_and_a_help) {
    for (const char* verb :
         {"run",  "create", "start",  "stop",  "restart", "kill", "pause",  "unpause", "rename",
          "rm",   "ps",     "update", "wait",  "attach",  "exec", "logs",   "top",     "stats",
          "port", "inspect", "diff",  "cp",    "export",  "commit"}) {
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
    EXPECT_TRUE(says(node->ok({"system", "prune", "-f", "--volumes"}), "Deleted Containers:\n"));
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
    EXPECT_EQ(names({"--filter", "ancestor=busybox:latest"}), "bb\naa");
    EXPECT_EQ(names({"--filter", " Name = ^aa$ ", "--filter", ""}), "aa");
    for (const char* wrong : {"health=fine", "is-task=maybe", "publish=x", "expose=9-1", "what=1"})
        EXPECT_EQ(node->nodectl({"ps", "--filter", wrong}).exit_code, 1) << wrong;
}

TEST_F(VerbsTest, a_list_looks_as_dockers) {
    node->ok({"create", "--name", "aa", "--label", "com.example.my-tier=front", "busybox", "sh",
              "-c", "exit 3"});
    EXPECT_EQ(node->ok({"ps", "-a", "--no-trunc", "--format", "{{.Command}}"}),
              "\"sh -c 'exit 3'\"");
    EXPECT_EQ(node->ok({"ps", "-a", "--format",
                        "table {{.Names}}\\t{{.Label \"com.example.my-tier\"}}"}),
              "NAMES     my tier\naa        front");
    const std::string raw = node->ok({"ps", "-a", "--format", "raw"});
    EXPECT_TRUE(raw.starts_with("container_id: ")) << raw;
    EXPECT_TRUE(says(raw, "\nimage: busybox\ncommand: \"sh -c 'exit 3'\"\ncreated_at: ")) << raw;
    EXPECT_TRUE(says(raw, "\nstate: created\nstatus: Created\nnames: aa\nlabels: "
                          "com.example.my-tier=front\nports:"))
        << raw;
}

TEST_F(VerbsTest, what_goes_wrong_is_said_in_dockers_words_and_codes) {
    node->ok({"create", "--name", "aa", "busybox", "true"});
    node->ok({"create", "--name", "bb", "busybox", "true"});
    const Ran missing = node->nodectl({"rm", "-f", "nobody", "none"});
    EXPECT_EQ(missing.exit_code, 0);
    EXPECT_EQ(missing.err, "Error: No such container: nobody\nError: No such container: none\n");
    EXPECT_EQ(node->nodectl({"rm", "nobody"}).exit_code, 1);
    EXPECT_TRUE(says(node->nodectl({"rm", "--link", "aa"}).err, "this node has no links"));
    const std::string id = node->ok({"inspect", "-f", "{{.Id}}", "aa"});
    for (const auto& words : {std::vector<std::string>{"kill", "aa"}, {"exec", "aa", "true"}})
        EXPECT_TRUE(says(node->nodectl(words).err, "Container " + id + " is not running"));
    EXPECT_TRUE(says(node->nodectl({"kill", "aa"}).err, "Error: Cannot kill container: aa: "));
    EXPECT_EQ(node->ok({"wait", "aa"}), "0");
    const Ran renamed = node->nodectl({"rename", "aa", "bb"});
    EXPECT_TRUE(says(renamed.err, "Conflict. The container name \"/bb\" is already in use by"))
        << renamed.err;
    EXPECT_TRUE(says(renamed.err, "\nError: failed to rename container named aa\n"));
    const Ran started = node->nodectl({"start", "nobody", "none"});
    EXPECT_TRUE(says(started.err, "Error: failed to start containers: nobody, none\n"));
    EXPECT_EQ(node->nodectl({"inspect", "-f", "{{.Name", "aa"}).exit_code, 64);
    EXPECT_EQ(node->nodectl({"ps", "--no-such"}).exit_code, 125);
    EXPECT_EQ(node->nodectl({"ps", "extra"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"run"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"--no-such", "ps"}).exit_code, 125);
}

TEST_F(VerbsTest, inspect_shows_which_paths_are_hidden) {
    node->ok({"create", "--name", "aa", "busybox", "true"});
    node->ok({"create", "--name", "bb", "--privileged", "busybox", "true"});
    const char* kPaths = "{{json .HostConfig.MaskedPaths}} {{json .HostConfig.ReadonlyPaths}}";
    const std::string paths = node->ok({"inspect", "-f", kPaths, "aa"});
    EXPECT_TRUE(says(paths, "\"/proc/kcore\"") && says(paths, "\"/sys/firmware\"")) << paths;
    EXPECT_TRUE(says(paths, "\"/proc/sysrq-trigger\"")) << paths;
    EXPECT_EQ(node->ok({"inspect", "-f", kPaths, "bb"}), "null null");
}

TEST_F(VerbsTest, events_have_dockers_filters_and_shape) {
    EXPECT_EQ(node->nodectl({"run", "--name", "shown", "--label", "tier=front", "busybox", "sh",
                             "-c", "exit 3"})
                  .exit_code,
              3);
    const auto events = [](std::vector<std::string> more) {
        more.insert(more.begin(), {"events", "--filter", "container=shown"});
        return node->nodectl(more);
    };
    EXPECT_TRUE(eventually([&] {
        return says(events({"--filter", "event=die", "--format", "{{.Action}}"}).out, "die");
    }));
    EXPECT_EQ(events({"--format", "{{.Type}} {{.Action}} {{.Status}}"}).out,
              "container create create\ncontainer start start\ncontainer die die\n");
    EXPECT_EQ(events({"--filter", "event=die", "--filter", "label=tier=front", "--format",
                      "{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.name}} {{.From}}"})
                  .out,
              "3 shown busybox\n");
    EXPECT_EQ(events({"--filter", "label=tier=back"}).out, "");
    EXPECT_TRUE(says(events({"--filter", "event=die"}).out, " container ContainerExited "));
    EXPECT_TRUE(says(events({"--filter", "event=start", "--format", "json"}).out,
                     "{\"status\":\"start\",\"id\":\""));
    EXPECT_EQ(events({"--filter", "type=container", "--filter", "event=create", "--format",
                      "{{.ID}}"})
                  .out,
              node->ok({"inspect", "-f", "{{.Id}}", "shown"}) + "\n");
    EXPECT_EQ(events({"--filter", "scope=local", "--format", "{{.Action}}"}).out,
              "create\nstart\ndie\n");
    for (const char* other : {"scope=swarm", "daemon=node"}) {
        const Ran ran = events({"--filter", other});
        EXPECT_EQ(ran.exit_code, 0) << ran.err;
        EXPECT_EQ(ran.out, "") << other;
    }
    EXPECT_EQ(events({"--format", "{{.Nope}}"}).exit_code, 1);
    // As docker is told it, whose events always follow.
    EXPECT_EQ(node->ok({"events", "-f", "event=die", "-f", "container=shown", "--until", "0s",
                        "--format", "{{.Action}}"}),
              "die");
    EXPECT_EQ(node->nodectl({"events", "event=die"}).exit_code, 1);
}

TEST_F(VerbsTest, exec_can_be_privileged_and_groups_are_dockers) {
    node->ok({"run", "-d", "--name", "aa", "--cap-drop", "ALL", "-u", "1000:1001", "--group-add",
              "7", "busybox", "sleep", "1000"});
    const auto capabilities = [](std::vector<std::string> more) {
        more.insert(more.begin(), "exec");
        more.insert(more.end(), {"aa", "grep", "CapBnd", "/proc/self/status"});
        return node->ok(more);
    };
    EXPECT_EQ(capabilities({}), "CapBnd:\t0000000000000000");
    EXPECT_NE(capabilities({"--privileged"}), capabilities({}));
    const auto effective = [](const char* user) {
        return node->ok({"exec", "--privileged", "-u", user, "aa", "sh", "-c",
                         "grep CapEff /proc/self/status | cut -f 2"});
    };
    EXPECT_EQ(effective("1000"), "0000000000000000");
    EXPECT_NE(effective("0"), "0000000000000000");
    EXPECT_EQ(node->ok({"exec", "aa", "grep", "Groups", "/proc/self/status"}), "Groups:\t7 1001");
    EXPECT_EQ(node->ok({"exec", "-u", "0", "aa", "grep", "Groups", "/proc/self/status"}),
              "Groups:\t0 7");
}

TEST_F(VerbsTest, logs_take_dockers_times_and_details) {
    node->ok({"run", "--name", "aa", "busybox", "echo", "line"});
    const auto logs = [](std::vector<std::string> more) {
        more.insert(more.begin(), "logs");
        more.push_back("aa");
        return node->ok(more);
    };
    EXPECT_EQ(node->nodectl({"logs", "--details", "aa"}).out, " line\n");
    EXPECT_TRUE(logs({"--details", "-t"}).ends_with("Z  line"));
    for (const char* since : {"2013-01-02T13", "2013-01-02T13-07:00", "2013-01-02T13:23+01:00",
                              "2013-01-02", "1.5", "1h30m", ""})
        EXPECT_EQ(logs({"--since", since}), "line") << since;
    for (const char* since : {"-1h", "9999999999", "2099-01-01"})
        EXPECT_EQ(logs({"--since", since}), "") << since;
    EXPECT_EQ(logs({"--until", "0"}), "line");
    EXPECT_EQ(node->nodectl({"logs", "--since", "2013-01", "aa"}).exit_code, 1);
}

TEST_F(VerbsTest, an_export_has_plain_names) {
    node->ok({"create", "--name", "aa", "busybox", "true"});
    const std::string file = node->dir() + "/out.tar";
    node->ok({"export", "-o", file, "aa"});
    const Ran one = run_program({"/bin/tar", "xOf", file, "etc/passwd"});
    EXPECT_EQ(one.exit_code, 0) << one.err;
    EXPECT_TRUE(says(one.out, "root:x:0:0"));
    EXPECT_FALSE(says(run_program({"/bin/tar", "tf", file}).out, "./"));
    EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace noded::test
