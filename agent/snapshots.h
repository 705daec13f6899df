// Snapshots: when the folded state is written beside the log, and when old segments may go.
#pragma once

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/log/log.h"
#include "agent/log/storage.h"

namespace noded {

class Snapshots {
public:
    Snapshots(log::Storage& storage, log::Log& log, core::Pipeline& pipeline, host::Host& host,
              uint64_t newest_seq)
        : storage_(storage), log_(log), pipeline_(pipeline), host_(host), newest_seq_(newest_seq) {}

    /// Once per turn: writes one when enough events came since the last one.
    void turn_end();
    /// At a clean stop, so that the next start replays nothing. Only while the pipeline is
    /// quiescent.
    void write();

    uint64_t newest_seq() const { return newest_seq_; }

private:
    log::Storage& storage_;
    log::Log& log_;
    core::Pipeline& pipeline_;
    host::Host& host_;
    uint64_t newest_seq_;
    uint64_t tried_seq_ = 0;
};

/// Name of the core's own section; no plugin id begins like this.
extern const char kCoreSection[];

}  // namespace noded
