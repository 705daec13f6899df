#include <gtest/gtest.h>

#include <array>

#include "agent/base/bytes.h"
#include "agent/base/crc32c.h"
#include "agent/base/ids.h"
#include "agent/base/number.h"
#include "agent/base/result.h"

namespace noded {

TEST(Number, is_all_of_a_text_and_fits) {
    uint8_t number = 0;
    EXPECT_TRUE(to_number("255", number));
    EXPECT_EQ(number, 255);
    for (const char* text : {"", "256", "-1", "+1", " 1", "1 ", "1x", "x"})
        EXPECT_FALSE(to_number(text, number)) << text;
    int with_sign = 0;
    EXPECT_TRUE(to_number("-12", with_sign));
    EXPECT_EQ(with_sign, -12);
}

TEST(Crc32c, agrees_with_the_test_vectors_of_rfc_3720) {
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
    const std::array<uint8_t, 32> zeros{};
    EXPECT_EQ(crc32c(zeros), 0x8A9136AAu);
}

TEST(Crc32c, of_two_parts_equals_that_of_the_whole) {
    const std::string text = "the log is the system, all else is a fold over it";
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        const uint32_t first = crc32c(as_bytes(text).subspan(0, cut));
        EXPECT_EQ(crc32c(as_bytes(text).subspan(cut), first), crc32c(as_bytes(text)));
    }
}

TEST(Crc32c, of_long_data_equals_that_of_its_bytes_one_by_one) {
    std::vector<uint8_t> data(5000);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * i >> 3);
    uint32_t by_byte = 0;
    for (size_t size = 0; size < data.size(); ++size) {
        EXPECT_EQ(crc32c(Bytes(data).first(size)), by_byte) << size << " bytes";
        by_byte = crc32c(Bytes(data).subspan(size, 1), by_byte);
    }
}

TEST(Hex, survives_the_round_trip_and_refuses_what_is_not_hex) {
    CommandId id;
    for (size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<uint8_t>(i * 7);
    CommandId back;
    ASSERT_TRUE(from_hex(id.hex(), back.bytes));
    EXPECT_EQ(id, back);
    EXPECT_FALSE(from_hex("zz", std::span(back.bytes).subspan(0, 1)));
    EXPECT_FALSE(from_hex("abc", std::span(back.bytes).subspan(0, 1)));
}

static Result<int> doubled(Result<int> input) { return TRY(input) * 2; }

TEST(Result, try_unwraps_or_returns_the_error) {
    EXPECT_EQ(*doubled(21), 42);
    const auto failed = doubled(fail_errno(EBUSY, "mount overlay on web/rootfs"));
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().message,
              "mount overlay on web/rootfs: EBUSY (Device or resource busy)");
}

}  // namespace noded
