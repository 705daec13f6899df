// Where a moment of the past lies in the log, and which snapshot its state is folded from. Called
// by reader.cc.
#pragma once

#include <optional>

#include "agent/log/log.h"
#include "agent/log/snapshot.h"
#include "agent/rpc/moment.h"

namespace noded::past {

using rpc_service::Moment;

struct Place {
    uint64_t seq = 0;        ///< of the newest event that had happened; 0: none had
    int64_t time_ns = 0;     ///< which time it is there
    uint64_t oldest = 1;     ///< seq of the first event that the log still has
    std::optional<log::Snapshot> snapshot;   ///< none: the state is folded from the first event
};

/// In the log in `storage` whose events up to `last` are durable. The error says what can be known.
Result<Place> find_place(log::Storage& storage, const Moment& moment, uint64_t last,
                         int64_t now_ns);

}  // namespace noded::past
