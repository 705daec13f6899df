// See units.h.
#include "tools/nodectl/units.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>

namespace noded::nodectl {

std::string human_duration(int64_t seconds) {
    const int64_t minutes = seconds / 60;
    const int64_t hours = llround(static_cast<double>(seconds) / 3600);
    const auto counted = [](int64_t count, const char* unit) {
        return std::to_string(count) + " " + unit;
    };
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return counted(seconds, "seconds");
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return counted(minutes, "minutes");
    if (hours == 1) return "About an hour";
    if (hours < 48) return counted(hours, "hours");
    if (hours < 24 * 7 * 2) return counted(hours / 24, "days");
    if (hours < 24 * 30 * 2) return counted(hours / 24 / 7, "weeks");
    if (hours < 24 * 365 * 2) return counted(hours / 24 / 30, "months");
    return counted(hours / 24 / 365, "years");
}

/// With so many significant digits, in the largest unit that leaves at least one before the point.
static std::string size_in(std::span<const char* const> units, double step, int digits,
                           uint64_t bytes) {
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= step && unit + 1 < units.size()) {
        value /= step;
        unit++;
    }
    char text[32];
    snprintf(text, sizeof text, "%.*g%s", digits, value, units[unit]);
    return text;
}

std::string human_size(uint64_t bytes) {
    static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    return size_in(units, 1000, 3, bytes);
}

std::string binary_size(uint64_t bytes) {
    static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    return size_in(units, 1024, 4, bytes);
}

int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kSecondNs + now.tv_nsec;
}

namespace {

struct SplitTime {
    time_t seconds;
    long nanoseconds;
};

/// Rounds down, also before the epoch.
SplitTime split_time(int64_t time_ns) {
    int64_t seconds = time_ns / kSecondNs;
    int64_t rest = time_ns % kSecondNs;
    if (rest < 0) {
        seconds--;
        rest += kSecondNs;
    }
    return {seconds, rest};
}

std::string utc_seconds(time_t seconds) {
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    return text;
}

}  // namespace

std::string rfc3339_fixed(int64_t time_ns) {
    const SplitTime time = split_time(time_ns);
    char fraction[16];
    snprintf(fraction, sizeof fraction, ".%09ldZ", time.nanoseconds);
    return utc_seconds(time.seconds) + fraction;
}

std::string rfc3339_short(int64_t time_ns) {
    std::string text = rfc3339_fixed(time_ns);
    text.pop_back();
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
    return text + "Z";
}

std::string local_time(int64_t time_ns) {
    const SplitTime time = split_time(time_ns);
    tm parts{};
    localtime_r(&time.seconds, &parts);
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
    return text;
}

std::optional<uint64_t> parse_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<int64_t> parse_duration(std::string_view text) {
    struct Unit {
        std::string_view name;
        double ns;
    };
    // Longer names first: "ms" begins like "m".
    static constexpr Unit units[] = {{"ns", 1},   {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6},
                                     {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    if (text.empty()) return std::nullopt;
    if (text == "0") return 0;  // the one that needs no unit
    double total = 0;
    while (!text.empty()) {
        const size_t digits = text.find_first_not_of("0123456789.");
        if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
        if (error != std::errc{} || end != text.data() + digits) return std::nullopt;
        text.remove_prefix(digits);
        const Unit* found = nullptr;
        for (const Unit& unit : units) {
            if (text.starts_with(unit.name)) {
                found = &unit;
                break;
            }
        }
        if (found == nullptr) return std::nullopt;
        total += value * found->ns;
        text.remove_prefix(found->name.size());
    }
    if (total > 9e18) return std::nullopt;
    return static_cast<int64_t>(total);
}

namespace {

/// Reads ".123" to nanoseconds and advances; 0 if there is no fraction; nothing if it is malformed.
std::optional<int64_t> take_fraction(std::string_view& text) {
    if (!text.starts_with('.')) return 0;
    text.remove_prefix(1);
    int64_t value = 0;
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
        if (digits < 9) value = value * 10 + (text[digits] - '0');
        digits++;
    }
    if (digits == 0) return std::nullopt;
    for (size_t i = digits; i < 9; i++) value *= 10;
    text.remove_prefix(digits);
    return value;
}

/// Reads "Z" or "+hh:mm" to seconds east of UTC; the text must end there.
std::optional<int64_t> zone_offset(std::string_view text) {
    if (text == "Z" || text == "z") return 0;
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
        return std::nullopt;
    const auto hours = parse_number(text.substr(1, 2));
    const auto minutes = parse_number(text.substr(4, 2));
    if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    const int64_t offset = static_cast<int64_t>(*hours * 3600 + *minutes * 60);
    return text[0] == '-' ? -offset : offset;
}

/// From 1684 to 2255: what fits nanoseconds in 64 bits, with room for a fraction and a zone.
constexpr int64_t kSecondsMax = 9'000'000'000;

bool is_date(const tm& parts) {
    using namespace std::chrono;
    return year_month_day{year(parts.tm_year + 1900), month(unsigned(parts.tm_mon + 1)),
                          day(unsigned(parts.tm_mday))}
        .ok();
}

std::optional<int64_t> parse_rfc3339(const std::string& text) {
    for (const char* format :
         {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
        tm parts{};
        parts.tm_isdst = -1;
        const char* end = strptime(text.c_str(), format, &parts);
        if (end == nullptr) continue;
        // The 30th of February would be taken for the 2nd of March.
        if (!is_date(parts)) return std::nullopt;
        std::string_view rest = end;
        const auto fraction = take_fraction(rest);
        if (!fraction) return std::nullopt;
        time_t seconds = 0;
        if (rest.empty()) {
            seconds = mktime(&parts);
        } else {
            const auto offset = zone_offset(rest);
            if (!offset) return std::nullopt;
            seconds = timegm(&parts) - *offset;
        }
        if (std::abs(seconds) > kSecondsMax) return std::nullopt;
        return seconds * kSecondNs + *fraction;
    }
    return std::nullopt;
}

}  // namespace

std::optional<int64_t> parse_time(std::string_view text, int64_t now) {
    if (const auto duration = parse_duration(text)) return now - *duration;
    return parse_rfc3339(std::string(text));
}

std::optional<int64_t> parse_unix_time(std::string_view text) {
    const size_t dot = text.find('.');
    const auto seconds = parse_number(text.substr(0, dot));
    if (!seconds || *seconds > kSecondsMax) return std::nullopt;
    std::string_view rest = dot == std::string_view::npos ? std::string_view{} : text.substr(dot);
    const auto fraction = take_fraction(rest);
    if (!fraction || !rest.empty()) return std::nullopt;
    return static_cast<int64_t>(*seconds) * kSecondNs + *fraction;
}

std::string short_id(std::string_view id) {
    if (id.starts_with("sha256:")) id.remove_prefix(7);
    return std::string(id.substr(0, 12));
}

}  // namespace noded::nodectl
