// Replica: noded as its own child, which folds the log beside the live writer up to one seq and
// writes the snapshot of that state, so that the reactor never waits for a snapshot.
//
// State is a pure function of the log, so what the replica writes equals what the live node would
// have written at that seq. It locks nothing, has none of its parent's descriptors, never
// reconciles or reacts, and ends with its parent. Started by SnapshotReplica, run by main.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "agent/config.h"

namespace noded::past {

/// First argument of noded when it is one; the rest are of ReplicaArguments, then of a node.
inline constexpr char kReplicaVerb[] = "replica";

struct ReplicaArguments {
    uint64_t seq = 0;       ///< durable in the log of the parent
    int parent = 0;         ///< its pid
    std::string plugins;    ///< that the parent has loaded, as loaded_plugins says it
};

/// Where the plugins of a replica have their directories; the parent removes it.
std::string scratch_directory(const Config& config);

/// Writes snapshot-<seq> and reads it back; the size of the state in bytes.
Result<uint64_t> write_snapshot_beside(const Config& config, const ReplicaArguments& arguments);

/// The whole of a replica's main: reads its arguments, does its work. One line on standard error
/// says why it failed, one on standard output how much it wrote.
int replica_main(int argc, char** argv);

}  // namespace noded::past
