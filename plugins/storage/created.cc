// RFC 3339 times, see created.h. Written out because strptime knows neither fractions nor is it
// independent of the locale, and fold must give the same answer everywhere.
#include "plugins/storage/created.h"

#include <charconv>
#include <chrono>
#include <cstdio>

#include "plugins/storage/image/image_config.h"

namespace noded::storage {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

/// Takes `digits` digits and the character behind them (unless that is 0) from `text`.
bool take(std::string_view& text, size_t digits, char behind, int& out) {
    if (text.size() < digits + (behind != 0)) return false;
    auto [end, error] = std::from_chars(text.data(), text.data() + digits, out);
    if (error != std::errc() || end != text.data() + digits || out < 0) return false;
    text.remove_prefix(digits);
    if (behind == 0) return true;
    if (text.front() != behind) return false;
    text.remove_prefix(1);
    return true;
}

int64_t take_fraction(std::string_view& text) {
    if (text.empty() || text.front() != '.') return 0;
    text.remove_prefix(1);
    int64_t value = 0;
    int64_t unit = kSecond / 10;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; unit /= 10) {
        value += (text[0] - '0') * unit;
        text.remove_prefix(1);
    }
    return value;
}

}  // namespace

int64_t parse_rfc3339_ns(std::string_view text) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    if (!take(text, 4, '-', year) || !take(text, 2, '-', month) || !take(text, 2, 'T', day) ||
        !take(text, 2, ':', hour) || !take(text, 2, ':', minute) || !take(text, 2, 0, second))
        return 0;
    const std::chrono::year_month_day date{std::chrono::year(year),
                                           std::chrono::month(unsigned(month)),
                                           std::chrono::day(unsigned(day))};
    // 1677 and 2262 are where nanoseconds since 1970 leave 64 bits.
    if (!date.ok() || year < 1700 || year > 2200) return 0;
    if (hour > 23 || minute > 59 || second > 60) return 0;
    const int64_t fraction = take_fraction(text);
    int offset_hours = 0, offset_minutes = 0;
    int64_t sign = 0;
    if (text.starts_with('+') || text.starts_with('-')) {
        sign = text[0] == '+' ? 1 : -1;
        text.remove_prefix(1);
        if (!take(text, 2, ':', offset_hours) || !take(text, 2, 0, offset_minutes)) return 0;
    } else if (text != "Z") {
        return 0;
    }
    const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    seconds -= sign * (offset_hours * 60 + offset_minutes) * 60;
    return seconds * kSecond + fraction;
}

int64_t created_ns(std::string_view config_json) {
    auto config = image::parse_image_config(config_json);
    return config ? parse_rfc3339_ns(config->created) : 0;
}

std::string rfc3339(int64_t time_ns) {
    const std::chrono::sys_time<std::chrono::nanoseconds> time{std::chrono::nanoseconds(time_ns)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    char text[40];
    snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09dZ", int(date.year()),
             unsigned(date.month()), unsigned(date.day()), int(clock.hours().count()),
             int(clock.minutes().count()), int(clock.seconds().count()),
             int(clock.subseconds().count()));
    return text;
}

}  // namespace noded::storage
