// Strangers' plugins in a running node: dropped in, refused, called, restarted.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

/// Puts a plugin into the plugin directory as an operator does: copied aside, moved in.
void drop_in(const TestNode& node, const std::string& file) {
    const std::string name = fs::path(file).filename();
    fs::copy_file(built(file), node.dir() + "/" + name);
    fs::rename(node.dir() + "/" + name, node.plugin_dir() + "/" + name);
}

std::string status_of(const TestNode& node, const std::string& plugin, const std::string& field) {
    return trimmed(
        node.nodectl({"plugin", "inspect", "--format", "{{." + field + "}}", plugin}).out);
}

bool listed(const TestNode& node, const std::string& plugin) {
    return node.ok({"plugin", "ls"}).find(plugin) != std::string::npos;
}

TEST(Plugins, one_that_is_dropped_in_counts_what_happened_before_and_after) {
    TestNode node;
    node.start();
    node.import_busybox();
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    drop_in(node, "plugins/example/counter.so");
    ASSERT_TRUE(eventually([&] { return listed(node, "counter"); }));
    EXPECT_EQ(status_of(node, "counter", "Status"), "loaded");
    EXPECT_EQ(status_of(node, "counter", "CountsFromSeq"), "1");
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    const std::string counts = node.ok({"call", "counter", "count", "{}"});
    EXPECT_NE(counts.find("\"started\":2"), std::string::npos) << counts;
    EXPECT_NE(counts.find("\"exited\":2"), std::string::npos) << counts;
}

/// The snapshot of then does not know it, and no replica writes another one of the same seq.
void come_right_after_a_snapshot(bool while_it_runs) {
    TestNode node;
    const std::string config = node.dir() + "/config";
    std::ofstream(config) << "{\"snapshotEveryEvents\": 3}\n";
    node.start({"--config", config});
    node.import_busybox();
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    node.stop();   // writes a snapshot
    if (!while_it_runs) drop_in(node, "plugins/example/counter.so");
    node.start({"--config", config});
    if (while_it_runs) drop_in(node, "plugins/example/counter.so");
    ASSERT_TRUE(eventually([&] { return status_of(node, "counter", "Status") == "loaded"; }));
    const auto seq_of = [&](const char* field) {
        return std::stoull(node.ok({"info", "-f", std::string("{{.") + field + "}}"}));
    };
    const auto before = seq_of("DurableSeq");
    for (int i = 0; i < 4; ++i) node.ok({"tag", "busybox", "name" + std::to_string(i)});
    EXPECT_TRUE(eventually([&] { return seq_of("SnapshotSeq") > before; }, 60));
    EXPECT_EQ(node.diagnostics().find("the replica that"), std::string::npos)
        << node.diagnostics();
    node.stop();
    node.start({"--config", config});
    EXPECT_NE(status_of(node, "counter", "SnapshotSeq"), "0");
}

TEST(Plugins, one_that_comes_right_after_a_snapshot_is_in_the_next_one) {
    come_right_after_a_snapshot(true);
}

TEST(Plugins, one_that_came_while_noded_was_stopped_is_in_the_next_snapshot) {
    come_right_after_a_snapshot(false);
}

TEST(Plugins, state_survives_a_clean_stop_by_snapshot_and_a_kill_by_replay) {
    TestNode node;
    node.start();
    node.import_busybox();
    drop_in(node, "plugins/example/counter.so");
    ASSERT_TRUE(eventually([&] { return listed(node, "counter"); }));
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    const std::string before = node.ok({"call", "counter", "count", "{}"});
    node.stop();
    node.start();
    EXPECT_NE(status_of(node, "counter", "SnapshotSeq"), "0");
    EXPECT_EQ(node.ok({"call", "counter", "count", "{}"}), before);
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    const std::string after = node.ok({"call", "counter", "count", "{}"});
    node.kill();
    node.start();
    EXPECT_EQ(node.ok({"call", "counter", "count", "{}"}), after);
    EXPECT_NE(after, before);
}

