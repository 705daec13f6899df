// What goes when: each case is a picture of what is kept, the limits, and the steps in order.
#include "agent/log/retention.h"

#include <gtest/gtest.h>

namespace noded::log {
namespace {

constexpr uint64_t kSegmentBytes = 100;
constexpr uint64_t kSnapshotBytes = 10;

/// Segments of ten events each, the last one open; event n is of time n.
Kept kept_of(uint64_t segments, std::vector<uint64_t> snapshots, uint64_t first_segment = 1) {
    Kept kept;
    for (uint64_t id = first_segment; id < first_segment + segments; ++id) {
        const bool open = id + 1 == first_segment + segments;
        const uint64_t last = open ? 0 : id * 10;
        kept.segments.push_back({id, id * 10 - 9, last, kSegmentBytes, false,
                                 static_cast<int64_t>(last)});
        kept.bytes += kSegmentBytes;
    }
    for (const uint64_t seq : snapshots) {
        kept.snapshots.push_back({seq, kSnapshotBytes, true});
        kept.bytes += kSnapshotBytes;
    }
    return kept;
}

/// "-3" a segment goes, "z3" is archived, "s20" a snapshot goes, "!" a snapshot is wanted.
std::string steps(const Kept& kept, const RetentionLimits& limits) {
    const RetentionPlan plan = what_to_release(kept, limits);
    std::string text;
    for (const Release& step : plan.steps) {
        if (!text.empty()) text += " ";
        switch (step.what) {
            case Release::What::segment: text += "-"; break;
            case Release::What::archive: text += "z"; break;
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

TEST(Retention, archives_what_is_covered_and_stays) {
    RetentionLimits limits = bytes_max(519);
    limits.archive = true;
    EXPECT_EQ(steps(kept_of(5, {45, 30}), limits), "-1 z2 z3");
    Kept half = kept_of(5, {45, 30});
    half.segments[0].archived = half.segments[1].archived = true;
    EXPECT_EQ(steps(half, limits), "-1 z3") << "archives go first, as the oldest";
    EXPECT_EQ(steps(kept_of(5, {45, 30}), [] {
                  RetentionLimits all;
                  all.archive = true;
                  return all;
              }()),
              "z1 z2 z3");
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
