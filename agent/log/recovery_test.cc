// Recovery: torn writes are cut, in whatever way they were torn; everything else is refused and
// left as it was.
#include <random>

#include "agent/log/recovery.h"
#include "agent/log/segment.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

/// Four blocks per segment: the header, two or three batches, the rest unwritten.
constexpr uint64_t kBlocks = 4;

std::string refusal_of(MemStorage& storage) {
    TestLog log(storage, small_segments(kBlocks));
    const Status status = log.open_and_replay();
    return status ? "" : status.error().message;
}

void expect_refused_with(MemStorage& storage, const std::string& part) {
    const auto before = image_of(storage);
    EXPECT_NE(refusal_of(storage).find(part), std::string::npos) << refusal_of(storage);
    EXPECT_EQ(image_of(storage), before) << "a refused log is left as it was";
}

/// `durable` acknowledged batches, then one more with these payloads under way when the power
/// fails.
void make_torn(MemStorage& storage, int durable, const std::vector<Buffer>& payloads,
               const std::function<bool(size_t sector)>& kept) {
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < durable; ++i) log.write(3000);
    for (const Buffer& payload : payloads) log.append(payload);
    log.start_sync();
    storage.crash(kept);
}

/// The log opens with exactly `events`, tells of the cut or not, and works on; a second time there
/// is nothing to tell.
void expect_recovered(MemStorage& storage, uint64_t events, bool cut) {
    TestLog log(storage, small_segments(kBlocks));
    const Status status = log.open();
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(log->next_seq(), events + 1);
    EXPECT_EQ(log.read(log->oldest_seq()).size(), events);
    EXPECT_EQ(log.notice.find("was cut") != std::string::npos, cut) << log.notice;
    log.write(2000);
    log.write(2000);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.notice, "");
    EXPECT_EQ(log.read(1).size(), events + 2);
}

TEST(LogRecovery, torn_tail_is_cut_after_every_prefix_of_sectors) {
    // Two blocks, sixteen sectors, some of them zeros in the payload.
    const std::vector<Buffer> payloads{payload_of(2, 2000), Buffer(3000), payload_of(4, 1000)};
    for (size_t prefix = 0; prefix <= 16; ++prefix) {
        SCOPED_TRACE(prefix);
        MemStorage storage;
        make_torn(storage, 1, payloads, [&](size_t sector) { return sector < prefix; });
        TestLog log(storage, small_segments(kBlocks));
        ASSERT_TRUE(log.open());
        EXPECT_EQ(log->durable_seq(), prefix == 16 ? 4u : 1u);
        EXPECT_EQ(log.notice.empty(), prefix == 0 || prefix == 16) << log.notice;
    }
}

TEST(LogRecovery, torn_tail_is_cut_whichever_sectors_are_missing) {
    for (unsigned kept = 0; kept < 256; ++kept) {
        SCOPED_TRACE(kept);
        MemStorage storage;
        make_torn(storage, 2, {payload_of(3, 3000)},
                  [&](size_t sector) { return kept >> sector & 1; });
        expect_recovered(storage, kept == 255 ? 3 : 2, kept != 0 && kept != 255);
    }
}

TEST(LogRecovery, torn_opening_of_a_segment_is_cut_whichever_sectors_are_missing) {
    // Segment header and first batch are one write of sixteen sectors.
    std::mt19937 random(1);
    for (const int durable : {0, 3}) {
        for (unsigned round = 0; round < 600; ++round) {
            // All of the header and nothing else, all but one sector, and anything.
            unsigned kept = round < 16 ? 0xFFFF & ~(1u << round) : random() & 0xFFFF;
            if (round == 16) kept = 0x00FF;
            if (round == 17) kept = 0xFFFF;
            if (round == 18) kept = 0;
            SCOPED_TRACE(testing::Message()
                         << durable << " durable, sectors kept " << std::hex << kept);
            MemStorage storage;
            make_torn(storage, durable, {payload_of(durable + 1, 3000)},
                      [&](size_t sector) { return kept >> sector & 1; });
            const bool whole = kept == 0xFFFF;
            // A header without a batch is an open segment that is empty: nothing has to be cut.
            const bool clean = whole || kept == 0 || kept == 0x00FF;
            expect_recovered(storage, durable + (whole ? 1 : 0), !clean);
            if (HasFatalFailure() || HasNonfatalFailure()) return;
        }
    }
}

