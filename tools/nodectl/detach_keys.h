// The key sequence that leaves an attached terminal, ctrl-p,ctrl-q by default. Pure. Called by the
// relay.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace noded::nodectl {

constexpr const char* kDetachKeysDefault = "ctrl-p,ctrl-q";

/// "ctrl-p,ctrl-q", "ctrl-@,x" to the bytes that a terminal sends for them.
Result<std::string> parse_detach_keys(std::string_view text);

/// Finds the sequence in what is typed. Keys that may be its beginning are held back until it is
/// clear that they are not; a held key is never lost.
class DetachMatcher {
public:
    explicit DetachMatcher(std::string keys) : keys_(std::move(keys)) {}

    /// Appends to `out` what goes on to the container. True once the sequence is complete; the rest
    /// is dropped.
    bool feed(std::string_view typed, std::string& out);

private:
    std::string keys_;
    size_t matched_ = 0;
};

}  // namespace noded::nodectl
