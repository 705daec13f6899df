// See filters.h.
#include "tools/nodectl/filters.h"

#include <algorithm>

namespace noded::nodectl {

Result<Filters> Filters::parse(std::span<const std::string> arguments,
                               std::span<const std::string_view> keys) {
    Filters filters;
    for (const std::string& argument : arguments) {
        const size_t equals = argument.find('=');
        if (equals == std::string::npos) {
            return fail("invalid filter '" + argument +
                        "': bad format of filter (expected name=value)");
        }
        std::string key = argument.substr(0, equals);
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
            std::string known;
            for (const std::string_view name : keys) (known += known.empty() ? "" : ", ") += name;
            return fail("invalid filter '" + key + "'; known are " + known);
        }
        filters.values_[std::move(key)].push_back(argument.substr(equals + 1));
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
