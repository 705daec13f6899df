#include "agent/core/known_commands.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <unordered_map>

#include "agent/limits.h"

namespace noded::core {
namespace {

/// The words of an id are those of one number, so that many differ in few bits.
CommandId id_of(uint64_t number) {
    CommandId id;
    memcpy(id.bytes.data() + 8 * (number % 4), &number, sizeof number);
    return id;
}

TEST(KnownCommands, are_the_newest_ones_in_their_order_and_found_whatever_went_before) {
    KnownCommands known;
    std::deque<uint64_t> expected;
    std::mt19937_64 random(7);
    EXPECT_EQ(known.find(id_of(1)), nullptr);
    for (uint64_t seq = 1; seq <= 3 * limits::command_ids_remembered_max; ++seq) {
        // Neighbours, and numbers from anywhere.
        const uint64_t number = seq % 2 == 0 ? seq : random();
        if (known.find(id_of(number)) != nullptr) continue;
        known.add({id_of(number), seq, seq + 1, 0, 5});
        expected.push_back(number);
        if (expected.size() > limits::command_ids_remembered_max) {
            EXPECT_EQ(known.find(id_of(expected.front())), nullptr);
            expected.pop_front();
        }
        const uint64_t any = expected[random() % expected.size()];
        const auto* found = known.find(id_of(any));
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(found->id, id_of(any));
        EXPECT_EQ(found->last_seq, found->first_seq + 1);
    }
    ASSERT_EQ(known.size(), limits::command_ids_remembered_max);
    known.each([&](const KnownCommands::Known& one) {
        EXPECT_EQ(one.id, id_of(expected.front()));
        EXPECT_EQ(known.find(one.id), &one);
        expected.pop_front();
    });
    known.clear();
    EXPECT_EQ(known.size(), 0u);
    EXPECT_EQ(known.find(id_of(2)), nullptr);
}

TEST(KnownCommands, of_zeros_is_one_like_any_other) {
    KnownCommands known;
    known.add({CommandId{}, 3, 3, 0, 0});
    ASSERT_NE(known.find(CommandId{}), nullptr);
    EXPECT_EQ(known.find(CommandId{})->first_seq, 3u);
}

}  // namespace
}  // namespace noded::core
