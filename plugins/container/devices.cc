// Which devices a container may use, see cgroup.h: the list of a v1 group (the kernel's
// cgroup-v1/devices.rst), or a program attached to a v2 group (device_program.h).
#include <algorithm>

#include "plugins/container/cgroup.h"
#include "plugins/container/device_program.h"

namespace noded::container {
namespace {

/// Any node may be made; those that harm nobody, and the container's terminals, may be used.
const std::vector<std::string>& harmless_devices() {
    static const std::vector<std::string> rules = {
        "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",  "c 1:8 rwm",
        "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};
    return rules;
}

Result<std::vector<DeviceRule>> parsed(const std::vector<std::string>& rules) {
    std::vector<DeviceRule> out;
    for (const std::string& text : rules) {
        const auto rule = parse_device_rule(text);
        if (!rule) return fail("invalid device cgroup format '" + text + "'");
        out.push_back(*rule);
    }
    return out;
}

}  // namespace

/// A list can be set only while a group has no children, which inherit it.
Status Cgroups::write_device_list(const std::string& folder,
                                  const std::vector<std::string>& rules) const {
    TRY_STATUS(sys_->write_file(folder + "/devices.deny", "a"));
    for (const std::string& rule : rules)
        TRY_STATUS(sys_->write_file(folder + "/devices.allow", rule));
    return {};
}

Status Cgroups::list_harmless_devices(const std::string& folder) const {
    return write_device_list(folder, harmless_devices());
}

/// Without a v1 controller the group of this node gets a program, which holds for its containers;
/// the one that an earlier noded attached is replaced.
void Cgroups::list_devices(std::vector<std::string>& warnings) {
    if (!devices_ || restricts_devices()) return;
    const auto v2 = std::ranges::find_if(
        hierarchies_, [](const Hierarchy& hierarchy) { return hierarchy.name.empty(); });
    if (v2 == hierarchies_.end()) return;
    const auto attached =
        sys_->attach_device_program(parent(*v2), parsed(harmless_devices()).value());
    device_program_ = attached.has_value();
    if (!attached)
        warnings.push_back("containers are kept from the devices of this host by \"nodev\" mounts "
                           "alone, and rights on single devices cannot be given: " +
                           attached.error().message);
}

bool Cgroups::restricts_devices() const {
    return device_program_ || std::ranges::any_of(hierarchies_, [](const Hierarchy& hierarchy) {
               return hierarchy.has("devices");
           });
}

Result<std::vector<std::string>> Cgroups::device_rules(const Options& options) const {
    if (options.privileged) return std::vector<std::string>{"a"};
    std::vector<std::string> rules = harmless_devices();
    for (const Device& device : options.devices) {
        const DeviceNumber number = TRY(sys_->device_number(device.host_path));
        rules.push_back(std::string(1, number.type) + " " + std::to_string(number.major) + ":" +
                        std::to_string(number.minor) + " " + device.permissions);
    }
    rules.insert(rules.end(), options.device_rules.begin(), options.device_rules.end());
    return rules;
}

Status Cgroups::allow(std::string_view id, const Options& options) const {
    for (const Hierarchy& hierarchy : of({.cpuset = false, .devices = true})) {
        if (hierarchy.has("devices"))
            return write_device_list(folder(hierarchy, id), TRY(device_rules(options)));
        if (hierarchy.name.empty() && device_program_)
            return sys_->attach_device_program(folder(hierarchy, id),
                                               TRY(parsed(TRY(device_rules(options)))));
    }
    for (const Device& device : options.devices)
        if (device.permissions != "rwm")
            return fail("give device " + device.host_path + " with the rights " +
                        device.permissions +
                        " only: this host has neither a devices controller nor device programs "
                        "that could enforce it");
    if (!options.device_rules.empty())
        return fail("a device cgroup rule cannot be enforced: this host has neither a devices "
                    "controller nor device programs");
    return {};
}

}  // namespace noded::container
