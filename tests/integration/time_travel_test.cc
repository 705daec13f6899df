// The node as it was: every verb that reads answers from snapshot and log as of a seq or a time,
// beside a node that goes on, and says what it cannot know.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Children of a process that are noded as it was started for the past.
size_t readers_of(pid_t parent) {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string pid = entry.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string stat = read_text("/proc/" + pid + "/stat");
        const size_t close = stat.rfind(')');
        if (close == std::string::npos || close + 4 > stat.size()) continue;
        std::istringstream rest(stat.substr(close + 2));
        std::string state;
        pid_t from = 0;
        rest >> state >> from;
        const std::string line = read_text("/proc/" + pid + "/cmdline");
        if (from == parent && line.starts_with(std::string("noded\0past", 10))) ++count;
    }
    return count;
}

/// Whether noded has another noded at work for it: a replica that writes a snapshot, or a reader.
bool has_helpers(pid_t parent) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string pid = entry.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string child = "PPid:\t" + std::to_string(parent) + "\n";
        if (says(read_text("/proc/" + pid + "/status"), child) &&
            trimmed(read_text("/proc/" + pid + "/comm")) != "noded-shim")
            return true;
    }
    return false;
}

class TimeTravel : public ::testing::Test {
protected:
    void SetUp() override {
        config_ = node_.dir() + "/config";
        configure("");
        start();
        node_.import_busybox();
    }
    void configure(const std::string& more) {
        std::ofstream(config_) << "{\"snapshotEveryEvents\": 20, \"logBytesMax\": 33554432" << more
                               << "}\n";
    }
    /// Large events, so that the smallest log is soon full and its first segment goes.
    void outgrow_the_log() {
        const std::string large(60'000, 'x');
        for (int i = 0; i < 300; ++i) {
            const Ran ran = node_.nodectl({"create", "--name", "large", "--label", "a=" + large,
                                           "--env", "A=" + large, "busybox", "true", large});
            ASSERT_EQ(ran.exit_code, 0) << ran.err;
            node_.ok({"rm", "large"});
        }
        EXPECT_TRUE(eventually([&] {
            return !fs::exists(node_.state_dir() + "/log/segment-0000000000000001");
        })) << node_.ok({"info"});
    }
    /// The seq that kept history begins with, as the refusal to answer for seq 1 says.
    std::string beginning() const {
        const Ran before = try_at("1", {"ps"});
        EXPECT_EQ(before.exit_code, 1);
        const std::string words = "seq 1 is before the history that is kept: it begins with seq ";
        const size_t found = before.err.find(words);
        EXPECT_NE(found, std::string::npos) << before.err;
        if (found == std::string::npos) return {};
        const size_t from = found + words.size();
        return before.err.substr(from, before.err.find(' ', from) - from);
    }
    void start() { node_.start({"--config", config_}); }
    std::string now() const { return node_.ok({"info", "--format", "{{.DurableSeq}}"}); }
    /// One event each.
    void tag(int from, int to) {
        for (int i = from; i < to; ++i) node_.ok({"tag", "busybox", "many:" + std::to_string(i)});
    }
    std::string at(const std::string& moment, std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--at", moment});
        return node_.ok(arguments);
    }
    Ran try_at(const std::string& moment, std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--at", moment});
        return node_.nodectl(arguments);
    }
    /// As the first word of the line says it.
    std::string time_of(const std::string& seq) const {
        const std::string line = node_.ok({"events", "--since", seq, "--until", seq});
        return line.substr(0, line.find(' '));
    }

    TestNode node_;
    std::string config_;
};

TEST_F(TimeTravel, a_container_is_shown_in_every_state_that_it_had) {
    const std::string empty = now();
    const std::string id = node_.ok({"run", "-d", "--name", "web", "--label", "tier=front",
                                     "busybox", "sleep", "1000"});
    const std::string running = now();
    const Json then = Json::parse(node_.ok({"inspect", "web"}));
    node_.ok({"rename", "web", "front"});
    node_.ok({"kill", "front"});
    node_.ok({"wait", "front"});
    const std::string exited = now();
    node_.ok({"rm", "front"});
    const std::string format = "{{.ID}} {{.Names}} {{.State}} {{.Image}}";
    EXPECT_EQ(at(empty, {"ps", "-a", "--format", format}), "");
    EXPECT_EQ(at(running, {"ps", "--no-trunc", "--format", format}), id + " web running busybox");
    EXPECT_EQ(at(exited, {"ps", "--format", format}), "");
    EXPECT_EQ(at(exited, {"ps", "-a", "--no-trunc", "--format", format}),
              id + " front exited busybox");
    EXPECT_EQ(at(exited, {"inspect", "--format", "{{.State.ExitCode}}", "front"}), "137");
    // All that inspect shows is in the log, down to the paths.
    EXPECT_EQ(Json::parse(at(running, {"inspect", "web"})), then);
    const Ran gone = try_at(exited, {"inspect", "web"});
    EXPECT_EQ(gone.exit_code, 1);
    EXPECT_TRUE(says(gone.err, "No such object: web")) << gone.err;
}

TEST_F(TimeTravel, ages_count_from_then_and_times_are_as_good_as_seqs) {
    node_.ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    const std::string running = now();
    sleep_ms(2500);
    const std::string words = "{{.RunningFor}}, {{.Status}}";
    const std::string young = "Less than a second ago, Up Less than a second";
    EXPECT_NE(node_.ok({"ps", "--format", words}), young);
    EXPECT_EQ(at(running, {"ps", "--format", words}), young);
    EXPECT_EQ(at(time_of(running), {"ps", "--format", words}), young);
    EXPECT_EQ(at("2s", {"ps", "--format", "{{.Names}}"}), "web");
    node_.ok({"rm", "-f", "web"});
    EXPECT_EQ(at(time_of(running), {"ps", "--format", "{{.Names}}"}), "web");
}

TEST_F(TimeTravel, images_plugins_and_events_end_there_too) {
    tag(0, 1);
    const std::string one = now();
    tag(1, 3);
    node_.ok({"rmi", "many:0"});
    EXPECT_EQ(at(one, {"images", "--format", "{{.Tag}}", "many"}), "0");
    EXPECT_EQ(node_.ok({"images", "--format", "{{.Tag}}", "many:2"}), "2");
    EXPECT_EQ(at(one, {"image", "inspect", "--format", "{{json .RepoTags}}", "many:0"}),
              "[\"busybox:latest\",\"many:0\"]");
    EXPECT_EQ(at(one, {"plugin", "inspect", "--format", "{{.FoldedSeq}}", "storage"}), one);
    EXPECT_EQ(at(one, {"info", "--format", "{{.DurableSeq}}"}), one);
    const std::string events = at(one, {"events"});
    EXPECT_TRUE(says(events, "ImageTagged"));
    EXPECT_EQ(events, node_.ok({"events", "--until", one}));
}

TEST_F(TimeTravel, a_snapshot_on_the_way_makes_no_difference) {
    const Ran done = node_.nodectl({"run", "--name", "done", "busybox", "sh", "-c", "exit 3"});
    ASSERT_EQ(done.exit_code, 3);
    const std::string early = now();
    tag(0, 60);
    const std::string late = now();
    ASSERT_TRUE(eventually([&] {
        return node_.ok({"info", "--format", "{{.SnapshotSeq}}"}) != "0";
    }));
    node_.ok({"rm", "done"});
    tag(60, 70);
    node_.kill();
    start();
    for (const std::string& moment : {early, late}) {
        EXPECT_EQ(at(moment, {"ps", "-a", "--format", "{{.Names}} {{.Status}}"}).substr(0, 15),
                  "done Exited (3)");
    }
    EXPECT_EQ(at(early, {"images", "-q"}).find('\n'), std::string::npos);
    EXPECT_EQ(at(early, {"plugin", "inspect", "--format", "{{.SnapshotSeq}}", "storage"}), "0");
    EXPECT_NE(at(late, {"plugin", "inspect", "--format", "{{.SnapshotSeq}}", "storage"}), "0");
}

TEST_F(TimeTravel, a_diff_shows_what_changed_and_which_command_did_it) {
    node_.ok({"run", "-d", "--name", "old", "busybox", "sleep", "1000"});
    node_.ok({"run", "-d", "--name", "gone", "busybox", "sleep", "1000"});
    const std::string from = now();
    node_.ok({"rename", "old", "front"});
    node_.ok({"rm", "-f", "gone"});
    node_.ok({"create", "--name", "fresh", "busybox", "true"});
    ASSERT_EQ(node_.nodectl({"run", "--rm", "--name", "brief", "busybox", "true"}).exit_code, 0);
    tag(0, 1);
    ASSERT_TRUE(eventually([&] {
        return says(node_.ok({"events", "--since", from}), "RootfsRemoved");
    }));
    const std::string to = now();
    node_.ok({"rename", "front", "later"});
    std::map<std::string, Json> by_name;
    std::istringstream lines(
        node_.ok({"events", "diff", "--from", from, "--to", to, "-o", "json"}));
    for (std::string line; std::getline(lines, line);) {
        const Json change = Json::parse(line);
        by_name[change.at("Name")] = change;
    }
    ASSERT_EQ(by_name.size(), 5u);
    const Json& renamed = by_name.at("front");
    EXPECT_EQ(renamed.at("Change"), "changed");
    EXPECT_EQ(renamed.at("Fields"),
              Json::parse(R"([{"Path": "Name", "Before": "/old", "After": "/front"}])"));
    const Json& events = renamed.at("Commands").at(0).at("Events");
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].at("type"), "ContainerRenamed");
    EXPECT_EQ(events[0].at("commandId"), renamed.at("Commands").at(0).at("ID"));
    EXPECT_EQ(by_name.at("gone").at("Change"), "removed");
    EXPECT_EQ(by_name.at("fresh").at("Change"), "created");
    EXPECT_EQ(by_name.at("brief").at("Change"), "came and went");
    // One command, and all that it led to: requested, started, exited, removed.
    EXPECT_EQ(by_name.at("brief").at("Commands").size(), 1u);
    EXPECT_GE(by_name.at("brief").at("Commands").at(0).at("Events").size(), 7u);
    EXPECT_EQ(by_name.at("busybox:latest").at("Kind"), "image");
    EXPECT_EQ(by_name.at("busybox:latest").at("Fields").at(0).at("Path"), "RepoTags");
    const std::string text = node_.ok({"events", "diff", "--from", from, "--to", to});
    EXPECT_TRUE(says(text, "(front): changed\n    Name: /old → /front\n  by command ")) << text;
    EXPECT_TRUE(says(text, ": RenameContainer from nodectl rename, uid 0, pid ")) << text;
    EXPECT_EQ(node_.ok({"events", "diff", "--from", to, "--to", to}), "");
    const Ran wrong = node_.nodectl({"events", "diff", "--from", to, "--to", from});
    EXPECT_TRUE(says(wrong.err, "comes after --to")) << wrong.err;
    EXPECT_EQ(node_.nodectl({"events", "diff"}).exit_code, 1);
}

