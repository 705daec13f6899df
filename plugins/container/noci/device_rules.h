// Which devices a container may use, as its configuration lists them: in the words of v1's files,
// from which the program of a v2 group and the list of a unit of systemd's are made, too.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/device_program.h"
#include "plugins/container/noci/json_view.h"

namespace noded::noci {

struct DeviceLine {
    bool allow = false;
    std::string text;  ///< "a", or "c 1:3 rwm" with * for any number
};

/// Nothing, then what linux.resources.devices says, then what every container may use. A later line
/// may take back what an earlier one gave.
Result<std::vector<DeviceLine>> device_lines(const JsonView& rules);

/// The same for device_program().
std::vector<DeviceRule> device_rules(const std::vector<DeviceLine>& lines);

}  // namespace noded::noci
