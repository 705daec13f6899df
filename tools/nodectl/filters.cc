// See filters.h.
#include "tools/nodectl/filters.h"

#include <algorithm>
#include <cctype>

#include "tools/nodectl/options.h"

namespace noded::nodectl {
namespace {

/// Without the white space around it.
std::string plain(std::string_view text) {
    constexpr std::string_view kWhite = " \t\n\r\v\f";
    const size_t first = std::min(text.find_first_not_of(kWhite), text.size());
    return std::string(text.substr(first, text.find_last_not_of(kWhite) + 1 - first));
}

}  // namespace

Result<Filters> Filters::parse(std::span<const std::string> arguments,
                               std::span<const std::string_view> keys,
                               const std::string& spelling) {
    Filters filters;
    for (const std::string& argument : arguments) {
        if (argument.empty()) continue;
        const size_t equals = argument.find('=');
        if (equals == std::string::npos)
            return invalid_argument(argument, spelling,
                                    "bad format of filter (expected name=value)");
        std::string key = plain(argument.substr(0, equals));
        std::ranges::transform(key, key.begin(), [](unsigned char c) { return tolower(c); });
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
            std::string known;
            for (const std::string_view name : keys) (known += known.empty() ? "" : ", ") += name;
            return fail("invalid filter '" + key + "'; known are " + known);
        }
        filters.values_[std::move(key)].push_back(plain(argument.substr(equals + 1)));
    }
    return filters;
}

std::span<const std::string> Filters::of(std::string_view key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return {};
    return found->second;
}

bool Filters::any(std::string_view key,
                  const std::function<bool(const std::string&)>& holds) const {
    const auto values = of(key);
    return values.empty() || std::any_of(values.begin(), values.end(), holds);
}

bool Filters::all(std::string_view key,
                  const std::function<bool(const std::string&)>& holds) const {
    const auto values = of(key);
    return std::all_of(values.begin(), values.end(), holds);
}

bool label_matches(const std::string& filter,
                   const std::function<const std::string*(std::string_view)>& find) {
    const size_t equals = filter.find('=');
    const std::string* value = find(std::string_view(filter).substr(0, equals));
    if (value == nullptr) return false;
    return equals == std::string::npos || *value == filter.substr(equals + 1);
}

}  // namespace noded::nodectl
