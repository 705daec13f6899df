// The image config: what is read, what is refused, and the Dockerfile instructions of import
// --change.
#include "plugins/storage/image/image_config.h"

#include <gtest/gtest.h>

namespace noded::image {
namespace {

using Strings = std::vector<std::string>;

/// A complete config around the members of its "config" object.
std::string with(const std::string& members) {
    return R"({"architecture":"amd64","os":"linux","config":{)" + members +
           R"(},"rootfs":{"type":"layers","diff_ids":[]}})";
}

TEST(ImageConfig, every_field_is_read_and_unknown_ones_are_ignored) {
    auto config = parse_image_config(with(
        R"("Env":["A=1"],"Cmd":["sh","-c"],"Entrypoint":null,"WorkingDir":"/w",
        "User":"1:2","Strange":[1],
        "ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/data":{}},"Labels":{"k":"v"},
        "StopSignal":"SIGINT",
        "Healthcheck":{"Test":["CMD","true"]},"Shell":["/bin/bash"])"));
    ASSERT_TRUE(config) << config.error().message;
    const RuntimeConfig& runtime = config->config;
    EXPECT_EQ(config->architecture, "amd64");
    EXPECT_EQ(runtime.env, Strings{"A=1"});
    EXPECT_EQ(runtime.cmd, (Strings{"sh", "-c"}));
    EXPECT_TRUE(runtime.entrypoint.empty());
    EXPECT_EQ(runtime.working_dir, "/w");
    EXPECT_EQ(runtime.user, "1:2");
    EXPECT_EQ(runtime.exposed_ports, (Strings{"53/udp", "80/tcp"}));
    EXPECT_EQ(runtime.volumes, Strings{"/data"});
    EXPECT_EQ(runtime.labels.at("k"), "v");
    EXPECT_EQ(runtime.stop_signal, "SIGINT");
    EXPECT_EQ(runtime.healthcheck, R"({"Test":["CMD","true"]})");
    EXPECT_EQ(runtime.shell, Strings{"/bin/bash"});
}

TEST(ImageConfig, printing_and_parsing_is_the_identity) {
    ImageConfig config{"amd64", "linux", "2024-01-01T00:00:00Z", "me", {}, {}, {}};
    config.config.env = {"A=\"x\""};
    config.config.labels = {{"a", "b"}};
    config.config.volumes = {"/v"};
    config.config.healthcheck = R"({"Test":["NONE"]})";
    config.diff_ids = {"sha256:" + std::string(64, '1')};
    config.history = {{"2024-01-01T00:00:00Z", "by", "why", true}};
    std::string json = image_config_json(config);
    auto parsed = parse_image_config(json);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(image_config_json(*parsed), json);
    EXPECT_EQ(parsed->history[0].empty_layer, true);
    EXPECT_EQ(parsed->config.healthcheck, config.config.healthcheck);
}

TEST(ImageConfig, wrong_types_are_named) {
    const std::pair<const char*, const char*> cases[] = {
        {R"("Env":"A=1")", "image config: Env is not an array of strings"},
        {R"("Env":[1])", "image config: Env is not an array of strings"},
        {R"("Cmd":{})", "image config: Cmd is not an array of strings"},
        {R"("User":5)", "image config: User is not a string"},
        {R"("Volumes":["/a"])", "image config: Volumes is not an object"},
        {R"("Labels":{"a":1})", "image config: Labels has a value that is not a string"},
        {R"("Healthcheck":"x")", "image config: Healthcheck is not an object"},
        {R"("Env":["A=\u0000"])", "image config: Env has a string with a NUL byte"},
    };
    for (auto& [members, message] : cases) {
        auto config = parse_image_config(with(members));
        ASSERT_FALSE(config) << members;
        EXPECT_EQ(config.error().message, message);
    }
    EXPECT_FALSE(parse_image_config("[]"));
    EXPECT_FALSE(parse_image_config("{"));
    EXPECT_FALSE(parse_image_config("{}"));
    EXPECT_FALSE(parse_image_config(R"({"rootfs":{"type":"layers","diff_ids":["md5:1"]}})"));
}

TEST(ImageConfig, size_count_and_depth_are_bounded) {
    std::string many = "\"Env\":[";
    for (int i = 0; i < 5000; ++i) many += "\"A=1\",";
    many.back() = ']';
    EXPECT_EQ(parse_image_config(with(many)).error().message,
              "image config: Env has more than 4096 elements");
    std::string deep =
        "\"Healthcheck\":{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}";
    EXPECT_EQ(parse_image_config(with(deep)).error().message,
              "image config is nested more than 64 levels deep");
    EXPECT_FALSE(parse_image_config(with("\"User\":\"" + std::string(600000, 'u') + "\"")));
}

TEST(ImageConfig, changes_are_read_as_dockerfile_instructions) {
    RuntimeConfig config;
    for (const char* change :
         {"CMD [\"a\", \"b c\"]", "entrypoint run it", "ENV A=1 B=\"two words\"",
          "ENV C three  four", "ENV A=2", "EXPOSE 80 53/udp", "LABEL x=y", "USER me", "WORKDIR /a",
          "WORKDIR b", "VOLUME /v /w", "VOLUME [\"/x\"]", "STOPSIGNAL SIGQUIT"})
        ASSERT_TRUE(apply_change(config, change)) << change;
    EXPECT_EQ(config.cmd, (Strings{"a", "b c"}));
    EXPECT_EQ(config.entrypoint, (Strings{"/bin/sh", "-c", "run it"}));
    EXPECT_EQ(config.env, (Strings{"A=2", "B=two words", "C=three  four"}));
    EXPECT_EQ(config.exposed_ports, (Strings{"80/tcp", "53/udp"}));
    EXPECT_EQ(config.labels.at("x"), "y");
    EXPECT_EQ(config.user, "me");
    EXPECT_EQ(config.working_dir, "/a/b");
    EXPECT_EQ(config.volumes, (Strings{"/v", "/w", "/x"}));
    EXPECT_EQ(config.stop_signal, "SIGQUIT");
    EXPECT_EQ(apply_change(config, "RUN x").error().message,
              "change \"RUN x\": the instruction is not known");
    EXPECT_EQ(apply_change(config, "CMD").error().message,
              "change \"CMD\": the instruction has no argument");
    EXPECT_FALSE(apply_change(config, "ENV \"A=1"));
    EXPECT_FALSE(apply_change(config, "LABEL =x"));
}

TEST(ImageConfig, an_entrypoint_takes_a_command_away_that_was_there_before) {
    RuntimeConfig config;
    config.cmd = {"sh"};
    ASSERT_TRUE(apply_change(config, "ENTRYPOINT [\"run\"]"));
    EXPECT_EQ(config.cmd, Strings{});
    ASSERT_TRUE(apply_change(config, "CMD [\"it\"]"));
    ASSERT_TRUE(apply_change(config, "ENTRYPOINT [\"again\"]"));
    EXPECT_EQ(config.cmd, Strings{"it"});
}

TEST(ImageConfig, a_health_check_is_read_as_in_a_dockerfile) {
    const auto health = [](const std::string& rest) {
        RuntimeConfig config;
        const auto applied = apply_change(config, "HEALTHCHECK " + rest);
        return applied ? config.healthcheck : "refused: " + applied.error().message;
    };
    EXPECT_EQ(health("NONE"), R"({"Test":["NONE"]})");
    EXPECT_EQ(health("CMD curl -f http://x || exit 1"),
              R"({"Test":["CMD-SHELL","curl -f http://x || exit 1"]})");
    EXPECT_EQ(health("--interval=1m30s --timeout=500ms --start-period=1.5h --retries=4 cmd "
                     "[\"a\", \"b c\"]"),
              R"({"Interval":90000000000,"Retries":4,"StartPeriod":5400000000000,)"
              R"("Test":["CMD","a","b c"],"Timeout":500000000})");
    EXPECT_EQ(health("--interval=0s CMD true"), R"({"Test":["CMD-SHELL","true"]})");
    const std::pair<const char*, const char*> refused[] = {
        {"NONE x", "HEALTHCHECK NONE takes no arguments"},
        {"RUN x", "Unknown type \"RUN\" in HEALTHCHECK (try CMD)"},
        {"CMD", "Missing command after HEALTHCHECK CMD"},
        {"--interval=5 CMD x", "--interval is a duration like 30s, not \"5\""},
        {"--interval=-5s CMD x", "--interval is a duration like 30s, not \"-5s\""},
        {"--interval=99999999999h CMD x", "--interval is a duration like 30s"},
        {"--timeout=1us CMD x", "--timeout cannot be less than 1ms"},
        {"--retries=x CMD x", "--retries must be a number of at least 0, not \"x\""},
        {"--retries=-1 CMD x", "--retries must be a number"},
        {"--often=3 CMD x", "Unknown flag: often"},
        {"--interval=1s", "Unknown type \"\" in HEALTHCHECK"},
    };
    for (const auto& [rest, why] : refused)
        EXPECT_NE(health(rest).find(why), std::string::npos) << rest << ": " << health(rest);
}

}  // namespace
}  // namespace noded::image
