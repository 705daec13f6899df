// The keeper over a log in memory: what is within which limit, and what stands in for what goes.
#include "agent/log/keeper.h"

#include <random>

#include "agent/log/archive.h"
#include "agent/log/snapshot.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

constexpr uint64_t kSegment = limits::log_segment_bytes_min;
constexpr size_t kPayload = 60'000;

struct StillClock final : Clock {
    int64_t monotonic_ns() const override { return now; }
    int64_t realtime_ns() const override { return now; }
    int64_t now = 1'000'000'000'000;
};

/// A noded in small: commands are refused where there is no room, snapshots are written when they
/// are asked for.
class KeptLog {
public:
    explicit KeptLog(const KeeperOptions& options) : options_(options) {}

    Status open() {
        keeper_.reset();
        storage.limit(TRY(space_at_start(storage, options_)));
        TRY_STATUS(log.open());
        keeper_.emplace(storage, *log, clock, options_);
        return {};
    }
    void options(const KeeperOptions& options) { options_ = options; }

    /// False if it is refused.
    bool command() {
        const bool accepted = log->ensure_room(kPayload).has_value();
        if (accepted) {
            log.append(random_payload());
            log.start_sync();
            storage.run();
        }
        turn();
        return accepted;
    }
    void turn() {
        clock.now += 10'000'000;
        keeper_->turn_end();
        storage.run();
        if (keeper_->snapshot_wanted() && snapshot_seq_ != log->durable_seq()) {
            snapshot_seq_ = log->durable_seq();
            const Buffer state(100);
            const SnapshotSection sections[] = {{"container", state}};
            if (write_snapshot(storage, snapshot_seq_, sections)) keeper_->verified(snapshot_seq_);
        }
        uint64_t logs = 0, archives = 0;
        const auto files = *storage.sizes();
        for (const FileSize& file : files)
            (is_in_archive(file.name) ? archives : logs) += file.bytes;
        most_bytes = std::max(most_bytes, logs);
        most_archive_bytes = std::max(most_archive_bytes, archives);
    }
    /// How many were refused.
    int load(int commands) {
        int refused = 0;
        for (int i = 0; i < commands; ++i) refused += command() ? 0 : 1;
        return refused;
    }
    Keeper& keeper() { return *keeper_; }

    MemStorage storage;
    TestLog log{storage, {kSegment, kTestLogId}};
    StillClock clock;
    uint64_t most_bytes = 0;
    uint64_t most_archive_bytes = 0;

private:
    /// An archive of it is no smaller.
    Buffer random_payload() {
        Buffer payload(kPayload);
        for (uint8_t& byte : payload) byte = static_cast<uint8_t>(random_());
        return payload;
    }

    std::minstd_rand random_;
    KeeperOptions options_;
    std::optional<Keeper> keeper_;
    uint64_t snapshot_seq_ = 0;
};

KeeperOptions small() {
    KeeperOptions options;
    options.bytes_max = limits::log_bytes_max_min;
    options.segment_bytes = kSegment;
    return options;
}

KeeperOptions with_archive(uint64_t bytes_max = UINT64_MAX) {
    KeeperOptions options = small();
    options.archive = true;
    options.archive_bytes_max = bytes_max;
    return options;
}

TEST(Keeper, a_limit_below_three_snapshots_is_told_with_what_to_set_it_to) {
    constexpr uint64_t kMiB = 1 << 20;
    EXPECT_EQ(narrow_limit(32 * kMiB, 0), "");
    EXPECT_EQ(narrow_limit(33 * kMiB, 11 * kMiB), "");
    const std::string warning = narrow_limit(32 * kMiB, 11 * kMiB);
    EXPECT_EQ(warning, "logBytesMax is 33554432 bytes, less than three times the 11534336 that a "
                       "snapshot takes, so that no room is left for a history and commands may be "
                       "refused: set logBytesMax to at least 46137344");
    EXPECT_EQ(narrow_limit(46137344, 11 * kMiB), "") << "who does as told is not told again";
}

TEST(Keeper, keeps_all_history_in_archives_within_the_limit_of_the_log) {
    KeptLog kept(with_archive());
    ASSERT_TRUE(kept.open());
    EXPECT_EQ(kept.load(1000), 0);
    EXPECT_LE(kept.most_bytes, small().bytes_max);
    EXPECT_FALSE(kept.storage.exists(segment_name(1)));
    EXPECT_EQ(kept.log.read(1).size(), 1000u);
    ASSERT_TRUE(kept.open());
    EXPECT_EQ(kept.log.read(1).size(), 1000u) << "after a restart, too";
    const auto report = kept.keeper().report();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->archive_oldest_seq, 1u);
    EXPECT_GT(report->archive_bytes, 0u);
    EXPECT_LE(report->bytes, small().bytes_max);
}

