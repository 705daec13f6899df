// Archives: what is archived is read as it was, damage is told with its place, and what a crash
// leaves is nothing or a whole one.
#include "agent/log/archive.h"

#include <zstd.h>

#include "agent/base/crc32c.h"
#include "agent/log/beside.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

constexpr size_t kFrame = limits::archive_frame_bytes;

std::string archive_of(MemStorage& storage, uint64_t segment_id) {
    const auto names = *storage.list();
    for (const std::string& name : names) {
        const auto found = archive_in_file(name);
        if (found && found->segment_id == segment_id) return name;
    }
    return "";
}

/// Three segments of two and a half frames, the first of them archived and released.
struct Archived : testing::Test {
    void SetUp() override {
        ASSERT_TRUE(log.open());
        while (!storage.exists(segment_name(4))) log.write(20'000);
        content = storage.bytes(segment_name(1));
        last = log->kept(0).front().last_seq;
        const auto made = make_archive(storage, 1, last);
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_EQ(made->damage, "");
        file = archive_of(storage, 1);
        EXPECT_EQ(made->bytes, storage.bytes(file).size());
        log->archived(1, made->bytes);
        ASSERT_TRUE(log->release_before(last + 1));
        storage.run();
        ASSERT_FALSE(storage.exists(segment_name(1)));
    }

    Status read_all() {
        return log->read(1, [](const Record&) { return true; });
    }

    MemStorage storage;
    TestLog log{storage, {5 * kFrame / 2, kTestLogId}};
    Buffer content;   ///< of the first segment
    uint64_t last = 0;
    std::string file;
};

TEST_F(Archived, segment_is_read_as_it_was_also_after_a_start) {
    const auto before = log.read(1);
    EXPECT_EQ(before.size(), log->durable_seq());
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.notice, "");
    EXPECT_EQ(log->oldest_seq(), 1u);
    EXPECT_EQ(log.read(1), before);
    for (const auto& [seq, payload] : log.read(last - 20))
        EXPECT_EQ(payload, payload_of(seq, 20'000));
    EXPECT_EQ(*log->seq_at(1'000'000 + 7), 7u);
    EXPECT_EQ(*log->seq_at(1'000'000 + static_cast<int64_t>(last) + 2), last + 2);
    const auto beside = open_log_beside(storage, last + 1);
    ASSERT_TRUE(beside) << beside.error().message;
    EXPECT_EQ((*beside)->oldest_seq(), 1u);
    uint64_t count = 0;
    EXPECT_TRUE((*beside)->read(1, [&](const Record&) { return ++count, true; }));
    EXPECT_EQ(count, last + 1);
}

TEST_F(Archived, log_beside_ends_where_it_is_told_also_within_an_archive) {
    for (const uint64_t end : {uint64_t{1}, uint64_t{10}, last - 1, last}) {
        const auto beside = open_log_beside(storage, end);
        ASSERT_TRUE(beside) << beside.error().message;
        EXPECT_EQ((*beside)->oldest_seq(), 1u);
        uint64_t count = 0;
        const Status read = (*beside)->read(1, [&](const Record&) { return ++count, true; });
        EXPECT_TRUE(read) << read.error().message;
        EXPECT_EQ(count, end);
        EXPECT_EQ(*(*beside)->seq_at(INT64_MAX), end + 1);
    }
}

TEST_F(Archived, bytes_are_those_of_a_plain_zstd_file) {
    const Buffer& bytes = storage.bytes(file);
    EXPECT_EQ(bytes.size() % kBlock, 0u);
    Buffer unpacked(content.size());
    EXPECT_EQ(ZSTD_decompress(unpacked.data(), unpacked.size(), bytes.data(), bytes.size()),
              content.size());
    EXPECT_TRUE(unpacked == content);
}

TEST_F(Archived, every_flipped_bit_is_told_with_archive_and_place) {
    const Buffer whole = storage.bytes(file);
    const auto archive = *Archive::open(storage, file, *archive_in_file(file));
    const ArchiveHeader header = archive->header();
    uint64_t frames_end = header.header_bytes;
    for (const ArchiveFrame& frame : archive->frames()) frames_end += frame.bytes;
    // Header, table, the zeros behind it; frames, and what follows them.
    std::vector<size_t> places{0, 4, 9, 20, 40, 60, 90, 97, 110, 125, 128, 140, 150, 190, 4000};
    for (size_t at = header.header_bytes; at < frames_end; at += 9973) places.push_back(at);
    for (size_t at = frames_end; at < whole.size(); at += 100) places.push_back(at);
    places.push_back(header.header_bytes + 4);   // zstd's own header of the frame
    places.push_back(whole.size() - 1);
    for (const size_t at : places) {
        for (const uint8_t bit : {0x01, 0x10, 0x80}) {
            storage.bytes(file)[at] ^= bit;
            const Status read = read_all();
            ASSERT_FALSE(read) << at;
            EXPECT_NE(read.error().message.find("log " + file + " at byte "), std::string::npos)
                << at << ": " << read.error().message;
            storage.bytes(file) = whole;
        }
    }
    EXPECT_TRUE(read_all());
    storage.bytes(file).resize(whole.size() - kBlock);
    EXPECT_FALSE(read_all());
}

TEST_F(Archived, damage_keeps_no_log_from_opening_nor_what_follows_from_being_read) {
    storage.bytes(file)[5000] ^= 1;
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(last + 1).size(), log->durable_seq() - last);
    EXPECT_FALSE(read_all());
}

TEST_F(Archived, one_of_another_log_is_refused) {
    storage.put(archive_file({1, 1, last}), storage.bytes(file));
    Buffer& bytes = storage.bytes(file);
    bytes[24] ^= 1;   // the log id, with its checksum put right
    const uint32_t crc = crc32c({bytes.data(), 124});
    memcpy(bytes.data() + 124, &crc, sizeof crc);
    const Status read = read_all();
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find("belongs to another log"), std::string::npos);
}

