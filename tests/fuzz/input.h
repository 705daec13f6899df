// Input: the bytes that libFuzzer invents, taken off one number or piece at a time. Past the end
// everything is zero and empty, so that every input means something. Used by the targets here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"

namespace noded::fuzz {

class Input {
public:
    Input(const uint8_t* data, size_t size) : bytes_(data, size) {}

    bool empty() const { return bytes_.empty(); }

    template <typename T = uint8_t>
    T number() {
        T value = 0;
        const Bytes piece = take(sizeof value);
        if (!piece.empty()) memcpy(&value, piece.data(), piece.size());
        return value;
    }
    /// At most so many bytes, fewer at the end.
    Bytes take(size_t count) {
        const Bytes piece = bytes_.first(std::min(count, bytes_.size()));
        bytes_ = bytes_.subspan(piece.size());
        return piece;
    }
    Bytes rest() { return take(bytes_.size()); }
    std::string text(size_t count) { return std::string(as_text(take(count))); }
    std::string rest_text() { return text(bytes_.size()); }

    /// A copy of `bytes` on whole words, as payloads are handed to plugins.
    static Buffer words(Bytes bytes) {
        Buffer copy(bytes.begin(), bytes.end());
        copy.resize((copy.size() + 7) / 8 * 8);
        return copy;
    }

private:
    Bytes bytes_;
};

}  // namespace noded::fuzz
