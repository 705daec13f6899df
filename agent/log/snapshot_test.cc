// Snapshots: what was written comes back, what is not whole is passed over and told.
#include "agent/log/snapshot.h"

#include <cerrno>

#include "agent/log/segment.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

Status write(MemStorage& storage, uint64_t seq, size_t bytes) {
    const Buffer container = payload_of(seq, bytes);
    const Buffer storage_state = payload_of(seq + 1, 40);
    const SnapshotSection sections[] = {
        {"container", container}, {"storage", storage_state}, {"stats", {}}};
    return write_snapshot(storage, seq, sections);
}

std::optional<Snapshot> load(MemStorage& storage, std::string* notice) {
    auto loaded = load_newest_snapshot(storage, notice);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return std::move(*loaded);
}

void expect_loaded(MemStorage& storage, uint64_t seq, size_t bytes) {
    std::string notice;
    const auto snapshot = load(storage, &notice);
    ASSERT_TRUE(snapshot) << notice;
    EXPECT_EQ(snapshot->seq, seq);
    ASSERT_EQ(snapshot->sections.size(), 3u);
    EXPECT_EQ(snapshot->find("container")->data, payload_of(seq, bytes));
    EXPECT_EQ(snapshot->find("storage")->data, payload_of(seq + 1, 40));
    EXPECT_TRUE(snapshot->find("stats")->data.empty());
    EXPECT_EQ(snapshot->find("network"), nullptr);
}

TEST(LogSnapshot, survives_the_round_trip_at_any_size) {
    for (const size_t bytes : {0, 1, 7, 8, 3900, 4096, 4 << 20, (9 << 20) + 3}) {
        MemStorage storage;
        ASSERT_TRUE(write(storage, 12, bytes)) << bytes;
        expect_loaded(storage, 12, bytes);
    }
}

TEST(LogSnapshot, of_nothing_is_one_and_none_is_none) {
    MemStorage storage;
    std::string notice;
    EXPECT_FALSE(load(storage, &notice));
    EXPECT_EQ(notice, "");
    ASSERT_TRUE(write_snapshot(storage, 3, {}));
    const auto snapshot = load(storage, &notice);
    ASSERT_TRUE(snapshot);
    EXPECT_EQ(snapshot->seq, 3u);
    EXPECT_TRUE(snapshot->sections.empty());
}

TEST(LogSnapshot, that_finds_no_room_leaves_nothing) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 10, 100));
    storage.limit({7 * 4096});
    const auto before = *storage.list();
    EXPECT_EQ(write(storage, 20, 100'000).error().code, EDQUOT);
    EXPECT_EQ(*storage.list(), before);
    expect_loaded(storage, 10, 100);
}

TEST(LogSnapshot, written_again_at_the_same_seq_replaces_it) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 10, 100));
    ASSERT_TRUE(write(storage, 10, 200));
    expect_loaded(storage, 10, 200);
}

TEST(LogSnapshot, with_any_bit_flipped_is_passed_over_for_the_one_before) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 10, 100));
    ASSERT_TRUE(write(storage, 20, 3000));
    Buffer& newest = storage.bytes(numbered_name(kSnapshotPrefix, 20));
    for (size_t bit = 0; bit < newest.size() * 8; ++bit) {
        newest[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        std::string notice;
        const auto snapshot = load(storage, &notice);
        ASSERT_TRUE(snapshot);
        ASSERT_EQ(snapshot->seq, 10u) << "bit " << bit;
        ASSERT_EQ(notice.find("snapshot-0000000000000014 is passed over: "), 0u) << notice;
        newest[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    expect_loaded(storage, 20, 3000);
}

TEST(LogSnapshot, with_any_sector_missing_or_cut_short_is_passed_over) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 20, 6000));
    const Buffer whole = storage.bytes(numbered_name(kSnapshotPrefix, 20));
    std::string notice;
    // The last sectors are padding and zero anyway.
    for (size_t at = 0; at < kBlock + 6000; at += kSector) {
        if (at > 0 && at < kBlock) continue;
        Buffer torn = whole;
        memset(torn.data() + at, 0, kSector);
        storage.put(numbered_name(kSnapshotPrefix, 20), torn);
        EXPECT_FALSE(load(storage, &notice)) << "sector at byte " << at;
        EXPECT_NE(notice, "");
    }
    for (size_t size = 0; size < whole.size(); size += 500) {
        storage.put(numbered_name(kSnapshotPrefix, 20),
                    Buffer(whole.begin(), whole.begin() + size));
        EXPECT_FALSE(load(storage, &notice)) << size << " bytes";
    }
}

TEST(LogSnapshot, under_a_wrong_name_is_passed_over) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 20, 100));
    ASSERT_TRUE(
        storage.rename(numbered_name(kSnapshotPrefix, 20), numbered_name(kSnapshotPrefix, 30)));
    std::string notice;
    EXPECT_FALSE(load(storage, &notice));
    EXPECT_EQ(notice, "snapshot-000000000000001e is passed over: at byte 0: it is of seq 20");
}

TEST(LogSnapshot, full_disk_leaves_the_old_one_and_the_rest_is_cleared_next_time) {
    MemStorage storage;
    ASSERT_TRUE(write(storage, 10, 100));
    storage.set_capacity(3 * kBlock);
    const Status status = write(storage, 20, 100000);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ENOSPC);
    expect_loaded(storage, 10, 100);
    storage.set_capacity(UINT64_MAX);
    ASSERT_TRUE(write(storage, 30, 100));
    EXPECT_EQ(storage.list()->size(), 2u);
    expect_loaded(storage, 30, 100);
}

TEST(LogSnapshot, larger_than_the_limit_is_refused) {
    MemStorage storage;
    const SnapshotSection sections[] = {{std::string_view("x"), {}}, {std::string(65, 'n'), {}}};
    EXPECT_FALSE(write_snapshot(storage, 1, sections));
}

TEST(LogSnapshot, lives_beside_the_log) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    const uint64_t seq = log.write(100 * kWordSize);
    ASSERT_TRUE(write(storage, seq, 50));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 1u);
    expect_loaded(storage, seq, 50);
}

}  // namespace
}  // namespace noded::log
