// Tests of reading a log: frames to lines, and segments of blocks in a folder to frames.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include "plugins/container/shim/log_folder.h"
#include "plugins/container/shim/test_log.h"
#include "tools/nodectl/log_prefix.h"
#include "tools/nodectl/log_printer.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

namespace fs = std::filesystem;
constexpr LogStream kOut = LogStream::standard_output;
constexpr LogStream kErr = LogStream::standard_error;

/// What `logs` shows: text for stderr stands in <>.
class Shown {
public:
    Shown(const TestLog& log, LogFilter filter, std::optional<uint64_t> tail = {})
        : log_(log.open()), printer_(limit(filter, tail), [this](LogStream stream, auto text) {
              out_ += stream == kErr ? "<" + std::string(text) + ">" : std::string(text);
          }) {}

    std::string more() {
        out_.clear();
        const Status status = log_.read_on({
            .jump = [this](const LogBlock& block, uint64_t lost) { printer_.jump(block, lost); },
            .frame =
                [this](const LogFrame& frame) {
                    frames_++;
                    if (at_frame) at_frame();
                    return printer_.frame(frame);
                },
        });
        EXPECT_TRUE(status) << status.error().message;
        return out_;
    }
    size_t frames() const { return frames_; }

    std::function<void()> at_frame;

private:
    LogFilter limit(LogFilter filter, std::optional<uint64_t> tail) {
        if (tail) {
            const auto count = log_.line_count(filter.until_ns);
            EXPECT_TRUE(count);
            filter.from_line = *count - std::min(*count, *tail);
            EXPECT_TRUE(log_.begin_at_line(filter.from_line));
        } else {
            log_.begin_at_time(filter.since_ns);
        }
        return filter;
    }

    LogFolder log_;
    std::string out_;
    LogPrinter printer_;
    size_t frames_ = 0;
};

std::string shown(const TestLog& log, LogFilter filter = {}, std::optional<uint64_t> tail = {}) {
    return Shown(log, filter, tail).more();
}

std::string numbered(uint64_t from, uint64_t to) {
    std::string lines;
    for (uint64_t number = from; number < to; number++)
        lines += "line " + std::to_string(number) + "\n";
    return lines;
}

/// One frame a second, a line each.
void write_numbered(TestLog& log, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; number++)
        log.write(number * kSecondNs, kOut, numbered(number, number + 1));
}

TEST(LogPrinter, both_streams_come_out_in_order) {
    TestLog log;
    log.write(1, kOut, "a\nb\n");
    log.write(2, kErr, "oops\n");
    log.write(3, kOut, "c\n");
    EXPECT_EQ(shown(log), "a\nb\n<oops\n>c\n");
}

TEST(LogPrinter, any_bytes_come_out_as_they_went_in) {
    std::string bytes;
    for (int byte = 0; byte < 256; byte++) bytes += static_cast<char>(byte);
    TestLog log;
    log.write(1, kOut, bytes);
    EXPECT_EQ(shown(log), bytes);
    EXPECT_EQ(shown(log, {}, 1), bytes.substr(bytes.find('\n') + 1));
}

TEST(LogPrinter, a_torn_last_frame_is_left_out) {
    TestLog log;
    log.write(1, kOut, "abc\n");
    log.write(2, kOut, "def\n");
    log.cut(2);
    EXPECT_EQ(shown(log), "abc\n");
    EXPECT_EQ(shown(log, {}, 1), "abc\n");
}

TEST(LogPrinter, each_line_gets_one_time_stamp_also_over_several_frames) {
    TestLog log;
    log.write(1 * kSecondNs, kOut, "ab");
    log.write(2 * kSecondNs, kOut, "c\nd\n");
    EXPECT_EQ(shown(log, {.timestamps = true}),
              "1970-01-01T00:00:01.000000000Z abc\n1970-01-01T00:00:02.000000000Z d\n");
}

TEST(LogPrinter, tail_counts_lines_and_not_frames) {
    TestLog log;
    log.write(1, kOut, "a\nb\nc");
    log.write(2, kErr, "e\n");
    log.write(3, kOut, "c\nd\n");
    EXPECT_EQ(shown(log, {}, 1), "d\n");
    EXPECT_EQ(shown(log, {}, 2), "<e\n>d\n");
    EXPECT_EQ(shown(log, {}, 3), "c<e\n>c\nd\n");
    EXPECT_EQ(shown(log, {}, 100), "a\nb\nc<e\n>c\nd\n");
    EXPECT_EQ(shown(log, {}, 0), "");
}