TEST_F(Archived, reading_near_the_end_unpacks_little) {
    ASSERT_TRUE(log.open());
    // Damage in the first frame is not met by who begins in the last one.
    storage.bytes(file)[5000] ^= 1;
    EXPECT_EQ(log.read(last - 3).size(), log->durable_seq() - last + 4);
}

TEST_F(Archived, archive_and_those_before_a_gap_are_passed_over) {
    const auto second_last = log->kept(0)[1].last_seq;
    ASSERT_TRUE(make_archive(storage, 2, second_last));
    storage.put(archive_file({1, 1, last - 1}), storage.bytes(file));
    ASSERT_TRUE(storage.remove(file));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.notice, archive_file({1, 1, last - 1}) +
                              " is passed over, and what is older: nothing leads on from it to the "
                              "log");
    EXPECT_EQ(log->oldest_seq(), last + 1);
    EXPECT_EQ(log->kept(0).front().archive_bytes,
              storage.bytes(archive_of(storage, 2)).size());
}

TEST_F(Archived, they_are_removed_oldest_first_and_history_begins_behind_them) {
    EXPECT_FALSE(log->remove_archive(2));
    ASSERT_TRUE(log->remove_archive(1));
    EXPECT_EQ(log->oldest_seq(), last + 1);
    EXPECT_FALSE(storage.exists(file));
    EXPECT_EQ(log->read(1, [](const Record&) { return true; }).error().code, ENOENT);
}

TEST_F(Archived, a_segment_without_one_does_not_leave_a_gap_behind_it) {
    const uint64_t second_last = log->kept(0)[1].last_seq;
    EXPECT_FALSE(log->release_before(second_last + 1));
    EXPECT_TRUE(storage.exists(segment_name(2)));
    EXPECT_TRUE(read_all());
}

TEST_F(Archived, damaged_segment_is_archived_as_it_is) {
    const uint64_t second_last = log->kept(0)[1].last_seq;
    storage.bytes(segment_name(2))[3 * kBlock + 700] ^= 1;
    const Buffer damaged = storage.bytes(segment_name(2));
    const auto made = make_archive(storage, 2, second_last);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_NE(made->damage.find(segment_name(2) + " at byte "), std::string::npos);
    const auto archive = *Archive::open(storage, archive_of(storage, 2),
                                        {2, last + 1, second_last});
    AlignedBuffer read(damaged.size());
    ASSERT_EQ(*archive->read_at(0, read.span(0, read.size())), damaged.size());
    EXPECT_EQ(memcmp(read.data(), damaged.data(), damaged.size()), 0);
}

TEST_F(Archived, a_crash_at_any_instant_leaves_nothing_or_a_whole_one) {
    const uint64_t second_last = log->kept(0)[1].last_seq;
    const auto before = image_of(storage);
    struct PowerFails {};
    size_t changes = 0;
    for (bool ended = false; !ended; ++changes) {
        size_t left = changes;
        storage.before_change([&] {
            if (left-- == 0) throw PowerFails();
        });
        try {
            ended = make_archive(storage, 2, second_last).has_value();
        } catch (const PowerFails&) {
        }
        storage.before_change(nullptr);
        ASSERT_TRUE(log.open()) << changes;
        const auto names = *storage.list();
        for (const std::string& name : names)
            EXPECT_FALSE(name.ends_with(kUnfinishedSuffix)) << name;
        EXPECT_EQ(log->kept(0)[1].archive_bytes != 0, ended) << changes;
        EXPECT_TRUE(read_all());
        if (!ended) {
            for (const auto& [name, bytes] : before)
                ASSERT_TRUE(storage.exists(name) && storage.bytes(name) == bytes) << name;
        }
    }
    EXPECT_GE(changes, 4u) << "the file, its frames, its header, its name";
}

TEST_F(Archived, lack_of_space_leaves_nothing) {
    const uint64_t second_last = log->kept(0)[1].last_seq;
    const auto before = image_of(storage);
    storage.limit({UINT64_MAX, 0, storage.bytes(file).size() + kBlock});
    const auto made = make_archive(storage, 2, second_last);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, EDQUOT);
    EXPECT_EQ(image_of(storage), before);
}

TEST(ArchiveName, is_read_as_it_is_written) {
    const std::string file = archive_file({0xAB, 1, 0x1F});
    EXPECT_EQ(file,
              "archive/segment-00000000000000ab-0000000000000001-000000000000001f.zst");
    const auto name = archive_in_file(file);
    ASSERT_TRUE(name);
    EXPECT_EQ(name->segment_id, 0xABu);
    EXPECT_EQ(name->last_seq, 0x1Fu);
    for (const std::string bad :
         {file + "x", file.substr(8), file.substr(0, file.size() - 1), std::string("archive/"),
          archive_file({1, 3, 2}), file + ".unfinished"}) {
        EXPECT_FALSE(archive_in_file(bad)) << bad;
    }
}

}  // namespace
}  // namespace noded::log
