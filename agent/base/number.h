// Numbers from text.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace noded {

/// Whether all of the text, from its first to its last character, is a number that fits; no blanks,
/// and a sign only for types that have one.
template <typename T>
bool to_number(std::string_view text, T& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace noded
