// Replay: from a snapshot and the log to the state, by fold alone.
#pragma once

#include "agent/core/core.h"
#include "agent/log/log.h"

namespace noded::core {

/// Folds every durable event with seq >= `first` into `domain` and lets `core` remember its command
/// ids. The domain skips, plugin by plugin, what a snapshot already covers.
Status replay(log::Log& log, uint64_t first, Core& core, Domain& domain);

}  // namespace noded::core