TEST(LogRecovery, interrupted_cut_is_cut_again) {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        SCOPED_TRACE(round);
        MemStorage storage;
        make_torn(storage, 1, {payload_of(2, 6000)}, [](size_t sector) { return sector != 9; });
        // The cut zeroes the two blocks of the batch; the power fails again while it does.
        Buffer& segment = storage.bytes(segment_name(1));
        const size_t batch = 2 * kBlock;
        bool all_cut = true;
        for (size_t sector = 0; sector < 16; ++sector) {
            if (random() & 1)
                memset(segment.data() + batch + sector * kSector, 0, kSector);
            else if (sector != 9)
                all_cut = false;
        }
        expect_recovered(storage, 1, !all_cut);
    }
}

TEST(LogRecovery, notice_names_segment_and_position_of_the_cut) {
    MemStorage storage;
    make_torn(storage, 1, {payload_of(2, 3000)}, [](size_t sector) { return sector == 0; });
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.notice,
              "log segment-0000000000000001: a torn write of 4096 bytes at byte 8192 was cut; "
              "nothing in it had been acknowledged");
}

TEST(LogRecovery, torn_write_of_the_largest_batch_is_cut) {
    for (const size_t missing : {size_t{0}, size_t{100}, size_t{8191}}) {
        SCOPED_TRACE(missing);
        MemStorage storage;
        TestLog log(storage, {});
        ASSERT_TRUE(log.open());
        log.write(8);
        for (int i = 0; i < 3; ++i) log.append(limits::log_payload_bytes_max);
        // Together with the headers of batch and records exactly the largest batch: 8192 sectors.
        log.append(limits::log_payload_bytes_max - 352);
        log.start_sync();
        storage.crash([&](size_t sector) { return sector != missing; });
        ASSERT_TRUE(log.open());
        EXPECT_EQ(log->durable_seq(), 1u);
        EXPECT_NE(log.notice.find("was cut"), std::string::npos);
    }
}

/// Flips every bit of `name` in turn (each `step`-th) and expects a refusal that names the file.
void expect_every_flip_refused(MemStorage& storage, const std::string& name, size_t step) {
    const auto before = image_of(storage);
    Buffer& content = storage.bytes(name);
    for (size_t bit = 0; bit < content.size() * 8; bit += step) {
        const auto mask = static_cast<uint8_t>(1 << bit % 8);
        content[bit / 8] ^= mask;
        TestLog log(storage, small_segments(kBlocks));
        const Status status = log.open_and_replay();
        ASSERT_FALSE(status) << "bit " << bit << " of " << name << ", notice: " << log.notice;
        ASSERT_NE(status.error().message.find(name), std::string::npos) << status.error().message;
        content[bit / 8] ^= mask;
    }
    EXPECT_EQ(image_of(storage), before) << "a refused log is left as it was";
}

TEST(LogRecovery, every_flipped_bit_of_the_open_segment_is_refused) {
    MemStorage storage;
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    log.write(3000);
    log.append(16);
    log.append(24);
    log.start_sync();
    storage.run();
    log.close();
    expect_every_flip_refused(storage, segment_name(1), 1);
}

TEST(LogRecovery, every_flipped_bit_of_sealed_and_prepared_segments_is_refused) {
    MemStorage storage;
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 5; ++i) log.write(3000);
    log.close();
    ASSERT_TRUE(storage.exists(segment_name(3))) << "prepared";
    for (uint64_t id = 1; id <= 3; ++id) expect_every_flip_refused(storage, segment_name(id), 13);
}

TEST(LogRecovery, every_flipped_bit_is_refused_where_a_sector_of_payload_is_nearly_zero) {
    // Without the mask the sector of a single bit would turn into one that looks unwritten, and the
    // one of zeros would make any other flip in the batch look like a torn write: both would be
    // cut.
    constexpr size_t third_sector = 3 * kSector - sizeof(BatchHeader) - sizeof(RecordHeader);
    for (const uint8_t only_byte : {0x10, 0x00}) {
        MemStorage storage;
        TestLog log(storage, small_segments(kBlocks));
        ASSERT_TRUE(log.open());
        Buffer payload = payload_of(1, 3000);
        memset(payload.data() + third_sector, 0, kSector);
        payload[third_sector + 100] = only_byte;
        log.append(payload);
        log.start_sync();
        storage.run();
        log.close();
        expect_every_flip_refused(storage, segment_name(1), 1);
    }
}