TEST(LogPrinter, what_follows_after_the_tail_is_shown) {
    TestLog log;
    log.write(1, kOut, "a\nb\n");
    Shown tail(log, {}, 1);
    EXPECT_EQ(tail.more(), "b\n");
    log.write(2, kOut, "c\n");
    EXPECT_EQ(tail.more(), "c\n");
}

TEST(LogPrinter, a_tail_of_zero_does_not_show_the_rest_of_an_old_line) {
    TestLog log;
    log.write(1, kOut, "old");
    Shown tail(log, {}, 0);
    EXPECT_EQ(tail.more(), "");
    log.write(2, kOut, " rest\nnew\n");
    EXPECT_EQ(tail.more(), "new\n");
}

TEST(LogPrinter, since_and_until_go_by_the_beginning_of_a_line) {
    TestLog log;
    log.write(1, kOut, "a\n");
    log.write(2, kOut, "b");
    log.write(3, kOut, "b\nc\n");
    log.write(4, kOut, "d\n");
    EXPECT_EQ(shown(log, {.since_ns = 2, .until_ns = 3}), "bb\nc\n");
    EXPECT_EQ(shown(log, {.since_ns = 3}), "c\nd\n");
    EXPECT_EQ(shown(log, {.until_ns = 2}), "a\nbb\n");
}

TEST(LogPrinter, lost_output_is_told) {
    TestLog log;
    log.write(1, kOut, "a\n");
    log.lose(2, 7);
    log.write(3, kOut, "b\n");
    EXPECT_EQ(shown(log), "a\n<[7 bytes of output were lost]\n>b\n");
    EXPECT_EQ(shown(log, {.since_ns = 3}), "b\n");
}

TEST(LogFolder, an_empty_folder_is_an_empty_log_that_may_still_grow) {
    TestLog log;
    Shown all(log, {});
    Shown tail(log, {}, 10);
    EXPECT_EQ(all.more() + tail.more(), "");
    log.write(1, kOut, "first\n");
    EXPECT_EQ(all.more(), "first\n");
    EXPECT_EQ(tail.more(), "first\n");
}

TEST(LogFolder, segments_read_as_one_log) {
    TestLog log(log_block_bytes);
    write_numbered(log, 0, 20000);
    EXPECT_GT(log.segments().size(), 5u);
    EXPECT_EQ(shown(log), numbered(0, 20000));
}

TEST(LogFolder, a_tail_of_any_length_is_exact_across_blocks_and_segments) {
    TestLog log(2 * log_block_bytes);
    write_numbered(log, 0, 20000);
    for (uint64_t tail = 1; tail < 20100; tail += 1 + tail / 7) {
        const uint64_t from = 20000 - std::min<uint64_t>(tail, 20000);
        ASSERT_EQ(shown(log, {}, tail), numbered(from, 20000)) << tail;
    }
}

TEST(LogFolder, a_tail_reads_few_frames) {
    TestLog log(4 * log_block_bytes);
    write_numbered(log, 0, 50000);
    Shown tail(log, {}, 10);
    EXPECT_EQ(tail.more(), numbered(49990, 50000));
    EXPECT_LT(tail.frames(), 2 * log_block_bytes / (sizeof(LogHeader) + 8));
}

TEST(LogFolder, since_and_until_are_exact_and_read_few_frames) {
    TestLog log(2 * log_block_bytes);
    write_numbered(log, 0, 20000);
    for (int64_t at = 0; at < 20000; at += 777) {
        const LogFilter filter{.since_ns = at * kSecondNs, .until_ns = (at + 99) * kSecondNs};
        Shown part(log, filter);
        const auto from = static_cast<uint64_t>(at);
        ASSERT_EQ(part.more(), numbered(from, std::min<uint64_t>(from + 100, 20000))) << at;
    }
    Shown late(log, {.since_ns = 19990 * kSecondNs});
    EXPECT_EQ(late.more(), numbered(19990, 20000));
    EXPECT_LT(late.frames(), 20000u);
}

