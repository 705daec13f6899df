// Spans of bytes, and the words they travel in. Payloads are Cap'n Proto messages in flat form
// (segment table, then segments), always 8-byte aligned and a whole number of words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace noded {

using Bytes = std::span<const uint8_t>;
using Buffer = std::vector<uint8_t>;

constexpr size_t kWordSize = 8;

constexpr size_t round_up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

inline Bytes as_bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Lower-case hexadecimal.
std::string to_hex(Bytes bytes);

/// False if `text` is not exactly 2 × out.size() hexadecimal digits; `out` is then unspecified.
bool from_hex(std::string_view text, std::span<uint8_t> out);

}  // namespace noded
