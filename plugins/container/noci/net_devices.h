// linux.netDevices of runtime-spec 1.3: network devices of the host that move into the container's
// network namespace, with their addresses, and up.
#pragma once

#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/config.h"

namespace noded::noci {

/// Into the network namespace of a process. The kernel gives a hardware device back to the host
/// when that namespace ends; one of software ends with it. An error names the device; those before
/// it have moved.
Status move_net_devices(const std::vector<NetDeviceConfig>& devices, int pid);

}  // namespace noded::noci
