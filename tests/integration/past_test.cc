// Snapshots that a replica writes beside a running node: taken without being asked, good enough to
// start from, and no harm when the node is killed meanwhile.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

/// A node whose replicas come early.
class Snapshots : public ::testing::Test {
protected:
    void SetUp() override {
        config_ = node_.dir() + "/config";
        std::ofstream(config_) << "{\"snapshotEveryEvents\": 20}\n";
        start();
        node_.import_busybox();
    }
    void start() { node_.start({"--config", config_}); }

    /// Commands that cost little: each is one event.
    void tag(int from, int to) {
        for (int i = from; i < to; ++i) node_.ok({"tag", "busybox", "many:" + std::to_string(i)});
    }

    /// Names of the snapshots, finished or not.
    std::set<std::string> files(const std::string& suffix = "") const {
        std::set<std::string> found;
        for (const auto& entry : fs::directory_iterator(node_.state_dir() + "/log")) {
            const std::string name = entry.path().filename();
            if (name.starts_with("snapshot-") && name.ends_with(suffix)) found.insert(name);
        }
        return found;
    }
    bool has_snapshot() const { return files().size() > files(".unfinished").size(); }

    TestNode node_;
    std::string config_;
};

TEST_F(Snapshots, are_written_while_the_node_runs_and_leave_nothing_else_behind) {
    tag(0, 30);
    ASSERT_TRUE(eventually([&] { return has_snapshot(); })) << node_.diagnostics();
    EXPECT_TRUE(eventually([&] { return !fs::exists(node_.runtime_dir() + "/past"); }));
    EXPECT_EQ(node_.diagnostics().find("failed"), std::string::npos) << node_.diagnostics();
}

TEST_F(Snapshots, hold_the_state_that_a_killed_node_had) {
    node_.ok({"run", "-d", "--name", "kept", "busybox", "sleep", "1000"});
    tag(0, 30);
    ASSERT_TRUE(eventually([&] { return has_snapshot(); })) << node_.diagnostics();
    const std::string images = node_.ok({"images", "--format", "{{.ID}} {{.Tag}}"});
    const std::string containers = node_.ok({"ps", "-a", "--format", "{{.ID}} {{.Names}}"});
    node_.kill();
    start();
    for (const char* plugin : {"storage", "container"})
        EXPECT_NE(node_.ok({"plugin", "inspect", "--format", "{{.SnapshotSeq}}", plugin}), "0")
            << node_.diagnostics();
    EXPECT_EQ(node_.ok({"images", "--format", "{{.ID}} {{.Tag}}"}), images);
    EXPECT_EQ(node_.ok({"ps", "-a", "--format", "{{.ID}} {{.Names}}"}), containers);
    EXPECT_EQ(node_.ok({"inspect", "--format", "{{.State.Status}}", "kept"}), "running");
}

TEST_F(Snapshots, survive_kills_of_the_node_at_any_moment_of_a_replica) {
    constexpr int kRounds = 5, kTags = 21;
    for (int round = 0; round < kRounds; ++round) {
        tag(round * kTags, (round + 1) * kTags);
        sleep_ms(round * 5);
        node_.kill();
        start();
    }
    const std::string tags = "\n" + node_.ok({"images", "--format", "{{.Tag}}"}) + "\n";
    for (int i = 0; i < kRounds * kTags; ++i)
        EXPECT_NE(tags.find("\n" + std::to_string(i) + "\n"), std::string::npos) << i;
    EXPECT_TRUE(eventually([&] { return has_snapshot(); })) << node_.diagnostics();
}

TEST(SnapshotsOfSettings, a_replica_and_the_past_refuse_the_plugins_that_the_node_refuses) {
    TestNode node;
    const std::string config = node.dir() + "/config";
    std::ofstream(config)
        << R"({"snapshotEveryEvents": 20, "plugins": {"stats": {"nonsense": "1"}}})";
    node.start({"--config", config});
    node.import_busybox();
    for (int i = 0; i < 30; ++i) node.ok({"tag", "busybox", "many:" + std::to_string(i)});
    EXPECT_TRUE(eventually([&] { return node.ok({"info", "-f", "{{.SnapshotSeq}}"}) != "0"; }));
    EXPECT_EQ(node.diagnostics().find("the replica that"), std::string::npos)
        << node.diagnostics();
    for (std::vector<std::string> words : {std::vector<std::string>{}, {"--at", "5"}}) {
        words.insert(words.end(), {"plugin", "inspect", "-f", "{{.Reason}}", "stats"});
        const std::string why = node.ok(words);
        EXPECT_NE(why.find("plugins.stats.nonsense, which it does not know"), std::string::npos)
            << why;
    }
}

}  // namespace
}  // namespace noded::test