TEST(Plugins, what_cannot_be_loaded_is_listed_with_the_reason_and_the_others_go_on) {
    TestNode node;
    drop_in(node, "tests/abi/good.so");
    node.start();
    node.import_busybox();
    const std::pair<const char*, const char*> kBad[] = {
        {"bad_not_a_plugin", "does not export the symbol noded_plugin"},
        {"bad_wrong_abi", "this noded has 1.2"},
        {"bad_newer_minor", "this noded has 1.2"},
        {"bad_fails_init", "its init failed: open /dev/flux: ENODEV"},
        {"bad_fails_silently", "its init failed: it gave no reason"},
        {"bad_duplicate_id", "a plugin named good is loaded already"},
        {"bad_needs_missing", "it needs the plugin nowhere"},
        {"bad_unknown_extension", "it requires the host extension noded.telepathy/1"},
        {"bad_id", "its id is not of the form"},
        {"bad_no_descriptor", "too small to name its ABI"},
        {"bad_no_decide", "its table has a NULL"},
        {"bad_command_taken", "which plugin good owns"},
    };
    for (const auto& [name, reason] : kBad) {
        drop_in(node, std::string("tests/abi/") + name + ".so");
        EXPECT_TRUE(eventually([&] {
            return node.ok({"plugin", "ls"}).find(reason) != std::string::npos ||
                   node.diagnostics().find(reason) != std::string::npos;
        })) << name << "\n" << node.ok({"plugin", "ls"}) << node.diagnostics();
    }
    EXPECT_EQ(node.nodectl({"run", "--rm", "busybox", "true"}).exit_code, 0);
    EXPECT_EQ(status_of(node, "good", "Status"), "loaded");
}

TEST(Plugins, a_link_counts_as_a_plugin_that_was_dropped_in) {
    TestNode node;
    node.start();
    fs::create_symlink(fs::absolute(built("tests/abi/good.so")), node.plugin_dir() + "/good.so");
    EXPECT_TRUE(eventually([&] { return listed(node, "good"); }));
    EXPECT_EQ(status_of(node, "good", "Status"), "loaded");
}

TEST(Plugins, one_that_was_refused_for_want_of_another_is_loaded_when_that_arrives) {
    TestNode node;
    node.start();
    drop_in(node, "tests/abi/bad_needs_missing.so");
    ASSERT_TRUE(eventually([&] { return listed(node, "needs-missing"); }));
    EXPECT_EQ(status_of(node, "needs-missing", "Status"), "refused");
    drop_in(node, "tests/abi/nowhere.so");
    EXPECT_TRUE(
        eventually([&] { return status_of(node, "needs-missing", "Status") == "loaded"; }))
        << node.ok({"plugin", "ls"});
}

TEST(Plugins, the_same_refusals_hold_at_start) {
    TestNode node;
    for (const char* name :
         {"bad_wrong_abi", "bad_fails_init", "bad_needs_missing", "bad_not_a_plugin"}) {
        drop_in(node, std::string("tests/abi/") + name + ".so");
    }
    node.start();
    const std::string list = node.ok({"plugin", "ls"});
    for (const char* name : {"wrong_abi", "fails-init", "needs-missing", "not_a_plugin"}) {
        EXPECT_NE(list.find(name), std::string::npos) << name << "\n" << list;
    }
    EXPECT_NE(list.find("storage"), std::string::npos);
}

TEST(Plugins, a_call_of_something_that_is_not_there_says_so) {
    TestNode node;
    drop_in(node, "plugins/example/counter.so");
    node.start();
    const Ran unknown_plugin = node.nodectl({"call", "nobody", "count", "{}"});
    EXPECT_EQ(unknown_plugin.exit_code, 1);
    EXPECT_NE(unknown_plugin.err.find("nobody"), std::string::npos) << unknown_plugin.err;
    const Ran unknown_method = node.nodectl({"call", "counter", "nothing", "{}"});
    EXPECT_EQ(unknown_method.exit_code, 1);
    EXPECT_NE(unknown_method.err.find("nothing"), std::string::npos) << unknown_method.err;
    EXPECT_NE(node.ok({"call", "storage", "listImages", "{}"}).find("images"), std::string::npos);
}

}  // namespace
}  // namespace noded::test
