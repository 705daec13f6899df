// The modes of --ipc, --pid, --uts, --cgroupns and --userns, and the parent of a cgroup: which
// there are, and what they name. Pure. Used by the rules (options.cc, decide) and by the launch.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/container/options.h"

namespace noded::container {

/// What "container:REFERENCE" names, which may be empty; null data if the mode is another one.
std::string_view joined_container(std::string_view mode);
bool joins_container(std::string_view mode);

/// A namespace of the container's own.
bool is_private(std::string_view mode);

/// The sentences are docker's.
Status check_modes(const Options& options);

/// "a/../b//c" as "/b/c": ".." leads nowhere above the mount. Empty for an empty text.
std::string clean_cgroup_parent(std::string_view text);

}  // namespace noded::container
