// Logs of earlier versions, kept beside this test: each replays to the state that its own noded
// had, from its snapshot and from its first event, and a node that starts on it says the same of
// then.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> generations() {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(built("tests/compat"))) {
        if (fs::exists(entry.path() / "log.tar.zst")) found.push_back(entry.path().filename());
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

class OldLog : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        const Ran unpacked = run_program(
            {"/bin/sh", "-c", "zstd -qdc < '" + path("log.tar.zst") + "' | tar -xf - -C '" +
                                  node_.state_dir() + "'"});
        ASSERT_EQ(unpacked.exit_code, 0) << unpacked.err;
    }
    std::string path(const std::string& file) const {
        return built("tests/compat/" + GetParam() + "/" + file);
    }
    std::string kept(const std::string& file) const { return trimmed(read_text(path(file))); }
    std::string hashes(const std::vector<std::string>& options) const {
        std::vector<std::string> argv = {built("tools/logdump/logdump"), "hash", "--plugin-dir",
                                         node_.plugin_dir()};
        argv.insert(argv.end(), options.begin(), options.end());
        argv.push_back(node_.state_dir());
        const Ran ran = run_program(argv);
        EXPECT_EQ(ran.exit_code, 0) << ran.err;
        return trimmed(ran.out);
    }

    TestNode node_;
};

/// Plugins that came later have a state of their own, which nobody recorded.
TEST_P(OldLog, folds_to_the_state_that_it_had) {
    std::istringstream recorded(kept("hashes"));
    const std::string folded = hashes({}) + "\n";
    const std::string folded_from_the_first = hashes({"--no-snapshot"}) + "\n";
    for (std::string line; std::getline(recorded, line);) {
        EXPECT_NE(folded.find(line + "\n"), std::string::npos) << line << "\n" << folded;
        EXPECT_NE(folded_from_the_first.find(line + "\n"), std::string::npos)
            << line << "\n" << folded_from_the_first;
    }
    EXPECT_NE(folded.find("  all, at seq " + kept("seq") + "\n"), std::string::npos) << folded;
    EXPECT_EQ(folded, folded_from_the_first);
}

TEST_P(OldLog, has_several_segments_and_a_snapshot_before_its_end) {
    size_t segments = 0;
    size_t snapshots = 0;
    for (const auto& entry : fs::directory_iterator(node_.state_dir() + "/log")) {
        const std::string name = entry.path().filename();
        segments += name.starts_with("segment-");
        snapshots += name.starts_with("snapshot-");
        EXPECT_NE(name, "snapshot-" + kept("seq"));
    }
    EXPECT_GE(segments, 3u);
    EXPECT_GE(snapshots, 1u);
}

TEST_P(OldLog, starts_a_node_that_says_the_same_of_then) {
    node_.start();
    const std::string seq = kept("seq");
    std::istringstream asked(read_text(built("tests/compat/asked")));
    for (std::string line; std::getline(asked, line);) {
        if (line.starts_with('#')) continue;
        std::vector<std::string> words = words_of(line);
        const std::string file = words[0];
        words.erase(words.begin());
        words.insert(words.begin(), {"--at", seq});
        EXPECT_EQ(node_.ok(words), kept(file)) << file;
    }
    std::string inspected;
    for (const char* name : {"everything", "seven", "missing", "killed"}) {
        inspected += node_.ok({"--at", seq, "inspect", "--format",
                               "{{.Name}} {{json .State.Status}} {{.State.ExitCode}} "
                               "{{json .Config.Env}} {{json .Config.Labels}} "
                               "{{.HostConfig.Memory}}",
                               name}) +
                     "\n";
    }
    EXPECT_EQ(trimmed(inspected), kept("inspect"));
}

