// Who a container's process runs as: docker's "user" strings, looked up in the passwd and group
// files of the rootfs. There is no NSS here; what the two files say is all there is. Called by the
// child after it has entered the rootfs.
#pragma once

#include "plugins/container/shim/child.h"

namespace noded::shim {

struct User {
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t group_count = 0;
    uint32_t groups[launch::groups_max];  ///< supplementary
    Text<512> home;                       ///< "/" when passwd does not know the user
};

/// Gives up with docker's own words when a name is unknown.
void resolve_user(Start& start, User* out);

}  // namespace noded::shim
