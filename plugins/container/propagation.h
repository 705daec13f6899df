// Mounts that shall see what is mounted on the host later, or show the host what a container
// mounts: whether the place that they come from allows it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/container/options.h"

namespace noded::container {

/// It asks for [r]shared or [r]slave.
bool wants_peers(const Mount& mount);

/// An error, in docker's words, if the mount that holds its source is private: the one with this id
/// (statx(2), stx_mnt_id). `line` is that mount's line of mountinfo (proc(5)), seen by noded.
Status check_peers(const Mount& mount, std::string_view line);

}  // namespace noded::container
