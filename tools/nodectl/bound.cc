// See bound.h.
#include "tools/nodectl/bound.h"

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

/// From here on a plain number is a time, as docker takes it: no log comes to so many events.
constexpr uint64_t kSecondsMin = 1'000'000'000;

}  // namespace

Result<Bound> parse_bound(const char* option, const std::string& text) {
    Bound bound;
    if (text.empty()) return bound;
    bound.seq = parse_number(text);
    if (bound.seq && *bound.seq < kSecondsMin) return bound;
    const bool plain = bound.seq || text.find_first_not_of("0123456789.") == std::string::npos;
    bound.seq.reset();
    if (plain || text.starts_with('@')) bound.time_ns = parse_unix_time(text.substr(plain ? 0 : 1));
    else bound.time_ns = parse_time(text, now_ns());
    if (bound.time_ns) return bound;
    return fail(
        std::string("invalid value for \"") + option + "\": \"" + text +
        "\" is neither a seq (42) nor a time (RFC 3339, @1700000000) nor a duration ago (10m)");
}

Status check_order(const char* from_option, const Bound& from, const char* to_option,
                   const Bound& to) {
    const bool backwards = (from.seq && to.seq && *from.seq > *to.seq) ||
                           (from.time_ns && to.time_ns && *from.time_ns > *to.time_ns);
    if (!backwards) return {};
    return fail(std::string(from_option) + " comes after " + to_option +
                ": there is nothing between them");
}

}  // namespace noded::nodectl
