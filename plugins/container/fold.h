// fold: the only place that changes the state. Pure, also during replay; it must accept every event
// that was ever in a log, also one whose container is gone. Called by plugin.cc.
#pragma once

#include "plugins/container/state.h"

namespace noded::container {

void fold(State& state, const noded_event& event);

}  // namespace noded::container
