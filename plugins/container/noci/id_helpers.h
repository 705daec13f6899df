// What a caller without root's rights needs others for: newuidmap(1) and newgidmap(1), which may
// map the ids that /etc/subuid and /etc/subgid give a user.
#pragma once

#include "agent/base/result.h"
#include "plugins/container/noci/config.h"

namespace noded::noci {

/// Root's rights over the whole machine, not only in a user namespace.
bool is_host_root();
bool in_user_namespace();

/// Writes both maps of the process, which waits for that in its new user namespace.
Status map_ids_with_helpers(int pid, const Config& config);

}  // namespace noded::noci
