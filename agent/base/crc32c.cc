// CRC-32C by the SSE 4.2 instruction where the processor has it, by table elsewhere; see crc32c.h.
#include "agent/base/crc32c.h"

#include <array>
#include <cstring>

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
__attribute__((target("sse4.2"))) uint32_t crc_sse42(Bytes data, uint32_t crc) {
    uint64_t wide = crc;
    size_t at = 0;
    for (; at + 8 <= data.size(); at += 8) {
        uint64_t word;
        memcpy(&word, data.data() + at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    auto narrow = static_cast<uint32_t>(wide);
    for (; at < data.size(); ++at) narrow = __builtin_ia32_crc32qi(narrow, data[at]);
    return narrow;
}
#endif

}  // namespace

uint32_t crc32c(Bytes data, uint32_t seed) {
    const uint32_t start = ~seed;
#if defined(__x86_64__)
    static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
    if (has_sse42) return ~crc_sse42(data, start);
#endif
    return ~crc_portable(data, start);
}

}  // namespace noded