TEST_P(OldLog, tells_the_same_events) {
    node_.start();
    std::istringstream lines(node_.ok({"events", "--until", kept("seq"), "-o", "json"}));
    std::string told;
    for (std::string line; std::getline(lines, line);) {
        const auto event = nlohmann::json::parse(line);
        std::ostringstream out;
        out << event["seq"] << " " << event["timeNano"] << " "
            << event["plugin"].get<std::string>() << " " << event["type"].get<std::string>() << " "
            << event["causeSeq"] << " " << event["commandId"].get<std::string>();
        told += out.str() + "\n";
    }
    EXPECT_EQ(trimmed(told), kept("events"));
}

/// As who wrote a reader from the pages about the formats alone reads it.
Ran read_by_the_page(const std::string& reader, std::vector<std::string> words) {
    words.insert(words.begin(), {"/usr/bin/env", "python3", built("tools/examples/" + reader)});
    const Ran ran = run_program(words);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return ran;
}

/// What logdump says of each event, in the words of read_log.py; none but ours are in these logs.
std::string exported(const std::string& log) {
    const Ran ran = run_program({built("tools/logdump/logdump"), "export", log});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    std::istringstream lines(ran.out);
    std::ostringstream out;
    for (std::string line; std::getline(lines, line);) {
        const auto event = nlohmann::json::parse(line);
        out << event["seq"] << " " << event["timeNano"] << " "
            << event["typeId"].get<std::string>() << " " << event["causeSeq"] << " "
            << event["commandId"].get<std::string>() << " "
            << event["payloadHex"].get<std::string>();
        if (event.contains("command")) {
            const auto& sender = event["command"];
            out << " " << sender["typeId"].get<std::string>() << " " << sender["uid"] << " "
                << sender["gid"] << " " << sender["pid"] << " '"
                << sender["client"].get<std::string>() << "'";
        }
        out << "\n";
    }
    return out.str();
}

TEST_P(OldLog, is_read_by_the_page_alone) {
    const std::string log = node_.state_dir() + "/log";
    const std::string all = read_by_the_page("read_log.py", {log}).out;
    EXPECT_TRUE(all == exported(log));   // megabytes: not to be shown
    std::istringstream lines(all);
    std::istringstream recorded(kept("events"));
    for (std::string line, expected; std::getline(recorded, expected);) {
        ASSERT_TRUE(std::getline(lines, line)) << expected;
        const auto read = words_of(line), told = words_of(expected);   // told: with names of types
        EXPECT_EQ(read[0] + " " + read[1] + " " + read[3] + " " + read[4],
                  told[0] + " " + told[1] + " " + told[4] + " " + told[5]);
    }
    for (const auto& entry : fs::directory_iterator(log)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with("snapshot-")) continue;
        const auto read = nlohmann::json::parse(
            read_by_the_page("read_files.py", {"snapshot", entry.path()}).out);
        EXPECT_EQ(read["seq"], std::stoull(name.substr(strlen("snapshot-")), nullptr, 16));
        for (const char* section : {":core", "container", "storage"})
            EXPECT_TRUE(read["sections"].contains(section)) << section;
    }
}

TEST(OldFormats, are_read_by_the_page_alone) {
    for (const char* format : {"format-1", "format-2"}) {
        const std::string folder = built("agent/log/testdata/") + format;
        const Ran events = read_by_the_page("read_log.py", {folder});
        EXPECT_EQ(std::ranges::count(events.out, '\n'), 7) << format;
        EXPECT_EQ(trimmed(read_by_the_page("read_files.py",
                                           {"snapshot", folder + "/snapshot-0000000000000006"})
                              .out),
                  R"({"seq": 6, "sections": {"container": 100, "stats": 0}})");
    }
}

INSTANTIATE_TEST_SUITE_P(Kept, OldLog, ::testing::ValuesIn(generations()),
                         [](const auto& info) { return "generation_" + info.param; });

TEST(OldLogs, are_there) { EXPECT_FALSE(generations().empty()); }

}  // namespace
}  // namespace noded::test