TEST_F(TimeTravel, the_history_tells_which_command_it_was_and_who_sent_it) {
    const std::string from = now();
    node_.ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", "sleep 1; exit 4"});
    const std::string started = now();
    node_.ok({"wait", "web"});
    const std::string since = std::to_string(std::stoull(from) + 1);
    const std::string line = node_.ok({"events", "--since", since, "--until", since});
    EXPECT_TRUE(says(line, " (RunContainer from nodectl run, uid 0, pid ")) << line;
    const Json first =
        Json::parse(node_.ok({"events", "--since", since, "--until", since, "-o", "json"}));
    const Json& command = first.at("command");
    EXPECT_EQ(command.at("type"), "RunContainer");
    EXPECT_EQ(command.at("client"), "nodectl run");
    EXPECT_EQ(command.at("uid"), 0);
    EXPECT_GT(command.at("pid"), 0);
    // The exit follows from the run, whose first event lies before what is compared.
    const Json change = Json::parse(
        node_.ok({"events", "diff", "--from", started, "-o", "json"}));
    EXPECT_EQ(change.at("Commands").size(), 1u);
    EXPECT_EQ(change.at("Commands").at(0).at("Type"), "RunContainer");
    EXPECT_EQ(change.at("Commands").at(0).at("PID"), command.at("pid"));
    EXPECT_FALSE(change.at("Commands").at(0).at("Events").at(0).contains("command"));
    // Tools without noded say the same.
    const std::vector<std::string> bounds = {"--since", since, "--until", since};
    const auto dumped = [&](const char* how, std::vector<std::string> more) {
        std::vector<std::string> argv = {built("tools/logdump/logdump"), how, "--plugin-dir",
                                         node_.plugin_dir()};
        argv.insert(argv.end(), more.begin(), more.end());
        argv.insert(argv.end(), bounds.begin(), bounds.end());
        argv.push_back(node_.state_dir());
        return trimmed(run_program(argv).out);
    };
    EXPECT_EQ(dumped("print", {}), line);
    EXPECT_EQ(Json::parse(dumped("print", {"-o", "json"})), first);
    const Ran python = run_program({"/usr/bin/env", "python3",
                                    built("tools/examples/read_log.py"),
                                    node_.state_dir() + "/log"});
    EXPECT_EQ(python.exit_code, 0) << python.err;
    const size_t at = python.out.find("\n" + since + " ");
    ASSERT_NE(at, std::string::npos);
    const std::string told = python.out.substr(at + 1, python.out.find('\n', at + 1) - at - 1);
    EXPECT_TRUE(told.ends_with(" 0 0 " + command.at("pid").dump() + " 'nodectl run'")) << told;
}

