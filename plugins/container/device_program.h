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

/// What is allowed, or taken back again. Rights are bits of BPF_DEVCG_ACC_*.
struct DeviceRule {
    char type = 'a';                ///< 'c', 'b', or 'a' for both
    std::optional<uint32_t> major;  ///< none: all
    std::optional<uint32_t> minor;
    uint32_t rights = 0;
    bool allow = true;
    bool operator==(const DeviceRule&) const = default;
};

/// "c 13:* rwm" as devices.allow of v1 takes it; "a" alone is everything. None if it is no such
/// rule.
std::optional<DeviceRule> parse_device_rule(std::string_view text);

/// The program that decides each right by the last rule that speaks of it; a right of which none
/// speaks is not given.
std::vector<bpf_insn> device_program(const std::vector<DeviceRule>& rules);

/// How the program stands to others of the group: instead of the one that was attached in this way
/// before, and until a group below has its own; or beside all others, and everything that is
/// allowed is allowed by each.
enum class DeviceAttach : uint32_t { replace = BPF_F_ALLOW_OVERRIDE, beside = BPF_F_ALLOW_MULTI };

/// Loads it and attaches it to the group at `folder`. It goes with the group.
Status attach_device_program(const std::string& folder, const std::vector<DeviceRule>& rules,
                             DeviceAttach how = DeviceAttach::replace);

}  // namespace noded
