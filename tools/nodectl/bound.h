// Bound: a place in the history as users write it. Pure but for the clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/result.h"

namespace noded::nodectl {

/// Neither: none was given.
struct Bound {
    std::optional<uint64_t> seq;
    std::optional<int64_t> time_ns;   ///< since the epoch

    bool given() const { return seq || time_ns; }
};

/// A number below 1,000,000,000 is a seq; else a time: seconds since 1970, also with an "@" or a
/// fraction, RFC 3339, or a duration ago ("10m"). `option` is how the user wrote it.
Result<Bound> parse_bound(const char* option, const std::string& text);

/// An error where both are seqs, or both times, and the first comes after the second. The options
/// are how the user wrote them.
Status check_order(const char* from_option, const Bound& from, const char* to_option,
                   const Bound& to);

}  // namespace noded::nodectl
