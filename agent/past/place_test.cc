// Tests of where a moment lies: by seq and by time, from which snapshot, and what is said when it
// cannot be known.
#include "agent/past/place.h"

#include <gtest/gtest.h>

#include "agent/log/test_log.h"

namespace noded::past {
namespace {

constexpr int64_t kNow = 2'000'000'000;

/// Events at 1,000,001 ns, 1,000,002 ns and so on.
struct Place_ : ::testing::Test {
    log::MemStorage storage;
    log::TestLog log{storage};
    uint64_t last = 0;

    void write(int count) {
        for (int i = 0; i < count; ++i) last = log.write(3000);
    }
    void snapshot(uint64_t seq) { ASSERT_TRUE(log::write_snapshot(storage, seq, {})); }
    std::string error(const Moment& moment) {
        const auto place = find_place(storage, moment, last, kNow);
        return place ? "" : place.error().message;
    }
    Place at(const Moment& moment) {
        auto place = find_place(storage, moment, last, kNow);
        EXPECT_TRUE(place) << place.error().message;
        return place ? std::move(*place) : Place{};
    }
    void SetUp() override { ASSERT_TRUE(log.open()); }
};

TEST_F(Place_, a_time_is_the_state_after_all_that_was_decided_by_then) {
    write(20);
    EXPECT_EQ(at(Moment::time(1'000'007)).seq, 7u);
    EXPECT_EQ(at(Moment::time(1'000'020)).seq, 20u);
    EXPECT_EQ(at(Moment::time(kNow)).seq, 20u);
    EXPECT_EQ(at(Moment::time(kNow)).time_ns, kNow);
    EXPECT_EQ(at(Moment::seq(7)).time_ns, 1'000'007);
    EXPECT_EQ(at(Moment::seq(0)).time_ns, 1'000'001);
    EXPECT_NE(error(Moment::time(kNow + 1)).find("has not come yet"), std::string::npos);
    EXPECT_EQ(error(Moment::time(1'000'000)),
              "1970-01-01T00:00:00Z is before the history that is kept: it begins with seq 1 of "
              "1970-01-01T00:00:00Z");
}

TEST_F(Place_, the_newest_snapshot_that_is_not_newer_is_folded_from) {
    write(20);
    snapshot(5);
    snapshot(12);
    EXPECT_FALSE(at(Moment::seq(4)).snapshot);
    EXPECT_EQ(at(Moment::seq(5)).snapshot->seq, 5u);
    EXPECT_EQ(at(Moment::seq(11)).snapshot->seq, 5u);
    EXPECT_EQ(at(Moment::seq(20)).snapshot->seq, 12u);
}

TEST_F(Place_, what_has_not_happened_is_refused) {
    write(3);
    EXPECT_EQ(error(Moment::seq(4)), "there is no event 4 yet: the log ends with seq 3");
}

TEST_F(Place_, where_the_beginning_is_gone_the_past_begins_with_the_oldest_snapshot_that_is_left) {
    write(40);
    snapshot(2);
    snapshot(30);
    ASSERT_TRUE(log->release_before(31));
    storage.run();
    const uint64_t oldest = log->oldest_seq();
    ASSERT_GT(oldest, 3u);
    ASSERT_LE(oldest, 31u);
    EXPECT_EQ(at(Moment::seq(35)).snapshot->seq, 30u);
    EXPECT_EQ(at(Moment::seq(30)).oldest, oldest);
    EXPECT_EQ(error(Moment::seq(29)),
              "seq 29 is before the history that is kept: it begins with seq 30 of "
              "1970-01-01T00:00:00Z");
    // The snapshot of 2 does not lead across what is gone.
    EXPECT_NE(error(Moment::seq(2)), "");
}

TEST_F(Place_, an_empty_log_knows_what_was_before_its_first_event) {
    EXPECT_EQ(at(Moment::seq(0)).seq, 0u);
    EXPECT_NE(error(Moment::time(5)), "");
}

}  // namespace
}  // namespace noded::past