TEST_F(TimeTravel, what_cannot_be_known_is_said) {
    const std::string last = now();
    const Ran beyond = try_at("99999", {"ps"});
    EXPECT_EQ(beyond.exit_code, 1);
    EXPECT_TRUE(says(beyond.err, "there is no event 99999 yet: the log ends with seq " + last))
        << beyond.err;
    const Ran before = try_at("2001-01-01T00:00:00Z", {"ps"});
    EXPECT_EQ(before.exit_code, 1);
    EXPECT_TRUE(says(before.err, "2001-01-01T00:00:00Z is before the history that is kept: it "
                                 "begins with seq 1 of 20")) << before.err;
    EXPECT_TRUE(says(try_at("2200-01-01T00:00:00Z", {"ps"}).err, "has not come yet"));
    EXPECT_TRUE(says(try_at("yesterday", {"ps"}).err, "invalid value for \"--at\": \"yesterday\""));
    EXPECT_TRUE(says(try_at("2026-02-30", {"ps"}).err, "invalid value for \"--at\""));
    EXPECT_TRUE(says(try_at("", {"ps"}).err, "\"--at\" is empty"));
    const Ran later = node_.nodectl({"events", "diff", "--from", "2200-01-01"});
    EXPECT_EQ(later.exit_code, 1);
    EXPECT_TRUE(says(later.err, "--from has not come yet")) << later.err;
    EXPECT_EQ(at("0", {"ps", "-aq"}), "");
    for (const std::vector<std::string>& live :
         {std::vector<std::string>{"top", "web"}, {"stats", "--no-stream"}, {"logs", "web"},
          {"diff", "web"}, {"wait", "web"}, {"version"}, {"ps", "--size"},
          {"ps", "--format", "{{.Size}}"}}) {
        const Ran ran = try_at(last, live);
        EXPECT_EQ(ran.exit_code, 1) << live[0];
        EXPECT_EQ(ran.out, "") << live[0];
        EXPECT_TRUE(says(ran.err, "not in the log")) << live[0] << ran.err;
    }
    EXPECT_TRUE(says(try_at(last, {"events", "-f"}).err, "--follow"));
}

