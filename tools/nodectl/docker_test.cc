// What nodectl has for those who know docker: events in its words, flags that are refused with a
// reason.
#include <gtest/gtest.h>

#include "tools/nodectl/docker_event.h"
#include "tools/nodectl/docker_flags.h"

namespace noded::nodectl {
namespace {

ShownEvent event(const std::string& name, Json payload, int64_t time_ns = 1'500'000'000) {
    ShownEvent shown;
    shown.name = name;
    shown.plugin = name.starts_with("Image") ? "storage" : "container";
    shown.payload = std::move(payload);
    shown.time_ns = time_ns;
    return shown;
}

Json created(const std::string& id, const std::string& name) {
    const Json label = {{"key", "tier"}, {"value", "front"}};
    Json labels = Json::array();
    labels.push_back(label);
    const Json spec = {{"imageName", "app:1"}, {"labels", labels}};
    return {{"id", id}, {"name", name}, {"spec", spec}};
}

std::vector<std::string> actions(DockerEvents& events, const ShownEvent& shown) {
    std::vector<std::string> out;
    for (const Json& message : events.messages(shown)) out.push_back(message["Action"]);
    return out;
}

TEST(DockerEvents, a_message_has_dockers_shape_and_what_the_container_is_known_by) {
    DockerEvents events;
    EXPECT_EQ(actions(events, event("ContainerRequested", created("c1", "web"))),
              std::vector<std::string>{"create"});
    const auto died = events.messages(
        event("ContainerExited", {{"id", "c1"}, {"exitCode", 3}, {"oomKilled", false}}));
    ASSERT_EQ(died.size(), 1u);
    EXPECT_EQ(to_line(died[0]),
              "{\"status\":\"die\",\"id\":\"c1\",\"from\":\"app:1\",\"Type\":\"container\","
              "\"Action\":\"die\",\"Actor\":{\"ID\":\"c1\",\"Attributes\":{\"exitCode\":\"3\","
              "\"image\":\"app:1\",\"name\":\"web\",\"tier\":\"front\"}},\"scope\":\"local\","
              "\"time\":1,\"timeNano\":1500000000}");
}

TEST(DockerEvents, one_event_may_be_two_actions_or_none) {
    DockerEvents events;
    EXPECT_EQ(actions(events, event("ContainerExited", {{"id", "c"}, {"oomKilled", true}})),
              (std::vector<std::string>{"oom", "die"}));
    const ShownEvent exec = event(
        "ExecRequested", {{"containerId", "c"}, {"execId", "e"}, {"argv", {"ls", "-l"}}});
    EXPECT_EQ(actions(events, exec),
              (std::vector<std::string>{"exec_create: ls -l", "exec_start: ls -l"}));
    EXPECT_TRUE(is_action(events.messages(exec)[0], "exec_create"));
    EXPECT_TRUE(is_action(events.messages(exec)[0], "exec_create: ls -l"));
    EXPECT_EQ(to_line(events.messages(exec)[0]["Actor"]["Attributes"]).find("{\"execID\""), 0u)
        << "sorted, as Go writes a map";
    EXPECT_FALSE(is_action(events.messages(exec)[0], "exec"));
    EXPECT_TRUE(events.messages(event("ContainerStartRequested", {{"id", "c"}})).empty());
    EXPECT_TRUE(events.messages(event("RootfsPrepared", {{"containerId", "c"}})).empty());
    EXPECT_TRUE(events.messages(event("Unheard", Json())).empty());
}

ShownEvent stop(int signal, bool restart) {
    return event("ContainerStopRequested",
                 {{"id", "c"}, {"signal", signal}, {"restart", restart}});
}

ShownEvent exited(int signal) {
    return event("ContainerExited",
                 {{"id", "c"}, {"exitCode", 128 + signal}, {"signal", signal},
                  {"oomKilled", false}});
}

TEST(DockerEvents, a_stop_and_a_restart_are_told_when_they_are_done) {
    DockerEvents events;
    const ShownEvent started = event("ContainerStarted", {{"id", "c"}});
    const ShownEvent waits = event("ContainerRestartScheduled", {{"id", "c"}});
    EXPECT_EQ(actions(events, stop(15, false)), std::vector<std::string>{"kill"});
    EXPECT_EQ(actions(events, exited(15)), (std::vector<std::string>{"die", "stop"}));
    EXPECT_EQ(actions(events, started), std::vector<std::string>{"start"});
    EXPECT_EQ(actions(events, stop(15, true)), std::vector<std::string>{"kill"});
    EXPECT_EQ(actions(events, exited(15)), (std::vector<std::string>{"die", "stop"}));
    EXPECT_TRUE(actions(events, waits).empty());
    EXPECT_EQ(actions(events, started), (std::vector<std::string>{"start", "restart"}));
    // One that did not run has no end.
    EXPECT_TRUE(actions(events, event("ContainerStartRequested", {{"id", "c"}, {"restart", true}}))
                    .empty());
    EXPECT_EQ(actions(events, started), (std::vector<std::string>{"start", "restart"}));
    // What ends by itself, and what the policy starts again, is neither.
    EXPECT_EQ(actions(events, exited(0)), std::vector<std::string>{"die"});
    EXPECT_TRUE(actions(events, waits).empty());
    EXPECT_EQ(actions(events, started), std::vector<std::string>{"start"});
}

TEST(DockerEvents, the_sigkill_after_a_grace_period_is_told_once) {
    DockerEvents events;
    EXPECT_EQ(actions(events, stop(15, false)), std::vector<std::string>{"kill"});
    const auto ended = events.messages(exited(9));
    ASSERT_EQ(ended.size(), 3u);
    EXPECT_EQ(ended[0]["Actor"]["Attributes"]["signal"], "9");
    EXPECT_EQ(ended[2]["Action"], "stop");
    const ShownEvent killed = event("ContainerKillRequested", {{"id", "c"}, {"signal", 9}});
    EXPECT_EQ(actions(events, stop(15, false)), std::vector<std::string>{"kill"});
    EXPECT_EQ(actions(events, killed), std::vector<std::string>{"kill"});
    EXPECT_EQ(actions(events, exited(9)), (std::vector<std::string>{"die", "stop"}));
    // One that waits for its next run has no process to be killed.
    EXPECT_TRUE(actions(events, event("ContainerRestartScheduled", {{"id", "c"}})).empty());
    EXPECT_EQ(actions(events, stop(15, false)), std::vector<std::string>{"stop"});
}

TEST(DockerEvents, later_events_have_the_new_name) {
    DockerEvents events;
    events.learn("c", "old", "app", {{"a", "b"}});
    const auto renamed = events.messages(
        event("ContainerRenamed", {{"id", "c"}, {"oldName", "old"}, {"name", "new"}}));
    ASSERT_EQ(renamed.size(), 1u);
    EXPECT_EQ(renamed[0]["Actor"]["Attributes"]["oldName"], "/old");
    EXPECT_EQ(renamed[0]["Actor"]["Attributes"]["name"], "new");
    EXPECT_EQ(renamed[0]["Actor"]["Attributes"]["a"], "b");
    const auto killed =
        events.messages(event("ContainerKillRequested", {{"id", "c"}, {"signal", 9}}));
    ASSERT_EQ(killed.size(), 1u);
    EXPECT_EQ(killed[0]["Actor"]["Attributes"]["signal"], "9");
    const auto tagged = events.messages(event("ImageTagged", {{"id", "i"}, {"name", "app:2"}}));
    ASSERT_EQ(tagged.size(), 1u);
    EXPECT_EQ(tagged[0]["Type"], "image");
    EXPECT_EQ(tagged[0]["Actor"]["Attributes"]["name"], "app:2");
}

Status checked(const std::vector<std::string>& words) {
    DockerFlags flags;
    const auto table = flags.table();
    const auto parsed = parse_options(table, words, Order::anywhere);
    EXPECT_TRUE(parsed) << parsed.error().message;
    return flags.check();
}

TEST(DockerFlags, what_changes_nothing_is_taken_and_the_rest_gets_a_reason) {
    EXPECT_TRUE(checked({}));
    EXPECT_TRUE(checked({"-q", "--pull=never", "--log-driver", "local", "--platform", "linux"}));
    EXPECT_TRUE(checked({"--publish-all=false", "--disable-content-trust"}));
    for (const Option& option : DockerFlags().table()) EXPECT_EQ(option.help, nullptr);
    EXPECT_TRUE(checked({"-p80:80"}).error().message.starts_with("--publish: "));
    EXPECT_TRUE(checked({"--annotation", "a=b"}).error().message.starts_with("--annotation: "));
    EXPECT_FALSE(checked({"--pull", "always"}));
    EXPECT_FALSE(checked({"--runtime", "runc"}));
}

}  // namespace
}  // namespace noded::nodectl
