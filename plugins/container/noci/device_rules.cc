// See device_rules.h. Formats: config-linux.md, "Allowed Device list", and the kernel's
// cgroup-v1/devices.rst.
#include "plugins/container/noci/device_rules.h"

#include <algorithm>

namespace noded::noci {
namespace {

/// What every container may do besides its own rules: make any node, use the harmless ones and
/// terminals of its own.
constexpr const char* kAlways[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",  "c 1:5 rwm",
                                   "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
                                   "c 5:2 rwm", "c 136:* rwm"};

std::string part_of(const JsonView& number) {
    const int64_t value = number ? number.integer() : -1;
    return value < 0 ? "*" : std::to_string(value);
}

Status add_rule(const JsonView& rule, std::vector<DeviceLine>& all) {
    const std::string type = rule["type"].text();
    std::string access = rule["access"].text();
    if (access.empty()) access = "rwm";
    std::erase(access, 'a');  // "all", which other runtimes read over
    if (access.find_first_not_of("rwm") != std::string::npos)
        return fail(rule.path() + ": invalid cgroup device access \"" + access + "\"");
    if (type != "" && type != "a" && type != "b" && type != "c")
        return fail(rule.path() + ": invalid cgroup device type \"" + type + "\"");
    const std::string numbers = part_of(rule["major"]) + ":" + part_of(rule["minor"]);
    const bool allow = rule["allow"].flag();
    const bool any_type = type.empty() || type == "a";
    if (any_type && numbers == "*:*" && access.size() == 3) {
        all.push_back({allow, "a"});
        return {};
    }
    for (const char* each : {"c ", "b "}) {
        if (!any_type && type[0] != each[0]) continue;
        all.push_back({allow, each + numbers + " " + access});
        if (!access.empty() && !parse_device_rule(all.back().text))
            return fail(rule.path() + ": no device has the number " + numbers);
    }
    return {};
}

}  // namespace

Result<std::vector<DeviceLine>> device_lines(const JsonView& rules) {
    std::vector<DeviceLine> all = {{false, "a"}};
    for (const JsonView& rule : rules.items()) TRY_STATUS(add_rule(rule, all));
    for (const char* line : kAlways) all.push_back({true, line});
    return all;
}

std::vector<DeviceRule> device_rules(const std::vector<DeviceLine>& lines) {
    std::vector<DeviceRule> rules;
    for (const DeviceLine& line : lines)
        if (auto rule = parse_device_rule(line.text)) {
            rule->allow = line.allow;
            rules.push_back(*rule);
        }
    return rules;
}

}  // namespace noded::noci
