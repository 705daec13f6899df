// --filter KEY=VALUE: values of the same key are alternatives, different keys must all hold. Pure.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace noded::nodectl {

class Filters {
public:
    /// `keys` are those that the verb knows, in lower case; `spelling` is how its option is
    /// written.
    static Result<Filters> parse(std::span<const std::string> arguments,
                                 std::span<const std::string_view> keys,
                                 const std::string& spelling = "--filter");

    /// True if nothing was asked for the key, or if one of its values holds.
    bool any(std::string_view key, const std::function<bool(const std::string&)>& holds) const;
    /// True if all values of the key hold: docker's rule for labels.
    bool all(std::string_view key, const std::function<bool(const std::string&)>& holds) const;
    bool has(std::string_view key) const { return values_.find(key) != values_.end(); }
    /// The values of one key, empty if it was not asked for.
    std::span<const std::string> of(std::string_view key) const;

private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// "KEY" asks that the label is there, "KEY=VALUE" for its value.
bool label_matches(const std::string& filter,
                   const std::function<const std::string*(std::string_view)>& find);

}  // namespace noded::nodectl
