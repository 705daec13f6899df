// Times, durations and sizes as docker writes and reads them. Pure but for the time zone. Called by
// the verbs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace noded::nodectl {

constexpr int64_t kSecondNs = 1'000'000'000;

/// "Less than a second", "About a minute", "3 hours", "2 weeks".
std::string human_duration(int64_t seconds);

/// "4.26MB": decimal units, three significant digits.
std::string human_size(uint64_t bytes);

/// "4.062MiB": binary units, four significant digits, as docker shows memory.
std::string binary_size(uint64_t bytes);

/// Real time now, nanoseconds since the epoch.
int64_t now_ns();

/// RFC 3339 in UTC; the fraction always has nine digits ("logs -t") or loses its trailing zeros
/// ("inspect").
std::string rfc3339_fixed(int64_t time_ns);
std::string rfc3339_short(int64_t time_ns);

/// "2025-11-24 13:41:05 +0100 CET", in the local time zone.
std::string local_time(int64_t time_ns);

/// Go's duration syntax: "10m", "1h30m", "1.5s". Nanoseconds; nothing if it is not one.
std::optional<int64_t> parse_duration(std::string_view text);

/// RFC 3339 ("2025-11-24", "2025-11-24T13:41:05.5Z", "…+01:00"; without a zone it is local), or a
/// duration before now. Nanoseconds since the epoch.
std::optional<int64_t> parse_time(std::string_view text, int64_t now);

/// Seconds since the epoch with an optional fraction: "1700000000", "1700000000.25".
std::optional<int64_t> parse_unix_time(std::string_view text);

/// A whole decimal number.
std::optional<uint64_t> parse_number(std::string_view text);

/// The first twelve characters of an id, without "sha256:".
std::string short_id(std::string_view id);

}  // namespace noded::nodectl
