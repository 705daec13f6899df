// decide: a command, or the proposed outcome of an effect, against the state: events or a sentence.
// Pure; the id of the command is the only source of new names. Called by plugin.cc.
//
// A proposal that no longer fits (a run that is over, an exit that is known already) is accepted
// with no event: this is what makes an exit be told exactly once, however often reconcile proposes
// it.
#pragma once

#include "plugins/container/state.h"
#include "plugins/sdk/plugin.h"

namespace noded::container {

void decide(const State& state, const noded_command& command, sdk::Decision& decision);

}  // namespace noded::container
