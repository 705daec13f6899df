// Tests of attach frames to output, and of events to lines.
#include <gtest/gtest.h>

#include <cstring>

#include "tools/nodectl/attach_parser.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

TEST(AttachParser, output_is_handed_on_and_other_kinds_are_skipped) {
    AttachExit exit{.code = 137};
    std::string bytes =
        attach_frame(AttachKind::stdout_data, "hello ") +
        attach_frame(AttachKind::stderr_data, "oops") +
        attach_frame(static_cast<AttachKind>(99), "future") +
        attach_frame(AttachKind::stdin_end, {}) + attach_frame(AttachKind::stdout_data, "world") +
        attach_frame(AttachKind::exit, {reinterpret_cast<const char*>(&exit), sizeof exit});
    for (size_t step = 1; step <= bytes.size(); step++) {
        AttachParser parser;
        std::string out;
        std::string errors;
        int code = -1;
        for (size_t at = 0; at < bytes.size(); at += step) {
            ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(at, step),
                                    [&](AttachKind kind, std::string_view piece) {
                                        if (kind == AttachKind::stdout_data) out += piece;
                                        if (kind == AttachKind::stderr_data) errors += piece;
                                        if (kind == AttachKind::exit)
                                            memcpy(&code, piece.data(), sizeof code);
                                    }));
        }
        EXPECT_EQ(out, "hello world") << step;
        EXPECT_EQ(errors, "oops") << step;
        EXPECT_EQ(code, 137) << step;
    }
}

TEST(AttachParser, lost_output_is_told_in_one_piece) {
    const uint64_t count = 7;
    const std::string frame =
        attach_frame(AttachKind::lost, {reinterpret_cast<const char*>(&count), sizeof count});
    AttachParser parser;
    std::string found;
    for (const char byte : frame)
        ASSERT_TRUE(parser.feed({&byte, 1}, [&](AttachKind kind, std::string_view piece) {
            EXPECT_EQ(kind, AttachKind::lost);
            found += piece;
        }));
    EXPECT_EQ(found, frame.substr(sizeof(AttachHeader)));
}

TEST(AttachParser, data_is_handed_on_before_its_frame_is_complete) {
    AttachParser parser;
    std::string out;
    const std::string frame = attach_frame(AttachKind::stdout_data, "abcdef");
    ASSERT_TRUE(parser.feed(frame.substr(0, frame.size() - 3),
                            [&](AttachKind, std::string_view piece) { out += piece; }));
    EXPECT_EQ(out, "abc");
}

TEST(AttachParser, a_frame_over_the_limit_is_an_error) {
    const AttachHeader header{AttachKind::stdout_data, {}, attach_frame_bytes_max + 1};
    AttachParser parser;
    EXPECT_FALSE(parser.feed({reinterpret_cast<const char*>(&header), sizeof header},
                             [](AttachKind, std::string_view) {}));
}

ShownEvent started() {
    const std::string id(64, 'a');
    return {.seq = 42,
            .time_ns = kSecondNs,
            .type = 0xf2b7a6d1c0e4a014,
            .name = "ContainerStarted",
            .plugin = "container",
            .command_id = id,
            .cause_seq = 41,
            .payload = {{"id", id}, {"run", 1}, {"pid", 0}, {"spec", {{"imageName", "busybox"}}}}};
}

TEST(EventLine, shows_what_says_something) {
    EXPECT_EQ(event_line(started(), true),
              "1970-01-01T00:00:01.000000000Z 42 container ContainerStarted id=aaaaaaaaaaaa run=1 "
              "image=busybox");
    ShownEvent exited{
        .seq = 1,
        .time_ns = 0,
        .type = 7,
        .name = "",
        .plugin = "",
        .command_id = "",
        .cause_seq = 0,
        .payload = {{"exitCode", 0}, {"message", "no such file"}, {"argv", {"sh", "-c"}}}};
    EXPECT_EQ(
        event_line(exited, true),
        "1970-01-01T00:00:00.000000000Z 1 - 0x0000000000000007 exitCode=0 message=\"no such file\" "
        "argv=[\"sh\",\"-c\"]");
}

TEST(EventLine, json_has_all_of_it) {
    EXPECT_EQ(to_line(event_json(started())),
              "{\"seq\":42,\"time\":1,\"timeNano\":1000000000,\"type\":\"ContainerStarted\","
              "\"plugin\":\"container\","
              "\"commandId\":\"" +
                  std::string(64, 'a') + "\",\"causeSeq\":41,\"payload\":{\"id\":\"" +
                  std::string(64, 'a') +
                  "\",\"run\":1,\"pid\":0,\"spec\":{\"imageName\":\"busybox\"}}}");
}

bool matches(const std::vector<std::string>& arguments, const ShownEvent& event) {
    auto filter = EventFilter::parse(arguments);
    EXPECT_TRUE(filter);
    return filter && filter->matches(event);
}

TEST(EventFilter, goes_by_type_plugin_container_and_image) {
    EXPECT_TRUE(
        matches({"type=ContainerStarted", "plugin=container", "container=aaaa", "image=busybox"},
                started()));
    EXPECT_FALSE(matches({"type=ContainerExited"}, started()));
    EXPECT_FALSE(matches({"plugin=storage"}, started()));
    EXPECT_FALSE(matches({"container=bbbb"}, started()));
    EXPECT_FALSE(matches({"image=alpine"}, started()));
    EXPECT_FALSE(EventFilter::parse({"foo=bar"}));
}

TEST(EventFilter, an_image_stands_for_all_that_its_containers_do) {
    const std::string id(64, 'a');
    ShownEvent exited = started();
    exited.payload = {{"id", id}, {"run", 1}};
    ShownEvent exec = started();
    exec.payload = {{"containerId", id}};
    for (const char* wanted : {"busybox", "busybox:latest", "sha256:77", "77"}) {
        auto filter = EventFilter::parse({std::string("image=") + wanted});
        ASSERT_TRUE(filter);
        EXPECT_FALSE(filter->matches(exited));
        filter->learn(std::string(64, 'b'), "other", "alpine", "sha256:88");
        EXPECT_FALSE(filter->matches(exited));
        filter->learn(id, "web", "busybox", "sha256:77");
        EXPECT_TRUE(filter->matches(exited)) << wanted;
        EXPECT_TRUE(filter->matches(exec)) << wanted;
    }
    auto filter = EventFilter::parse({"image=busybox"});
    EXPECT_TRUE(filter->matches(started())) << "and is known from its first event on";
    EXPECT_TRUE(filter->matches(exited));
    ShownEvent tagged = started();
    tagged.plugin = "storage";
    tagged.payload = {{"id", "sha256:77"}, {"name", "busybox:latest"}};
    EXPECT_TRUE(filter->matches(tagged));
    tagged.payload["name"] = "alpine:latest";
    EXPECT_FALSE(filter->matches(tagged));
}

TEST(EventFilter, a_name_stands_for_its_id_once_it_was_seen) {
    auto filter = EventFilter::parse({"container=web"});
    ASSERT_TRUE(filter);
    EXPECT_FALSE(filter->matches(started()));
    ShownEvent requested = started();
    requested.payload = {{"id", std::string(64, 'a')}, {"name", "web"}};
    EXPECT_TRUE(filter->matches(requested));
    EXPECT_TRUE(filter->matches(started()));
}

}  // namespace
}  // namespace noded::nodectl
