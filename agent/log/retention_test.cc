// What goes when: each case is a picture of what is kept, the limits, and the steps in order.
#include "agent/log/retention.h"

#include <gtest/gtest.h>

namespace noded::log {
namespace {

constexpr uint64_t kSegmentBytes = 100;
constexpr uint64_t kSnapshotBytes = 10;
constexpr uint64_t kArchiveBytes = 20;

/// Segments of ten events each, the last one open; event n is of time n.
Kept kept_of(uint64_t segments, std::vector<uint64_t> snapshots, uint64_t first_segment = 1) {
    Kept kept;
    for (uint64_t id = first_segment; id < first_segment + segments; ++id) {
        const bool open = id + 1 == first_segment + segments;
        const uint64_t last = open ? 0 : id * 10;
        kept.segments.push_back({id, id * 10 - 9, last, kSegmentBytes, 0,
                                 static_cast<int64_t>(last)});
        kept.bytes += kSegmentBytes;
    }
    for (const uint64_t seq : snapshots) {
        kept.snapshots.push_back({seq, kSnapshotBytes, true});
        kept.bytes += kSnapshotBytes;
    }
    return kept;
}

/// "-3" a segment goes, "z3" is archived, "x3" its archive goes, "s20" a snapshot goes, "!" a
/// snapshot is wanted.
std::string steps(const Kept& kept, const RetentionLimits& limits) {
    const RetentionPlan plan = what_to_release(kept, limits);
    std::string text;
    for (const Release& step : plan.steps) {
        if (!text.empty()) text += " ";
        switch (step.what) {
            case Release::What::segment: text += "-"; break;
            case Release::What::archive: text += "z"; break;
            case Release::What::old_archive: text += "x"; break;
            case Release::What::snapshot: text += "s"; break;
        }
        text += std::to_string(step.number);
    }
    return text + (plan.snapshot_wanted ? "!" : "");
}

RetentionLimits bytes_max(uint64_t bytes, uint64_t headroom = 0) {
    RetentionLimits limits;
    limits.bytes_max = bytes;
    limits.headroom = headroom;
    return limits;
}

TEST(Retention, leaves_alone_what_is_within_the_limits) {
    EXPECT_EQ(steps(kept_of(5, {45, 30}), {}), "");
    EXPECT_EQ(steps(kept_of(5, {45, 30}), bytes_max(520)), "");
    EXPECT_EQ(steps({}, bytes_max(0)), "");
}

TEST(Retention, releases_the_oldest_until_the_bytes_fit) {
    EXPECT_EQ(steps(kept_of(5, {45, 30}), bytes_max(519)), "-1");
    EXPECT_EQ(steps(kept_of(5, {45, 30}), bytes_max(420)), "-1");
    EXPECT_EQ(steps(kept_of(5, {45, 30}), bytes_max(419)), "-1 -2");
    EXPECT_EQ(steps(kept_of(5, {45, 30}), bytes_max(520, 150)), "-1 -2");
}

TEST(Retention, keeps_what_no_verified_snapshot_covers) {
    EXPECT_EQ(steps(kept_of(5, {}), bytes_max(300)), "!");
    Kept unverified = kept_of(5, {45, 30});
    for (KeptSnapshot& snapshot : unverified.snapshots) snapshot.verified = false;
    EXPECT_EQ(steps(unverified, bytes_max(300)), "!");
    EXPECT_EQ(steps(kept_of(5, {25}), bytes_max(200)), "-1 -2!") << "segment 3 holds event 26";
}

TEST(Retention, goes_beyond_the_older_of_two_snapshots_only_where_room_is_short) {
    EXPECT_EQ(steps(kept_of(6, {49, 20}), bytes_max(421)), "-1 -2") << "both stay usable";
    EXPECT_EQ(steps(kept_of(6, {49, 20}), bytes_max(419)), "-1 -2 -3");
    // Nothing else can go: the older snapshot makes room for the one that leads out.
    EXPECT_EQ(steps(kept_of(6, {35, 20}), bytes_max(100)), "-1 -2 -3 s20!");
}

TEST(Retention, releases_by_age_and_asks_for_a_snapshot_where_none_covers) {
    RetentionLimits limits;
    limits.oldest_ns = 25;
    EXPECT_EQ(steps(kept_of(5, {45, 30}), limits), "-1 -2");
    EXPECT_EQ(steps(kept_of(5, {45, 15}), limits), "-1!") << "the older one must stay usable";
    EXPECT_EQ(steps(kept_of(5, {15}), limits), "!") << "one alone is not enough for age";
    Kept unknown = kept_of(5, {45, 30});
    for (KeptSegment& segment : unknown.segments) segment.newest_ns = 0;
    EXPECT_EQ(steps(unknown, limits), "") << "of unknown age";
}

/// Of the first segments, so that `alone` of them are in their archives only.
Kept with_archives(Kept kept, size_t archived, size_t alone = 0) {
    for (size_t i = 0; i < archived; ++i) {
        kept.segments[i].archive_bytes = kArchiveBytes;
        if (i >= alone) continue;
        kept.segments[i].bytes = 0;
        kept.bytes -= kSegmentBytes;
    }
    return kept;
}

RetentionLimits archive_too(uint64_t bytes, uint64_t archive_bytes = UINT64_MAX) {
    RetentionLimits limits = bytes_max(bytes);
    limits.archive = true;
    limits.archive_bytes_max = archive_bytes;
    return limits;
}

TEST(Retention, archives_ahead_of_need_one_after_another_and_releases_only_then) {
    EXPECT_EQ(steps(kept_of(5, {45, 30}), archive_too(2000)), "") << "no room will be needed soon";
    EXPECT_EQ(steps(kept_of(5, {45, 30}), archive_too(600)), "z1");
    EXPECT_EQ(steps(with_archives(kept_of(5, {45, 30}), 1), archive_too(600)), "");
    EXPECT_EQ(steps(kept_of(5, {45, 30}), archive_too(500)), "z1") << "room is wanted, 1 waits";
    EXPECT_EQ(steps(with_archives(kept_of(5, {45, 30}), 1), archive_too(500)), "-1 z2");
    EXPECT_EQ(steps(with_archives(kept_of(5, {45, 30}), 2, 1), archive_too(400)), "-2 z3");
    EXPECT_EQ(steps(kept_of(5, {}), archive_too(499)), "z1!") << "an archive needs no snapshot";
    EXPECT_EQ(steps(kept_of(1, {}), archive_too(10)), "") << "an open segment";
}

TEST(Retention, keeps_snapshots_while_a_segment_waits_for_its_archive) {
    EXPECT_EQ(steps(kept_of(6, {35, 20}), bytes_max(100)), "-1 -2 -3 s20!");
    EXPECT_EQ(steps(kept_of(6, {35, 20}), archive_too(100)), "z1!");
    EXPECT_EQ(steps(with_archives(kept_of(6, {55, 50, 9}), 2, 2), archive_too(10'000)), "")
        << "time travel begins there, as the archives lead on from it";
}

TEST(Retention, the_oldest_archives_go_by_their_own_limit) {
    const Kept kept = with_archives(kept_of(8, {75, 70}), 4, 3);
    EXPECT_EQ(steps(kept, archive_too(2000, 4 * kArchiveBytes)), "");
    EXPECT_EQ(steps(kept, archive_too(2000, 4 * kArchiveBytes - 1)), "x1");
    EXPECT_EQ(steps(kept, archive_too(2000, 0)), "x1 x2 x3") << "4 is still in the log";
    // The next one may take as much as its segment.
    EXPECT_EQ(steps(kept, archive_too(500, 4 * kArchiveBytes + 61)), "-4 x1 x2 z5");
    EXPECT_EQ(steps(kept, bytes_max(2000)), "") << "archives that are no longer made stay";
    EXPECT_EQ(steps(kept, bytes_max(419)), "-4 x1 x2 x3 x4 -5");
}

TEST(Retention, archives_go_by_age_with_the_segments) {
    RetentionLimits limits = archive_too(10'000);
    limits.oldest_ns = 25;
    EXPECT_EQ(steps(with_archives(kept_of(6, {55, 50}), 3, 1), limits), "x1 x2 -2");
    EXPECT_EQ(steps(kept_of(6, {55, 50}), limits), "-1 -2") << "for good, so without an archive";
}

TEST(Retention, what_cannot_be_archived_goes_only_when_nothing_can_be_written_otherwise) {
    const Kept kept = with_archives(kept_of(6, {55, 50}), 2, 2);
    RetentionLimits limits = archive_too(300);
    limits.not_archived = 3;
    EXPECT_EQ(steps(kept, limits), "z3") << "tried again";
    limits.lacks_space = true;
    EXPECT_EQ(steps(kept, limits), "x1 x2 -3 z4");
    limits.archive_lacks_space = true;
    EXPECT_EQ(steps(kept, limits), "x1 z3") << "the oldest archive makes room for the next";
    EXPECT_EQ(steps(kept_of(6, {55, 50}), [&] {
                  RetentionLimits first = limits;
                  first.not_archived = 1;
                  return first;
              }()),
              "-1 z2");
}

TEST(Retention, archives_make_room_for_the_log_only_on_a_full_disk) {
    const Kept kept = with_archives(kept_of(4, {5}, 1), 2, 2);
    RetentionLimits limits = archive_too(10'000);
    limits.lacks_space = true;
    EXPECT_EQ(steps(kept, limits), "!");
    limits.disk_is_full = true;
    limits.archive = false;
    EXPECT_EQ(steps(kept, limits), "x1!");
}

TEST(Retention, asks_for_room_when_the_disk_has_none_whatever_the_sums_say) {
    RetentionLimits limits;
    limits.lacks_space = true;
    EXPECT_EQ(steps(kept_of(5, {45, 30}), limits), "-1");
    EXPECT_EQ(steps(kept_of(5, {}), limits), "!");
    EXPECT_EQ(steps(kept_of(1, {}), limits), "") << "a snapshot would not help";
}

TEST(Retention, thins_snapshots_out_with_age) {
    EXPECT_EQ(steps(kept_of(2, {10, 9, 8, 7}, 1), {}), "");
    EXPECT_EQ(steps(kept_of(2, {10, 9, 8, 7, 6}, 1), {}), "s7");
    // Taken one after another, few stay, and the first of them always.
    Kept kept = kept_of(101, {});
    for (uint64_t seq = 1; seq <= 1000; ++seq) {
        kept.snapshots.insert(kept.snapshots.begin(), KeptSnapshot{seq, 1, true});
        for (const Release& step : what_to_release(kept, {}).steps) {
            ASSERT_EQ(step.what, Release::What::snapshot);
            std::erase_if(kept.snapshots,
                          [&](const KeptSnapshot& s) { return s.seq == step.number; });
        }
        ASSERT_EQ(kept.snapshots.back().seq, 1u);
        ASSERT_EQ(kept.snapshots.front().seq, seq);
        if (seq > 1) ASSERT_EQ(kept.snapshots[1].seq, seq - 1);
    }
    EXPECT_LE(kept.snapshots.size(), 20u);
    EXPECT_GE(kept.snapshots.size(), 8u);
}

TEST(Retention, snapshots_that_the_log_does_not_lead_on_from_go) {
    EXPECT_EQ(steps(kept_of(3, {75, 70, 49}, 6), {}), "s49") << "segment 6 begins with 51";
    EXPECT_EQ(steps(kept_of(3, {75, 70, 50}, 6), {}), "");
    EXPECT_EQ(steps(kept_of(3, {75, 40}, 6), {}), "") << "the two newest stay";
}

TEST(Retention, old_snapshots_take_no_more_than_a_quarter) {
    Kept kept = kept_of(2, {10, 9, 8, 1}, 1);
    EXPECT_EQ(steps(kept, bytes_max(10'000)), "");
    for (KeptSnapshot& snapshot : kept.snapshots) snapshot.bytes = 1500;
    kept.bytes = 6200;
    EXPECT_EQ(steps(kept, bytes_max(10'000)), "s8");
    EXPECT_EQ(steps(kept, bytes_max(5'900)), "s8 s1");
}

}  // namespace
}  // namespace noded::log