TEST(Keeper, makes_no_archive_before_it_is_needed_nor_where_none_is_wanted) {
    KeptLog kept(with_archive());
    ASSERT_TRUE(kept.open());
    kept.load(100);
    EXPECT_EQ(kept.most_archive_bytes, 0u);
    KeptLog plain(small());
    ASSERT_TRUE(plain.open());
    EXPECT_EQ(plain.load(1000), 0);
    EXPECT_EQ(plain.most_archive_bytes, 0u);
    EXPECT_GT(plain.log->oldest_seq(), 1u);
}

TEST(Keeper, holds_archives_within_their_own_limit_oldest_first) {
    constexpr uint64_t kArchives = 16 << 20;
    KeptLog kept(with_archive(kArchives));
    ASSERT_TRUE(kept.open());
    EXPECT_EQ(kept.load(3000), 0);
    EXPECT_LE(kept.most_archive_bytes, kArchives);
    EXPECT_LE(kept.most_bytes, small().bytes_max);
    const uint64_t oldest = kept.log->oldest_seq();
    EXPECT_GT(oldest, 1u);
    EXPECT_EQ(kept.log.read(oldest).size(), 3001 - oldest);
    EXPECT_EQ(kept.keeper().report()->archive_oldest_seq, oldest);
    EXPECT_GT(kept.most_archive_bytes, kArchives / 2);
}

TEST(Keeper, releases_nothing_while_its_archive_is_under_way) {
    KeptLog kept(with_archive());
    ASSERT_TRUE(kept.open());
    kept.load(300);
    kept.storage.hold_preparations(true);
    EXPECT_GT(kept.load(500), 0) << "commands are refused then";
    EXPECT_EQ(kept.log->oldest_seq(), 1u);
    kept.storage.hold_preparations(false);
    for (int i = 0; i < 10; ++i) kept.turn();
    EXPECT_EQ(kept.load(500), 0) << "and taken again afterwards";
    EXPECT_EQ(kept.log.read(1).size(), kept.log->durable_seq());
}

TEST(Keeper, takes_a_step_when_the_one_before_is_on_the_disk) {
    KeeperOptions options = small();
    options.age_max_ns = 2'000'000'000'000;
    KeptLog kept(options);
    ASSERT_TRUE(kept.open());
    ASSERT_EQ(kept.load(200), 0);
    ASSERT_EQ(kept.log->oldest_seq(), 1u);
    kept.clock.now += 2 * options.age_max_ns;
    kept.turn();   // a snapshot of now, which is the only one
    kept.storage.hold_preparations(true);
    ASSERT_TRUE(kept.command());   // and another one
    kept.turn();
    const auto after_first = kept.log->oldest_seq();
    EXPECT_GT(after_first, 1u);
    EXPECT_FALSE(kept.storage.exists(segment_name(1)));
    EXPECT_TRUE(kept.storage.exists(segment_name(2)));
    for (int i = 0; i < 3; ++i) kept.turn();
    EXPECT_EQ(kept.log->oldest_seq(), after_first);
    kept.storage.hold_preparations(false);
    for (int i = 0; i < 10; ++i) kept.turn();
    EXPECT_FALSE(kept.storage.exists(segment_name(5)));
    EXPECT_EQ(kept.load(10), 0);
}

TEST(Keeper, goes_on_without_archives_where_they_have_no_room) {
    KeptLog kept(with_archive(kBlock));
    ASSERT_TRUE(kept.open());
    EXPECT_LT(kept.load(1000), 50);
    EXPECT_GT(kept.log->oldest_seq(), 1u);
    EXPECT_LE(kept.most_archive_bytes, kBlock);
    EXPECT_EQ(kept.log.read(kept.log->oldest_seq()).size(),
              kept.log->next_seq() - kept.log->oldest_seq());
}

TEST(Keeper, archives_that_lead_nowhere_make_room_for_new_ones) {
    KeptLog kept(with_archive(2 * kSegment));
    const std::string stray = archive_file({1000, 5, 6});
    kept.storage.put(stray, Buffer(kSegment));
    ASSERT_TRUE(kept.open());
    EXPECT_LT(kept.load(1000), 50);
    EXPECT_FALSE(kept.storage.exists(stray));
    EXPECT_GT(kept.keeper().report()->archive_oldest_seq, 0u);
}

TEST(Keeper, a_limit_that_was_lowered_below_the_open_segment_is_reached_without_refusals) {
    KeptLog kept(small());
    {
        TestLog large(kept.storage, {limits::log_segment_bytes, kTestLogId});
        ASSERT_TRUE(large.open());
        while (!kept.storage.exists(segment_name(3))) large.write(kPayload);
        for (int i = 0; i < 10; ++i) large.write(kPayload);
        large.close();
    }
    ASSERT_GT(kept.storage.bytes(segment_name(2)).size(), small().bytes_max);
    ASSERT_TRUE(kept.open());
    EXPECT_EQ(kept.load(100), 0);
    EXPECT_FALSE(kept.storage.exists(segment_name(2)));
    kept.most_bytes = 0;
    EXPECT_EQ(kept.load(1000), 0);
    EXPECT_LE(kept.most_bytes, small().bytes_max);
    EXPECT_EQ(kept.keeper().bytes_max_now(), small().bytes_max);
}

}  // namespace
}  // namespace noded::log
