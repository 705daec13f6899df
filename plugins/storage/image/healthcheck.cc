// See healthcheck.h. The sentences are docker's.
#include "plugins/storage/image/healthcheck.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "agent/base/number.h"
#include "plugins/storage/image/json.h"

namespace noded::image {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr double kNsMax = 9e18;
constexpr int64_t kNsMin = 1'000'000;

struct Unit {
    std::string_view name;
    double ns;
};
constexpr Unit kUnits[] = {{"ns", 1},   {"us", 1e3},  {"ms", 1e6},
                           {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

struct Flag {
    std::string_view name;
    const char* key;
};
constexpr Flag kTimes[] = {{"--interval", "Interval"},
                           {"--timeout", "Timeout"},
                           {"--start-period", "StartPeriod"},
                           {"--start-interval", "StartInterval"}};

/// The first word; `text` begins behind it and its blanks afterwards.
std::string_view take_word(std::string_view& text) {
    const size_t end = std::min(text.find_first_of(kBlanks), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks, end), text.size()));
    return word;
}

/// Go's way: "1m30s", "1.5h", "500ms". Nanoseconds.
std::optional<int64_t> parse_time(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789.";
    double sum = 0;
    if (text.empty()) return std::nullopt;
    while (!text.empty()) {
        if (!kDigits.contains(text.front())) return std::nullopt;
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value,
                                                  std::chars_format::fixed);
        if (error != std::errc()) return std::nullopt;
        text.remove_prefix(size_t(end - text.data()));
        const auto name = text.substr(0, std::min(text.find_first_of(kDigits), text.size()));
        const auto* unit = std::ranges::find(kUnits, name, &Unit::name);
        if (unit == std::end(kUnits)) return std::nullopt;
        sum += value * unit->ns;
        text.remove_prefix(name.size());
    }
    if (sum > kNsMax) return std::nullopt;
    return int64_t(std::llround(sum));
}

Status set_flag(Json& out, std::string_view word) {
    const size_t equals = word.find('=');
    const std::string name(word.substr(0, equals));
    const std::string_view value = equals == word.npos ? "" : word.substr(equals + 1);
    if (name == "--retries") {
        uint32_t retries = 0;
        if (!to_number(value, retries) || retries > INT32_MAX)
            return fail("--retries must be a number of at least 0, not \"" + std::string(value) +
                        "\"");
        if (retries != 0) out["Retries"] = retries;
        return {};
    }
    const auto* flag = std::ranges::find(kTimes, name, &Flag::name);
    if (flag == std::end(kTimes)) return fail("Unknown flag: " + name.substr(2));
    const auto time = parse_time(value);
    if (!time) return fail(name + " is a duration like 30s, not \"" + std::string(value) + "\"");
    if (*time != 0 && *time < kNsMin) return fail(name + " cannot be less than 1ms");
    if (*time != 0) out[flag->key] = *time;
    return {};
}

bool is_word(std::string_view word, std::string_view upper) {
    return std::ranges::equal(word, upper, [](char a, char b) {
        return (a >= 'a' && a <= 'z' ? char(a - 'a' + 'A') : a) == b;
    });
}

}  // namespace

std::vector<std::string> exec_form(std::string_view text) {
    const Json list = parse_json(text, "list").value_or(Json());
    if (!list.is_array() || !std::ranges::all_of(list, [](const Json& element) {
            return element.is_string();
        }))
        return {};
    return list.get<std::vector<std::string>>();
}

Result<std::string> healthcheck_json(std::string_view arguments) {
    Json out = Json::object();
    std::string_view word = take_word(arguments);
    for (; word.starts_with("--"); word = take_word(arguments)) TRY_STATUS(set_flag(out, word));
    if (is_word(word, "NONE")) {
        if (!arguments.empty()) return fail("HEALTHCHECK NONE takes no arguments");
        out["Test"] = {"NONE"};
    } else if (!is_word(word, "CMD")) {
        return fail("Unknown type \"" + std::string(word) + "\" in HEALTHCHECK (try CMD)");
    } else if (arguments.empty()) {
        return fail("Missing command after HEALTHCHECK CMD");
    } else {
        std::vector<std::string> test = exec_form(arguments);
        if (test.empty()) test = {"CMD-SHELL", std::string(arguments)};
        else test.insert(test.begin(), "CMD");
        out["Test"] = std::move(test);
    }
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace noded::image