class LogDamage : public testing::Test {
protected:
    /// Three segments with events 1–3, 4–6 and 7–8, and a prepared one.
    void SetUp() override {
        TestLog log(storage, small_segments(kBlocks));
        ASSERT_TRUE(log.open());
        for (int i = 0; i < 8; ++i) log.write(3000);
        log.close();
        ASSERT_TRUE(storage.exists(segment_name(4)));
        ASSERT_EQ(refusal_of(storage), "");
    }
    std::span<uint8_t> block(uint64_t id, size_t number) {
        return std::span(storage.bytes(segment_name(id))).subspan(number * kBlock, kBlock);
    }
    void copy_block(std::span<uint8_t> from, std::span<uint8_t> into) {
        memcpy(into.data(), from.data(), kBlock);
    }
    void zero(std::span<uint8_t> bytes) { memset(bytes.data(), 0, bytes.size()); }

    MemStorage storage;
};

TEST_F(LogDamage, message_names_segment_position_and_what_to_do) {
    block(2, 1)[200] ^= 1;
    EXPECT_EQ(
        refusal_of(storage),
        "log segment-0000000000000002 at byte 4096: the checksum of the batch does not match; "
        "the file was left as it is. It may hold acknowledged events: restore the file "
        "from a copy, or move the whole log directory aside to begin with an empty log");
}

TEST_F(LogDamage, missing_segment_is_refused) {
    ASSERT_TRUE(storage.remove(segment_name(2)));
    expect_refused_with(storage, "log segment-0000000000000002 at byte 0: the segment is missing");
}

TEST_F(LogDamage, missing_open_segment_is_refused) {
    ASSERT_TRUE(storage.remove(segment_name(3)));
    expect_refused_with(storage, "log segment-0000000000000003 at byte 0: the segment is missing");
}

TEST_F(LogDamage, missing_segments_at_the_end_are_refused_when_a_snapshot_knows_better) {
    ASSERT_TRUE(storage.remove(segment_name(4)));
    ASSERT_TRUE(storage.remove(segment_name(3)));
    storage.put(numbered_name(kSnapshotPrefix, 6), Buffer(kBlock));
    EXPECT_EQ(refusal_of(storage), "");
    storage.put(numbered_name(kSnapshotPrefix, 7), Buffer(kBlock));
    expect_refused_with(storage, "the newest segments are missing");
}

TEST_F(LogDamage, all_segments_but_the_prepared_one_missing_is_refused) {
    for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(storage.remove(segment_name(id)));
    expect_refused_with(storage, "those before it are missing");
}

TEST_F(LogDamage, exchanged_segments_are_refused) {
    ASSERT_TRUE(storage.rename(segment_name(1), "aside"));
    ASSERT_TRUE(storage.rename(segment_name(2), segment_name(1)));
    ASSERT_TRUE(storage.rename("aside", segment_name(2)));
    expect_refused_with(storage, "says that this is segment-000000000000000");
}

TEST_F(LogDamage, segment_of_another_log_is_refused) {
    MemStorage other;
    LogOptions options = small_segments(kBlocks);
    options.new_log_id = 99;
    TestLog log(other, options);
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 8; ++i) log.write(3000);
    storage.put(segment_name(2), other.bytes(segment_name(2)));
    expect_refused_with(
        storage, "log segment-0000000000000002 at byte 0: the segment belongs to another log");
}

TEST_F(LogDamage, missing_batch_is_refused) {
    zero(block(3, 1));
    expect_refused_with(
        storage, "log segment-0000000000000003 at byte 4096: a batch is missing, though another");
}

TEST_F(LogDamage, missing_batch_at_the_end_of_a_sealed_segment_is_refused) {
    zero(block(2, 3));
    expect_refused_with(
        storage,
        "log segment-0000000000000002 at byte 12288: a batch is missing, expected was one from "
        "seq 6");
}

TEST_F(LogDamage, missing_segment_header_is_refused) {
    zero(block(2, 0));
    expect_refused_with(storage,
                        "segment-0000000000000002 at byte 0: the segment header is missing");
}

TEST_F(LogDamage, missing_header_of_the_open_segment_is_refused) {
    zero(block(3, 0));
    expect_refused_with(
        storage, "segment-0000000000000003 at byte 4096: no valid batch, though something follows");
}

TEST_F(LogDamage, exchanged_batches_are_refused) {
    Buffer aside(block(3, 1).begin(), block(3, 1).end());
    copy_block(block(3, 2), block(3, 1));
    copy_block(aside, block(3, 2));
    expect_refused_with(storage, "at byte 4096: the batch begins with seq 8, expected was 7");
}

TEST_F(LogDamage, repeated_batch_is_refused) {
    copy_block(block(3, 2), block(3, 3));
    expect_refused_with(storage, "at byte 12288: the batch begins with seq 8, expected was 9");
}