TEST_F(TimeTravel, what_changes_something_is_refused_before_anything_happens) {
    const std::string last = now();
    const Ran run = try_at(last, {"run", "--name", "web", "busybox", "true"});
    EXPECT_EQ(run.exit_code, 125);
    EXPECT_TRUE(says(run.err, "'nodectl run' may change the node, and the past cannot be changed"))
        << run.err;
    EXPECT_EQ(try_at(last, {"rmi", "busybox"}).exit_code, 1);
    EXPECT_EQ(now(), last);
}

TEST_F(TimeTravel, the_history_says_where_it_begins_when_its_beginning_is_gone) {
    outgrow_the_log();
    // The last snapshot may be under way, and more of the history goes after it.
    std::string first;
    ASSERT_TRUE(eventually([&] {
        const bool at_rest = !has_helpers(node_.pid());
        const std::string known = std::exchange(first, beginning());
        return at_rest && first == known;
    }));
    EXPECT_EQ(at(first, {"images", "--format", "{{.Tag}}"}), "latest");
    // A plugin that came later: what it would have known then is gone with the events before.
    fs::copy_file(built("plugins/example/counter.so"), node_.plugin_dir() + "/counter.so");
    const std::vector<std::string> status = {"plugin", "inspect", "--format",
                                             "{{.Status}} {{.Reason}}", "counter"};
    ASSERT_TRUE(eventually([&] { return says(node_.nodectl(status).out, "loaded"); }));
    EXPECT_TRUE(says(at(first, status), "stopped the snapshot of seq " + first +
                                            " has no state of it")) << at(first, status);
    EXPECT_TRUE(says(node_.ok(status), "loaded"));
    EXPECT_FALSE(says(node_.diagnostics(), "is stopped")) << node_.diagnostics();
}

TEST_F(TimeTravel, archives_lead_back_to_where_segments_no_longer_do) {
    node_.stop();
    configure(", \"archive\": true");
    start();
    node_.ok({"create", "--name", "early", "busybox", "true"});
    const std::string early = now();
    outgrow_the_log();
    node_.ok({"rm", "early"});
    EXPECT_EQ(at(early, {"ps", "-a", "--format", "{{.Names}} {{.RunningFor}}"}),
              "early Less than a second ago");
    EXPECT_EQ(at("1", {"ps", "-aq"}), "");
    const std::string to = std::to_string(std::stoull(early) + 2);
    EXPECT_TRUE(says(node_.ok({"events", "diff", "--from", "0", "--to", to}), "(early): created"));
}

TEST_F(TimeTravel, readers_end_with_their_clients_and_leave_nothing) {
    const std::string last = now();
    for (int i = 0; i < 10; ++i) at(last, {"ps"});
    EXPECT_TRUE(eventually([&] { return readers_of(node_.pid()) == 0; }));
    EXPECT_TRUE(fs::exists(node_.state_dir() + "/plugins/storage"));
    EXPECT_EQ(node_.ok({"run", "--rm", "busybox", "echo", "on"}), "on");
    EXPECT_FALSE(says(node_.diagnostics(), "error")) << node_.diagnostics();
}

}  // namespace
}  // namespace noded::test
