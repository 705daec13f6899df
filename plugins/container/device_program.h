// The list of devices of a cgroup where there is no v1 devices controller: a BPF program of type
// cgroup_device (the kernel's cgroup-v2.rst, "Device controller"), attached to the group's folder.
// It knows nothing of containers; used by the cgroups of the plugin and by whoever else makes
// groups.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace noded {

/// What is allowed; all else is not. Rights are bits of BPF_DEVCG_ACC_*.
struct DeviceRule {
    char type = 'a';                ///< 'c', 'b', or 'a' for both
    std::optional<uint32_t> major;  ///< none: all
    std::optional<uint32_t> minor;
    uint32_t rights = 0;
    bool operator==(const DeviceRule&) const = default;
};

/// "c 13:* rwm" as devices.allow of v1 takes it; "a" alone is everything. None if it is no such
/// rule.
std::optional<DeviceRule> parse_device_rule(std::string_view text);

/// The program that allows what at least one of the rules allows whole.
std::vector<bpf_insn> device_program(std::vector<DeviceRule> rules);

/// Loads it and attaches it to the group at `folder` instead of the one that was attached there
/// before in this way; groups below obey it until they have their own. It goes with the group.
Status attach_device_program(const std::string& folder, const std::vector<DeviceRule>& rules);

}  // namespace noded
