// The creation time in an image's config. Pure; called by fold and when a snapshot is loaded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace noded::storage {

/// Nanoseconds since 1970 of the config's "created" (RFC 3339); 0 where it is absent or unreadable.
int64_t created_ns(std::string_view config_json);

/// The same of the time alone.
int64_t parse_rfc3339_ns(std::string_view text);

/// "2024-05-01T12:00:00.000000000Z"
std::string rfc3339(int64_t time_ns);

}  // namespace noded::storage
