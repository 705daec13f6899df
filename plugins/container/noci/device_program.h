// On v2 a program decides which devices a cgroup may use: made from rules as v1's files take them,
// where a later one may take back what an earlier one gave.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

namespace noded::noci {

struct DeviceRule {
    bool allow = false;
    std::string text;  ///< "a", or "c 1:3 rwm" with * for any number
};

/// Later rules win. For a new group, once: programs of one group all have to agree.
Status attach_device_program(const std::string& cgroup_folder,
                             const std::vector<DeviceRule>& rules);

}  // namespace noded::noci
