// Tests of what events diff makes of two states and the events in between.
#include <gtest/gtest.h>

#include "tools/nodectl/history_diff.h"

namespace noded::nodectl {
namespace {

const std::string kFirst(64, '1');
const std::string kSecond(64, '2');
const std::string kNobody(64, '0');

ShownEvent event(uint64_t seq, const char* name, const std::string& command, uint64_t cause,
                 Json payload, const char* plugin = "container") {
    return {seq, int64_t(seq) * 1'000'000'000, 1, name, plugin, command, cause,
            std::move(payload)};
}

TEST(Diff, a_changed_object_has_its_fields_and_the_commands_that_touched_it) {
    const ObjectId web{"container", "c1"};
    const Objects before = {
        {web, {{"Name", "/web"}, {"State", {{"Status", "running"}}}, {"A", 1}}}};
    const Objects after = {
        {web, {{"Name", "/web"}, {"State", {{"Status", "exited"}}}, {"B", 2}}}};
    const auto changes = compare(before, after,
                                 {event(5, "ContainerKillRequested", kFirst, 0, {{"id", "c1"}}),
                                  event(6, "ContainerExited", kFirst, 5, {{"id", "c1"}}),
                                  event(7, "ContainerRenamed", kSecond, 0, {{"id", "c1"}})},
                                 {{kSecond, {"RenameContainer", 1000, 100, 77, "nodectl rename"}}});
    ASSERT_EQ(changes.size(), 1u);
    const Change& change = changes[0];
    EXPECT_EQ(change.kind, Change::Kind::changed);
    EXPECT_EQ(change.name, "web");
    ASSERT_EQ(change.fields.size(), 3u);
    EXPECT_EQ(change.fields[0].path, "State.Status");
    EXPECT_EQ(change.fields[1].path, "A");
    EXPECT_TRUE(change.fields[1].after.is_null());
    EXPECT_EQ(change.fields[2].path, "B");
    ASSERT_EQ(change.chains.size(), 2u);
    EXPECT_EQ(change.chains[0].events.size(), 2u);
    EXPECT_EQ(change_text(change, true),
              "container c1 (web): changed\n"
              "    State.Status: running → exited\n"
              "    A: 1 → null\n"
              "    B: null → 2\n"
              "  by command 111111111111\n"
              "    1970-01-01T00:00:05.000000000Z 5 container ContainerKillRequested id=c1\n"
              "      1970-01-01T00:00:06.000000000Z 6 container ContainerExited id=c1\n"
              "  by command 222222222222: RenameContainer from nodectl rename, uid 1000, pid 77\n"
              "    1970-01-01T00:00:07.000000000Z 7 container ContainerRenamed id=c1\n");
}

TEST(Diff, a_line_and_an_object_tell_which_command_it_was_and_who_sent_it) {
    ShownEvent first = event(5, "ContainerRequested", kFirst, 0, {{"id", "c1"}});
    first.sender = {"RunContainer", 1000, 100, 77, "a\"b\x1b"};
    EXPECT_TRUE(event_line(first, true).ends_with(
        " id=c1 (RunContainer from a\\\"b\\u001b, uid 1000, pid 77)"))
        << event_line(first, true);
    EXPECT_EQ(event_json(first).at("command").at("type"), "RunContainer");
    EXPECT_EQ(event_json(first).at("command").at("uid"), 1000);
    first.sender = {"RemoveContainer", 0, 0, 0, "plugin container"};
    EXPECT_EQ(sender_text(*first.sender), "RemoveContainer from plugin container");
    const auto changes = compare({}, {}, {first}, senders_in({first}));
    EXPECT_EQ(change_json(changes.at(0)).at("Commands")[0].at("Type"), "RemoveContainer");
    first.sender.reset();
    EXPECT_FALSE(event_json(first).contains("command"));
}

TEST(Diff, what_is_there_at_one_moment_only_was_created_removed_or_passed) {
    const Objects before = {{{"container", "old"}, Json::object()}};
    const Objects after = {{{"container", "new"}, Json::object()}};
    const auto changes = compare(
        before, after,
        {event(1, "ContainerRequested", kFirst, 0, {{"id", "brief"}, {"name", "b"}}),
         event(2, "ContainerRemoved", kFirst, 1, {{"id", "old"}}),
         event(3, "ContainerRequested", kSecond, 0, {{"id", "new"}})},
        {});
    ASSERT_EQ(changes.size(), 3u);
    EXPECT_EQ(changes[0].kind, Change::Kind::passed);
    EXPECT_EQ(changes[0].name, "b");
    EXPECT_EQ(changes[1].kind, Change::Kind::removed);
    EXPECT_EQ(changes[2].kind, Change::Kind::created);
}

TEST(Diff, events_without_an_object_belong_to_what_their_command_touched_or_to_the_node) {
    const ObjectId image{"image", "sha256:1"};
    const auto changes = compare(
        {}, {{image, {{"RepoTags", {"busybox:latest"}}}}},
        {event(1, "ImageImportRequested", kFirst, 0, Json::object(), "storage"),
         event(2, "ImageAdded", kFirst, 1, {{"id", "sha256:1"}}, "storage"),
         event(3, "HostObserved", kNobody, 0, Json::object()),
         event(4, "RootfsPrepared", kSecond, 0, {{"containerId", "c"}}, "storage"),
         event(5, "NetworkAttached", kSecond, 4, {{"id", "n1"}}, "network")},
        {});
    ASSERT_EQ(changes.size(), 4u);
    EXPECT_EQ(changes[0].object, image);
    EXPECT_EQ(changes[0].name, "busybox:latest");
    EXPECT_EQ(changes[0].chains[0].events.size(), 2u);
    EXPECT_EQ(changes[1].object.kind, "node");
    EXPECT_EQ(changes[2].object.kind, "container");
    // A plugin that nodectl does not know: its events are all that can be told.
    EXPECT_EQ(changes[3].object, (ObjectId{"network", "n1"}));
    EXPECT_EQ(changes[3].kind, Change::Kind::unseen);
    EXPECT_EQ(change_json(changes[3]).at("Change"), "events");
}

}  // namespace
}  // namespace noded::nodectl