TEST(LogFolder, a_tail_with_until_is_the_last_lines_before_that_time) {
    TestLog log(log_block_bytes);
    write_numbered(log, 0, 10000);
    for (int64_t until = 0; until < 10000; until += 333) {
        const auto end = static_cast<uint64_t>(until) + 1;
        ASSERT_EQ(shown(log, {.until_ns = until * kSecondNs}, 5),
                  numbered(end - std::min<uint64_t>(end, 5), end))
            << until;
    }
    EXPECT_EQ(shown(log, {.since_ns = 9998 * kSecondNs}, 5), numbered(9998, 10000));
}

TEST(LogFolder, lines_longer_than_segments_are_one_line) {
    TestLog log(log_block_bytes);
    const std::string line = std::string(5 * log_block_bytes, 'x') + "\n";
    log.write(1, kOut, "before\n" + line);
    log.write(2, kOut, "after\n");
    EXPECT_TRUE(shown(log, {}, 2) == line + "after\n");
    EXPECT_EQ(shown(log, {}, 1), "after\n");
    EXPECT_TRUE(shown(log, {.until_ns = 1}, 1) == line);
    EXPECT_TRUE(shown(log, {.timestamps = true}, 2) ==
                "1970-01-01T00:00:00.000000001Z " + line +
                    "1970-01-01T00:00:00.000000002Z after\n");
}

TEST(LogFolder, what_is_left_of_a_line_counts_as_the_line) {
    TestLog log(log_block_bytes);
    log.write(1, kOut, std::string(3 * log_block_bytes, 'x') + "end\n");
    log.write(2, kOut, "after\n");
    log.remove_oldest();
    EXPECT_TRUE(shown(log).ends_with("xxxend\nafter\n"));
    EXPECT_TRUE(shown(log, {}, 2).ends_with("xxxend\nafter\n"));
    EXPECT_EQ(shown(log, {}, 1), "after\n");
}

TEST(LogFolder, following_goes_on_across_segments) {
    TestLog log(log_block_bytes);
    Shown all(log, {});
    std::string seen;
    for (uint64_t number = 0; number < 20000; number += 1000) {
        write_numbered(log, number, number + 1000);
        seen += all.more();
    }
    EXPECT_EQ(seen, numbered(0, 20000));
}

TEST(LogFolder, what_was_seen_when_reading_began_is_read_although_it_was_deleted) {
    TestLog log(log_block_bytes);
    write_numbered(log, 0, 10000);
    Shown tail(log, {}, 9000);
    while (!log.segments().empty()) log.remove_oldest();
    EXPECT_EQ(tail.more(), numbered(1000, 10000));
}

TEST(LogFolder, a_reader_slower_than_rotation_is_told_what_it_missed) {
    TestLog log(log_block_bytes);
    write_numbered(log, 0, 100);
    Shown all(log, {});
    EXPECT_EQ(all.more(), numbered(0, 100));
    write_numbered(log, 100, 10000);
    // The first segment is being read; the next two are gone before they were seen.
    const auto segments = log.segments();
    fs::remove(segments.at(1));
    fs::remove(segments.at(2));
    const std::string more = all.more();
    const size_t note = more.find("<[");
    ASSERT_NE(note, std::string::npos);
    const uint64_t lost = std::stoull(more.substr(note + 2));
    const size_t behind = more.find('>') + 1;
    EXPECT_EQ(note + lost + (more.size() - behind), numbered(100, 10000).size());
    EXPECT_TRUE(numbered(100, 10000).ends_with(more.substr(behind)));
}

size_t open_descriptors() {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

TEST(LogFolder, a_reader_who_follows_holds_few_of_the_segments_that_come) {
    TestLog log(log_block_bytes);
    write_numbered(log, 0, 100);
    Shown all(log, {});
    std::string seen = all.more();
    const size_t before = open_descriptors();
    write_numbered(log, 100, 100000);   // of which more segments come than are held at once
    ASSERT_GT(log.segments().size(), 2 * LogFolder::kHeldMax);
    size_t most = 0;
    all.at_frame = [&] { most = std::max(most, open_descriptors()); };
    seen += all.more();
    EXPECT_EQ(seen, numbered(0, 100000)) << "nothing is lost of what is still there";
    EXPECT_LE(most, before + LogFolder::kHeldMax);
}

TEST(LogFolder, a_damaged_block_is_passed_over_and_told) {
    TestLog log;
    write_numbered(log, 0, 10000);
    log.damage(log_block_bytes, "XXXX");
    const std::string all = shown(log);
    EXPECT_NE(all.find(" bytes of output were lost]\n>"), std::string::npos);
    EXPECT_TRUE(all.starts_with(numbered(0, 2000)));
    EXPECT_TRUE(all.ends_with(numbered(8000, 10000)));
    EXPECT_EQ(shown(log, {}, 10), numbered(9990, 10000));
}

/// How many lines of `text` are none of those that were written.
size_t invented_in(const std::string& text, uint64_t to) {
    size_t invented = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const uint64_t number = line.starts_with("line ") ? strtoull(&line[5], nullptr, 10) : to;
        const bool is_one = number < to && line + "\n" == numbered(number, number + 1);
        const bool told = line.find(" bytes of output were lost]") != std::string::npos;
        if (!is_one && !told) ++invented;
    }
    return invented;
}

