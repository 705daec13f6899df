// Stranger: a third plugin of each simulated node, as somebody else may have written it. It notes
// each end of a container by an event of its own, and it errs: its init fails, it cannot read its
// snapshot, it decides or proposes what it did not declare, it fills the offload lane.
//
// Whatever it does, the host refuses or stops it alone, and the checkers hold for the others; its
// own notes come exactly once.
#pragma once

#include "plugins/abi/plugin.h"
#include "tests/sim/kernel.h"

namespace noded::sim {

/// The command that a client sends it; its payload is one word, odd: the plugin errs.
constexpr uint64_t kPokeStranger = 0xd1c5a3f0e2b70001;
/// Its note of a ContainerExited: one word, the seq of that.
constexpr uint64_t kExitNoted = 0xd1c5a3f0e2b70003;

/// The plugin, over the errors of the kernel that `loading` says when init is called.
const noded_plugin& stranger_table();
/// Which kernel the next init takes; a plugin's init has no parameter for it.
void let_stranger_err_with(Kernel& kernel);

}  // namespace noded::sim
