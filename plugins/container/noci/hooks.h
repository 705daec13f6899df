// Hooks that run in noci's own namespaces: prestart, createRuntime, poststart, poststop.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/config.h"

namespace noded::noci {

/// The environment of noci, which a hook has that says nothing of its own.
std::vector<std::string> own_environment();
/// In order; ends at the first that fails. `kind` names them in the sentence: "prestart".
Status run_hooks(const std::vector<HookConfig>& hooks, const char* kind, int state_fd);

}  // namespace noded::noci
