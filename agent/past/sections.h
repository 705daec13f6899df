// From a snapshot and the log to the state, and from the state to the sections of a snapshot: one
// way for the node and for its replicas. Called by main, agent/snapshots.cc, replica.cc and the
// simulator.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/log/snapshot.h"

namespace noded::past {

/// Loads the plugins, those that are linked in, too, and folds the log by fold alone.
Status fold_all(core::Pipeline& pipeline, host::Host& host, log::Log& log,
                std::optional<log::Snapshot> snapshot,
                std::span<const host::LinkedPlugin> linked = {});

/// The core's section and those of the plugins; only while the pipeline is quiescent.
Result<std::vector<log::Snapshot::Section>> state_sections(core::Pipeline& pipeline,
                                                           const host::Host& host);
std::vector<log::SnapshotSection> borrow(const std::vector<log::Snapshot::Section>& sections);
uint64_t state_bytes(const std::vector<log::Snapshot::Section>& sections);

/// Ids of the plugins whose state is folded, sorted: "container,storage".
std::string loaded_plugins(const host::Host& host);

}  // namespace noded::past
