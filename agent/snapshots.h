// Snapshots: when the folded state is written beside the log. What it allows to go then is the
// keeper's affair (log/keeper.h).
//
// While noded runs a replica writes them (agent/past), one at a time, and the reactor does not
// wait. In line they are written at a clean stop, and where a replica could not: a plugin was
// stopped whose state is here alone, the last replica failed, or room is asked for and there is one
// of the same seq, which lacks a plugin.
#pragma once

#include <optional>
#include <string>

#include "agent/config.h"
#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/limits.h"
#include "agent/log/keeper.h"
#include "agent/log/log.h"
#include "agent/log/storage.h"
#include "agent/past/spawn.h"

namespace noded {

struct SnapshotTaken {
    uint64_t seq = 0;     ///< 0 if there is none
    uint64_t bytes = 0;   ///< of the state in it
};

struct SnapshotOptions {
    uint64_t every_events = limits::snapshot_every_events;
    uint64_t bytes_per_event = limits::snapshot_bytes_per_event;
    log::KeeperOptions retention = {};
    /// Replicas of this node write them; null: all are written in line (simulator).
    const Config* replica_of = nullptr;
};

class Snapshots {
public:
    Snapshots(reactor::Reactor& reactor, log::Storage& storage, log::Log& log,
              core::Pipeline& pipeline, host::Host& host, SnapshotTaken newest,
              const SnapshotOptions& options);

    /// After replay: the newest counts, and lets events go, if every plugin started from it.
    void loaded();

    /// Once per turn: has one written when enough events came since the last one or room is short,
    /// and what it covers released.
    void turn_end();
    /// At a clean stop, so that the next start replays nothing. Only while the pipeline is
    /// quiescent. Ends a replica that is at work.
    void write();

    uint64_t newest_seq() const { return newest_.seq; }
    /// A replica is at work.
    bool writing_beside() const { return replica_ && replica_->running(); }
    log::Keeper& keeper() { return keeper_; }

private:
    bool due() const;
    bool replica_can_know() const;
    void look_for_late_plugins();
    void disown(uint64_t seq);
    void start_replica();
    void replica_ended(Result<uint64_t> bytes);
    void taken(SnapshotTaken snapshot);

    reactor::Reactor& reactor_;
    log::Storage& storage_;
    log::Log& log_;
    core::Pipeline& pipeline_;
    host::Host& host_;
    const SnapshotOptions options_;
    SnapshotTaken newest_;
    log::Keeper keeper_;
    uint64_t tried_seq_ = 0;
    uint64_t disowned_seq_ = 0;     ///< a snapshot on the disk, which lacks a plugin of today
    int64_t retry_ns_ = 0;          ///< not before this, if retention asks
    std::string plugins_;           ///< loaded when the replica was started
    bool replica_failed_ = false;   ///< the last one: the next snapshot is written in line
    bool write_soon_ = false;
    uint64_t late_seen_ = 0;        ///< plugins that came late, when last looked
    std::optional<past::SnapshotReplica> replica_;
};

}  // namespace noded
