// Tests of what comes from a container: log frames to lines, attach frames to output; and events to
// lines.
#include <gtest/gtest.h>

#include <cstring>

#include "tools/nodectl/attach_parser.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/log_printer.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

std::string log_frame(uint64_t seconds, LogStream stream, const std::string& text) {
    const bool partial = !text.ends_with('\n');
    const LogHeader header{seconds * kSecondNs, static_cast<uint32_t>(text.size()), stream,
                           static_cast<uint8_t>(partial ? log_partial : 0), 0};
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + text;
}

constexpr LogStream kOut = LogStream::standard_output;
constexpr LogStream kErr = LogStream::standard_error;

/// What `logs` shows: text for stderr stands in <>.
std::string printed(const LogFilter& filter, const std::string& bytes, size_t step = SIZE_MAX) {
    std::string out;
    LogPrinter printer(filter, [&](LogStream stream, std::string_view text) {
        if (stream == kErr) out += "<";
        out += text;
        if (stream == kErr) out += ">";
    });
    for (size_t at = 0; at < bytes.size(); at += std::min(step, bytes.size())) {
        EXPECT_TRUE(printer.feed(std::string_view(bytes).substr(at, step)));
    }
    printer.release_tail();
    return out;
}

TEST(LogPrinter, both_streams_come_out_in_order) {
    const std::string log =
        log_frame(1, kOut, "a\nb\n") + log_frame(2, kErr, "oops\n") + log_frame(3, kOut, "c\n");
    EXPECT_EQ(printed({}, log), "a\nb\n<oops\n>c\n");
}

TEST(LogPrinter, frames_may_come_in_any_pieces) {
    const std::string log = log_frame(1, kOut, "abc\ndef\n") + log_frame(2, kErr, "x\n");
    for (size_t step = 1; step < log.size(); step++)
        EXPECT_EQ(printed({}, log, step), "abc\ndef\n<x\n>") << step;
}

TEST(LogPrinter, a_torn_last_frame_is_left_out) {
    const std::string log = log_frame(1, kOut, "abc\n") + log_frame(2, kOut, "def\n");
    EXPECT_EQ(printed({}, log.substr(0, log.size() - 2)), "abc\n");
}

TEST(LogPrinter, each_line_gets_one_time_stamp_also_over_several_frames) {
    const std::string log = log_frame(1, kOut, "ab") + log_frame(2, kOut, "c\nd\n");
    EXPECT_EQ(printed({.timestamps = true}, log),
              "1970-01-01T00:00:01.000000000Z abc\n1970-01-01T00:00:02.000000000Z d\n");
}

TEST(LogPrinter, tail_counts_lines_and_not_frames) {
    const std::string log =
        log_frame(1, kOut, "a\nb\nc") + log_frame(2, kErr, "e\n") + log_frame(3, kOut, "c\nd\n");
    EXPECT_EQ(printed({.tail = 1}, log), "d\n");
    EXPECT_EQ(printed({.tail = 2}, log), "<e\n>d\n");
    EXPECT_EQ(printed({.tail = 3}, log), "c<e\n>c\nd\n");
    EXPECT_EQ(printed({.tail = 100}, log), "a\nb\nc<e\n>c\nd\n");
    EXPECT_EQ(printed({.tail = 0}, log), "");
}

TEST(LogPrinter, what_follows_after_the_tail_is_shown) {
    std::string out;
    LogPrinter printer({.tail = 1}, [&](LogStream, std::string_view text) { out += text; });
    ASSERT_TRUE(printer.feed(log_frame(1, kOut, "a\nb\n")));
    printer.release_tail();
    ASSERT_TRUE(printer.feed(log_frame(2, kOut, "c\n")));
    EXPECT_EQ(out, "b\nc\n");
}

TEST(LogPrinter, a_tail_of_zero_does_not_show_the_rest_of_an_old_line) {
    std::string out;
    LogPrinter printer({.tail = 0}, [&](LogStream, std::string_view text) { out += text; });
    ASSERT_TRUE(printer.feed(log_frame(1, kOut, "old")));
    printer.release_tail();
    ASSERT_TRUE(printer.feed(log_frame(2, kOut, " rest\nnew\n")));
    EXPECT_EQ(out, "new\n");
}

TEST(LogPrinter, since_and_until_go_by_the_beginning_of_a_line) {
    const std::string log = log_frame(1, kOut, "a\n") + log_frame(2, kOut, "b") +
                            log_frame(3, kOut, "b\nc\n") + log_frame(4, kOut, "d\n");
    EXPECT_EQ(printed({.since_ns = 2 * kSecondNs, .until_ns = 3 * kSecondNs}, log), "bb\nc\n");
    EXPECT_EQ(printed({.since_ns = 3 * kSecondNs}, log), "c\nd\n");
}

TEST(LogPrinter, lost_output_is_told) {
    uint64_t count = 7;
    const std::string bytes(reinterpret_cast<const char*>(&count), sizeof count);
    LogHeader header{kSecondNs, sizeof count, LogStream::lost, 0, 0};
    const std::string frame =
        std::string(reinterpret_cast<const char*>(&header), sizeof header) + bytes;
    EXPECT_EQ(printed({}, frame), "<[7 bytes of output were lost]\n>");
}

TEST(LogPrinter, what_is_no_log_is_an_error) {
    LogPrinter printer({}, [](LogStream, std::string_view) {});
    EXPECT_FALSE(printer.feed(std::string(64, 'x')));
}

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
