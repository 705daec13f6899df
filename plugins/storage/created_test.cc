// Times in image configs, as builders write them.
#include "plugins/storage/created.h"

#include <gtest/gtest.h>

namespace noded::storage {
namespace {

TEST(Created, fractions_and_offsets_are_counted) {
    EXPECT_EQ(parse_rfc3339_ns("1970-01-01T00:00:01Z"), 1'000'000'000);
    EXPECT_EQ(parse_rfc3339_ns("2024-05-01T12:00:00.123456789Z"), 1'714'564'800'123'456'789);
    EXPECT_EQ(parse_rfc3339_ns("2024-05-01T14:00:00.5+02:00"), 1'714'564'800'500'000'000);
    EXPECT_EQ(parse_rfc3339_ns("2024-05-01T10:30:00-01:30"), 1'714'564'800'000'000'000);
}

TEST(Created, what_is_not_a_time_is_zero) {
    for (const char* text : {"", "yesterday", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z",
                             "2024-05-01", "2024-05-01T12:00:00", "0001-01-01T00:00:00Z",
                             "2024-05-01T24:00:00Z", "2024-05-01T12:00:00+1",
                             "+024-05-01T12:00:00Z"})
        EXPECT_EQ(parse_rfc3339_ns(text), 0) << text;
}

TEST(Created, what_is_written_is_read_back) {
    EXPECT_EQ(rfc3339(1'714'564'800'000'000'007), "2024-05-01T12:00:00.000000007Z");
    EXPECT_EQ(parse_rfc3339_ns(rfc3339(1'709'164'799'123'456'789)), 1'709'164'799'123'456'789);
}

TEST(Created, a_config_that_is_no_json_has_no_time) {
    EXPECT_EQ(created_ns("{\"created\": 7}"), 0);
    EXPECT_EQ(created_ns("nonsense"), 0);
}

}  // namespace
}  // namespace noded::storage