TEST(LogFolder, any_flipped_bit_costs_its_block_at_most_and_no_index_is_believed_that_has_one) {
    constexpr uint64_t kLines = 6000;
    constexpr size_t kFrameEnd = sizeof(LogBlock) + sizeof(LogHeader);
    TestLog log;
    write_numbered(log, 0, kLines);
    std::ifstream in(log.segments().at(0), std::ios::binary);
    const std::string whole(std::istreambuf_iterator<char>(in), {});
    ASSERT_GT(whole.size(), 2 * size_t{log_block_bytes});
    std::vector<size_t> places;
    for (const size_t block : {size_t{0}, size_t{log_block_bytes}}) {
        for (size_t at = 0; at < kFrameEnd + 7; ++at) places.push_back(block + at);
    }
    for (const size_t at : places) {
        for (const int bit : {0, 1, 4, 7}) {
            log.damage(at, std::string(1, static_cast<char>(whole[at] ^ (1 << bit))));
            const std::string all = shown(log);
            const size_t in_block = at % log_block_bytes;
            const bool in_frame_header = in_block >= sizeof(LogBlock) && in_block < kFrameEnd;
            // The flipped line, and what is left of those between which a block was lost.
            if (!in_frame_header) {
                EXPECT_LE(invented_in(all, kLines), 3u) << "byte " << at << " bit " << bit;
            }
            EXPECT_TRUE(all.ends_with(numbered(kLines - 500, kLines)))
                << "byte " << at << " bit " << bit;
            if (in_block < sizeof(LogBlock)) {
                EXPECT_TRUE(shown(log, {}, 5).ends_with(numbered(kLines - 5, kLines))) << at;
                EXPECT_LT(all.size(), whole.size()) << "the index is not believed";
            }
            log.damage(at, std::string(1, whole[at]));
        }
    }
    EXPECT_EQ(shown(log), numbered(0, kLines));
}

TEST(LogFolder, a_clock_that_went_back_hides_nothing) {
    TestLog log;
    log.write(100 * kSecondNs, kOut, "a\n");
    log.write(200 * kSecondNs, kOut, "b\n");
    log.rotate();
    log.write(50 * kSecondNs, kOut, "c\n");
    log.write(150 * kSecondNs, kOut, "d\n");
    EXPECT_EQ(shown(log, {.since_ns = 150 * kSecondNs}), "b\nd\n");
    EXPECT_EQ(shown(log, {.until_ns = 150 * kSecondNs}), "a\nc\nd\n");
    EXPECT_EQ(shown(log, {}, 2), "c\nd\n");
}

TEST(LogPrefix, stands_before_whole_lines_of_each_stream) {
    std::string out;
    std::string err;
    LogPrefix prefix("a | ", [&](LogStream stream, std::string_view text) {
        (stream == kErr ? err : out) += text;
    });
    prefix.add(kOut, "one\ntw");
    EXPECT_EQ(out, "a | one\n");
    prefix.add(kErr, "bad\n");
    prefix.add(kOut, "o\n\nthree");
    EXPECT_EQ(out, "a | one\na | two\na | \n");
    prefix.finish();
    EXPECT_EQ(out, "a | one\na | two\na | \na | three\n");
    EXPECT_EQ(err, "a | bad\n");
    EXPECT_EQ(log_prefixes({"a", "longer"}, false),
              (std::vector<std::string>{"a       | ", "longer  | "}));
    EXPECT_EQ(log_prefixes({"a"}, true)[0], "\033[36ma  | \033[0m");
}

}  // namespace
}  // namespace noded::nodectl