TEST_F(LogDamage, batch_of_another_segment_is_refused) {
    copy_block(block(2, 1), block(3, 3));
    expect_refused_with(storage, "at byte 12288: this batch belongs to segment-0000000000000002");
}

TEST_F(LogDamage, batch_of_another_log_is_refused) {
    MemStorage other;
    LogOptions options = small_segments(kBlocks);
    options.new_log_id = 99;
    TestLog log(other, options);
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 8; ++i) log.write(3000);
    copy_block(std::span(other.bytes(segment_name(3))).subspan(2 * kBlock, kBlock), block(3, 2));
    expect_refused_with(storage, "at byte 8192: this batch belongs to another log");
}

TEST_F(LogDamage, torn_looking_batch_before_the_last_segment_is_refused) {
    zero(block(2, 3).subspan(kSector, kSector));
    expect_refused_with(
        storage,
        "log segment-0000000000000002 at byte 12288: the checksum of the batch does not match");
}

TEST_F(LogDamage, torn_looking_batch_before_a_valid_one_is_refused) {
    zero(block(3, 1).subspan(kSector, kSector));
    expect_refused_with(
        storage, "log segment-0000000000000003 at byte 4096: no valid batch, though something");
}

TEST_F(LogDamage, torn_tails_in_two_segments_are_refused) {
    // Only one write is ever under way.
    zero(block(3, 2).subspan(kSector, kSector));
    copy_block(block(3, 1), block(4, 1));
    expect_refused_with(storage, "log segment-0000000000000003 at byte 8192: no valid batch");
}

TEST_F(LogDamage, shortened_or_lengthened_segment_is_refused) {
    storage.bytes(segment_name(2)).resize(3 * kBlock);
    expect_refused_with(storage, "the file has 12288 bytes, its header says 16384");
    storage.bytes(segment_name(2)).resize(5 * kBlock);
    expect_refused_with(storage, "the file has 20480 bytes, its header says 16384");
    storage.bytes(segment_name(2)).resize(100);
    expect_refused_with(storage, "segment-0000000000000002 at byte 100: the file ends here");
}

TEST_F(LogDamage, newer_format_is_refused_as_such) {
    auto header = block(1, 0);
    SegmentHeader changed;
    memcpy(&changed, header.data(), sizeof changed);
    changed.version = kFormatVersion + 1;
    encode_segment_header(changed, header);
    expect_refused_with(storage, "format 3 was written by another noded, this one reads up to 2");
}

TEST_F(LogDamage, behind_the_last_batch_of_a_sealed_segment_is_refused) {
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    log.append(6000);
    log.append(6000);
    log.start_sync();
    storage.run();
    log.close();
    ASSERT_EQ(refusal_of(storage), "");
    block(3, 3)[100] ^= 1;
    expect_refused_with(
        storage, "log segment-0000000000000003 at byte 12288: no valid batch, though something");
}

TEST_F(LogDamage, of_sealed_history_is_refused_by_reading_it_and_not_before) {
    block(1, 2)[100] ^= 4;
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(4).size(), 5u) << "what a snapshot of seq 3 does not cover";
    const Status status = log->read(1, [](const Record&) { return true; });
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("log segment-0000000000000001 at byte 8192: "),
              std::string::npos)
        << status.error().message;
}

TEST_F(LogDamage, segments_that_begin_in_the_wrong_order_are_refused) {
    SegmentHeader changed;
    memcpy(&changed, block(2, 0).data(), sizeof changed);
    changed.first_seq = 1;
    encode_segment_header(changed, block(2, 0));
    expect_refused_with(storage,
                        "segment-0000000000000002 at byte 0: the segment begins with seq 1");
}

TEST_F(LogDamage, since_opening_is_refused_by_reading) {
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    block(2, 2)[100] ^= 4;
    std::vector<uint64_t> seqs;
    const Status status =
        log->read(3, [&](const Record& record) { return seqs.push_back(record.seq), true; });
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find(
                  "log segment-0000000000000002 at byte 8192: the checksum of the batch"),
              std::string::npos)
        << status.error().message;
    EXPECT_EQ(seqs, (std::vector<uint64_t>{3, 4}));
}

/// A log with a segment that is far larger than a batch, and one prepared.
class LogFarBehindEnd : public testing::Test {
protected:
    static constexpr uint64_t kSegment = 4 * limits::log_batch_bytes_max;

