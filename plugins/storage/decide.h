// decide, fold and snapshot of the storage plugin as plain functions over its state, so that tests
// and the plugin call the same thing. [pure]
#pragma once

#include "plugins/sdk/plugin.h"
#include "plugins/storage/state.h"

namespace noded::storage {

/// Answers commands of clients, and the outcomes that react.cc and reconcile.cc propose.
void decide(const State& state, const noded_command& command, sdk::Decision& out);

/// The only function that changes the state.
void fold(State& state, const noded_event& event);

/// Writes the state as a StorageSnapshot; the same state always gives the same bytes.
void save(const State& state, const sdk::Sink& sink);
/// Throws kj::Exception on bytes that no save wrote.
State load(noded_bytes bytes);

}  // namespace noded::storage
