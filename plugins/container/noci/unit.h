// A container's unit of systemd's from its first moment to its last, for containers that were
// created with --systemd-cgroup. See systemd.h.
#pragma once

#include "agent/base/result.h"
#include "plugins/container/noci/container.h"
#include "plugins/container/noci/systemd.h"

namespace noded::noci {

/// Lives until the container's own process is in it.
struct OpenUnit {
    Systemd systemd;
    Placeholder first;
};

/// Makes it, with the cgroups that systemd makes. One of this name that is somebody else's is an
/// error, after which the container has none.
Result<OpenUnit> open_unit(Container& container, const Config& config);
/// Before the same limits are set in the files, which know more of them. `resources` becomes what
/// systemd makes of them; `devices`: with its list of devices.
Status limit_unit(OpenUnit& unit, const Container& container, Json& resources, bool devices);
/// The same for a container that is there.
Status limit_unit(const Container& container, Json& resources);
/// When no process of it is left.
Status close_unit(const Container& container);

}  // namespace noded::noci
