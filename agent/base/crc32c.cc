// CRC-32C by the SSE 4.2 instruction where the processor has it, by table elsewhere; see crc32c.h.
//
// The instruction takes three cycles and one can begin in each, so long data go in three lanes side
// by side, which are joined by a carry-less multiplication each.
#include "agent/base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace noded {

namespace {

constexpr std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
        table[i] = value;
    }
    return table;
}
constexpr auto kTable = make_table();

uint32_t crc_portable(Bytes data, uint32_t crc) {
    for (const uint8_t byte : data) crc = kTable[(crc ^ byte) & 0xFF] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
constexpr size_t kLane = 256;

/// x to the power of `n` modulo the polynomial, its bits reversed as everywhere here.
constexpr uint32_t power_of_x(size_t n) {
    uint32_t value = 0x80000000u;
    for (; n > 0; --n) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
    return value;
}

/// By what the state before so many zero bytes is multiplied to be the state after them. The
/// product has 63 bits, and the instruction that reduces it multiplies by x^32: 33 too many.
constexpr uint32_t kOneLane = power_of_x(8 * kLane - 33);
constexpr uint32_t kTwoLanes = power_of_x(16 * kLane - 33);

__attribute__((target("sse4.2,pclmul"))) uint64_t product(uint64_t state, uint32_t by) {
    const __m128i wide = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(state)),
                                              _mm_cvtsi32_si128(static_cast<int32_t>(by)), 0);
    return static_cast<uint64_t>(_mm_cvtsi128_si64(wide));
}

__attribute__((target("sse4.2"))) inline uint64_t step(uint64_t state, const uint8_t* at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return __builtin_ia32_crc32di(state, word);
}

__attribute__((target("sse4.2,pclmul"))) uint32_t crc_sse42(Bytes data, uint32_t crc) {
    uint64_t first = crc;
    const uint8_t* at = data.data();
    const uint8_t* const end = at + data.size();
    for (; static_cast<size_t>(end - at) >= 3 * kLane; at += 3 * kLane) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < kLane; i += 8) {
            first = step(first, at + i);
            second = step(second, at + kLane + i);
            third = step(third, at + 2 * kLane + i);
        }
        first = __builtin_ia32_crc32di(0, product(first, kTwoLanes) ^ product(second, kOneLane));
        first ^= third;
    }
    for (; end - at >= 8; at += 8) first = step(first, at);
    auto narrow = static_cast<uint32_t>(first);
    for (; at < end; ++at) narrow = __builtin_ia32_crc32qi(narrow, *at);
    return narrow;
}
#endif

}  // namespace

uint32_t crc32c(Bytes data, uint32_t seed) {
    const uint32_t start = ~seed;
#if defined(__x86_64__)
    static const bool has_it =
        __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    if (has_it) return ~crc_sse42(data, start);
#endif
    return ~crc_portable(data, start);
}

}  // namespace noded
