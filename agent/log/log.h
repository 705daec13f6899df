// The log: an append-only sequence of records, dense in seq, spread over segments (FORMAT.md).
//
// One Log per directory, one writer per Log. `append` only copies; `sync` writes what was appended since the last
// one as a batch, durably, and completes on the reactor. At most one sync is under way; records appended meanwhile
// form the next batch. A failed write is final: the caller must abort (state ahead of the log must never be seen).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/ids.h"
#include "agent/base/result.h"
#include "agent/log/storage.h"

namespace noded::log {

/// One event, as it stands in the log. `payload` is Cap'n Proto words.
struct Record {
    uint64_t seq = 0;         ///< dense, from 1
    int64_t time_ns = 0;      ///< real time at which it was decided
    uint64_t type = 0;        ///< type id of the Cap'n Proto struct in the payload
    uint64_t cause_seq = 0;   ///< the event that an effect or reaction answers, 0 for a user's command
    CommandId command_id;     ///< the user's command at the root of the chain
    Bytes payload;
};

class SyncDone {
public:
    virtual ~SyncDone() = default;
    /// Every record with seq <= `durable_seq` is durable, or the write failed and nothing is known.
    virtual void synced(Status status, uint64_t durable_seq) = 0;
};

class Log {
public:
    virtual ~Log() = default;

    /// Seq of the oldest record still there and of the newest appended one; next_seq() - 1 == last.
    virtual uint64_t oldest_seq() const = 0;
    virtual uint64_t next_seq() const = 0;
    virtual uint64_t durable_seq() const = 0;

    /// Copies `record` into the open batch. CHECKs that record.seq == next_seq() and that it is within limits.
    virtual void append(const Record& record) = 0;
    /// False when the open batch has no room for a payload of this size; sync first.
    virtual bool fits(size_t payload_bytes) const = 0;

    /// Starts the write of the open batch. CHECKs that it is not empty and that no sync is under way.
    virtual void sync(SyncDone& done) = 0;
    virtual bool sync_under_way() const = 0;

    /// Calls `each` for the durable records with first <= seq, in order, until it returns false. Blocking; for
    /// replay and for paging through history. Fails with segment and position on damage, and when `first` is older than the
    /// oldest record.
    virtual Status read(uint64_t first, const std::function<bool(const Record&)>& each) = 0;

    /// Removes whole sealed segments that hold only records with seq < `first` (a snapshot covers them).
    virtual Status release_before(uint64_t first) = 0;
};

/// Opens or creates the log in `storage`: recovers it, cuts a torn tail and says so in `notice`, refuses anything
/// else that is wrong with a message that names segment and position.
Result<std::unique_ptr<Log>> open_log(Storage& storage, std::string* notice);

}  // namespace noded::log
