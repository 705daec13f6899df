// Signals by name and number, as `kill`, `stop` and an image's StopSignal give them. Pure; called
// by decide.
#pragma once

#include <string_view>

#include "agent/base/result.h"

namespace noded::container {

/// "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1" → 1..64. The error is docker's: "Invalid
/// signal: X".
Result<int> parse_signal(std::string_view text);

}  // namespace noded::container
