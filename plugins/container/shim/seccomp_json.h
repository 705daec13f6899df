// A seccomp profile of the user's, in docker's JSON format (defaultAction, syscalls with names,
// action, args, includes and excludes; also the older form with one name per entry).
//
// Reading is pure, so that decide refuses what is malformed; compiling is the launch's, with
// libseccomp. What the profile includes depends on the container's capabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded {

struct SeccompArgument {
    uint32_t index = 0;
    uint32_t compare = 0;  ///< SCMP_CMP_*
    uint64_t value = 0;
    uint64_t second = 0;
};

/// An entry holds if all of these do, and none of an exclusion's.
struct SeccompCondition {
    std::vector<std::string> capabilities;  ///< "CAP_SYS_ADMIN"
    std::vector<std::string> architectures;
    std::string kernel_min;  ///< "4.8"

    bool empty() const {
        return capabilities.empty() && architectures.empty() && kernel_min.empty();
    }
};

struct SeccompRule {
    std::vector<std::string> names;
    uint32_t action = 0;  ///< SCMP_ACT_*
    std::vector<SeccompArgument> arguments;
    SeccompCondition includes;
    SeccompCondition excludes;
};

struct SeccompProfile {
    uint32_t default_action = 0;
    std::vector<uint32_t> architectures;  ///< SCMP_ARCH_* besides the machine's own
    std::vector<SeccompRule> rules;
};

/// The error is a sentence that names what in the profile is wrong. SCMP_ACT_NOTIFY is one of the
/// actions only where somebody will listen.
Result<SeccompProfile> seccomp_parse(std::string_view json, bool can_notify = false);
/// A list of sock_filter. `bit_of` gives the number of a capability, or nothing.
Result<Buffer> seccomp_compile(const SeccompProfile& profile, uint64_t capabilities,
                               std::optional<uint32_t> (*bit_of)(const std::string& name));

}  // namespace noded