    LogFarBehindEnd() {
        EXPECT_TRUE(log.open());
        while (image_of(storage).size() < 3) log.write(limits::log_payload_bytes_max);
        log.close();
    }
    void damage(const std::string& segment) {
        Buffer content = storage.bytes(segment);
        ASSERT_EQ(content.size(), kSegment);
        content[kSegment - kBlock + 100] = 7;
        storage.put(segment, content);
    }
    Status open_without_looking() {
        std::string notice;
        opened = open_log(storage, &notice, {kSegment, kTestLogId});
        return opened ? Status() : std::unexpected(opened.error());
    }

    MemStorage storage;
    TestLog log{storage, {kSegment, kTestLogId}};
    Result<std::unique_ptr<Log>> opened = fail("not yet");
};

TEST_F(LogFarBehindEnd, nothing_is_written_before_it_was_seen_to_be_zeros) {
    ASSERT_TRUE(open_without_looking());
    Log& again = **opened;
    const auto before = image_of(storage);
    storage.hold_preparations(true);
    again.append(record_of(again.next_seq(), payload_of(again.next_seq(), 64)));
    again.sync(log);
    EXPECT_TRUE(again.sync_under_way());
    storage.run();
    EXPECT_EQ(image_of(storage), before);
    storage.hold_preparations(false);
    storage.run();
    EXPECT_EQ(log.durable_seq, again.next_seq() - 1);
    EXPECT_NE(image_of(storage), before);
}

TEST_F(LogFarBehindEnd, damage_is_told_and_nothing_is_written) {
    for (const std::string& segment : {segment_name(2), segment_name(3)}) {
        const auto whole = image_of(storage);
        damage(segment);
        ASSERT_TRUE(open_without_looking());
        const auto before = image_of(storage);
        Log& again = **opened;
        again.append(record_of(again.next_seq(), payload_of(again.next_seq(), 64)));
        again.sync(log);
        storage.run();
        const Status sound = again.sound();
        ASSERT_FALSE(sound);
        EXPECT_NE(sound.error().message.find(segment), std::string::npos) << sound.error().message;
        EXPECT_TRUE(again.sync_under_way());
        EXPECT_EQ(image_of(storage), before);
        restore(storage, whole);
    }
}

TEST_F(LogFarBehindEnd, nothing_is_written_after_damage_was_seen) {
    damage(segment_name(3));
    ASSERT_TRUE(open_without_looking());
    storage.run();
    Log& again = **opened;
    EXPECT_FALSE(again.sound());
    const auto before = image_of(storage);
    again.append(record_of(again.next_seq(), payload_of(again.next_seq(), 64)));
    again.sync(log);
    storage.run();
    EXPECT_EQ(image_of(storage), before);
}

TEST_F(LogFarBehindEnd, is_looked_at_in_line_when_no_lane_is_free) {
    damage(segment_name(3));
    storage.refuse_preparations(true);
    EXPECT_FALSE(open_without_looking());
}

TEST_F(LogFarBehindEnd, a_reader_that_repairs_nothing_looks_at_all) {
    damage(segment_name(3));
    std::string notice;
    EXPECT_FALSE(recover(storage, Repair::no, &notice));
}

TEST(LogRecovery, leftovers_of_a_crash_are_removed_and_strange_files_left_alone) {
    MemStorage storage;
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 3; ++i) log.write(3000);
    storage.put(segment_name(3) + kUnfinishedSuffix, Buffer(kBlock));
    storage.put(segment_name(3) + ".now" + kUnfinishedSuffix, Buffer(kBlock));
    storage.put(kRecycledName, Buffer(7 * kBlock, 1));
    storage.put("notes", Buffer(5, 1));
    storage.put("segment-1", Buffer(5, 1));
    ASSERT_TRUE(log.open());
    EXPECT_FALSE(storage.exists(segment_name(3) + kUnfinishedSuffix));
    EXPECT_FALSE(storage.exists(segment_name(3) + ".now" + kUnfinishedSuffix));
    EXPECT_TRUE(storage.exists("notes"));
    EXPECT_TRUE(storage.exists("segment-1"));
    for (int i = 0; i < 6; ++i) log.write(3000);
    EXPECT_FALSE(storage.exists(kRecycledName)) << "it became a segment";
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 9u);
}

TEST(LogRecovery, second_prepared_segment_is_removed) {
    MemStorage storage;
    TestLog log(storage, small_segments(kBlocks));
    ASSERT_TRUE(log.open());
    log.write(3000);
    storage.put(segment_name(3), Buffer(kBlocks * kBlock));
    ASSERT_TRUE(log.open());
    EXPECT_TRUE(storage.exists(segment_name(2)));
    EXPECT_FALSE(storage.exists(segment_name(3)));
    for (int i = 0; i < 9; ++i) log.write(3000);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 10u);
}

}  // namespace
}  // namespace noded::log
