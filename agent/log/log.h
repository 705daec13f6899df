// The log: an append-only sequence of records, dense in seq, spread over segments (FORMAT.md).
//
// One Log per directory, one writer per Log. `append` only copies; `sync` writes what was appended
// since the last one as a batch, durably, and completes on the reactor. At most one sync is under
// way; records appended meanwhile form the next batch. A failed write is final: the caller must
// abort (state ahead of the log must never be seen). The one failure that is not final is a full
// disk, and it is met before anything is decided: `ensure_room`. Called by the pipeline and by
// replay.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/ids.h"
#include "agent/base/result.h"
#include "agent/limits.h"
#include "agent/log/storage.h"

namespace noded::log {

/// One event, as it stands in the log. `payload` is Cap'n Proto words.
struct Record {
    uint64_t seq = 0;     ///< dense, from 1
    int64_t time_ns = 0;  ///< real time at which it was decided
    uint64_t type = 0;    ///< type id of the Cap'n Proto struct in the payload
    uint64_t cause_seq =
        0;                 ///< the event that an effect or reaction answers, 0 for a user's command
    CommandId command_id;  ///< the user's command at the root of the chain
    Bytes payload;         ///< a whole number of words, 8-byte aligned when read
    /// Of the first event of a command that somebody sent: who (sender.h); else empty.
    Bytes sender = {};
};

/// A segment as retention sees it.
struct KeptSegment {
    uint64_t id = 0;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;   ///< 0: it is open
    uint64_t bytes = 0;      ///< 0: only its archive is there
    uint64_t archive_bytes = 0;   ///< 0: it has none
    /// of its newest record, 0 where that is not known
    int64_t newest_ns = 0;
};

/// Told each record in order; false ends the reading. The payload is valid during the call only.
using EachRecord = std::function<bool(const Record&)>;

/// Records that were read aside, in order and without their senders; at least one. Their payloads
/// point into `words`.
struct Stretch {
    std::vector<Record> records;
    std::unique_ptr<uint64_t[]> words;
    /// The last of them was the newest durable one when it was asked for.
    bool to_end = false;
};

class StretchDone {
public:
    virtual ~StretchDone() = default;
    virtual void stretch_read(Result<Stretch> stretch) = 0;
};

using SeqFound = std::move_only_function<void(Result<uint64_t>)>;

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
    /// An empty log has oldest_seq() == next_seq().
    virtual uint64_t oldest_seq() const = 0;
    virtual uint64_t next_seq() const = 0;
    virtual uint64_t durable_seq() const = 0;

    /// Copies `record` into the open batch. CHECKs that record.seq == next_seq(), that it is within
    /// limits and that it fits.
    virtual void append(const Record& record) = 0;
    /// False when the open batch has no room for so much payload; sync first. An empty batch has
    /// room for the largest payload that `ensure_room` accepts.
    virtual bool fits(size_t payload_bytes, size_t records = 1) const = 0;

    /// Asks, before a command is decided, whether `records` records with together `payload_bytes`
    /// of payload and sender, added to the open batch, will find their place on disk. ENOSPC: the
    /// disk is full; EDQUOT: the storage is at its limit; EMSGSIZE: more than one batch ever holds.
    /// In all these cases nothing was written and the log works on: refuse the command. Ask when
    /// they fit; if they do not, sync first and ask again. Costs nothing while the next segment is
    /// ready; otherwise it makes one in line (some 30 ms), on a nearly full disk a smaller one.
    virtual Status ensure_room(size_t payload_bytes, size_t records = 1) = 0;

    /// Starts the write of the open batch. CHECKs that it is not empty and that no sync is under
    /// way. If no place can be made for it (only possible without `ensure_room`), `done` is told
    /// ENOSPC before this returns and the batch stays open.
    virtual void sync(SyncDone& done) = 0;
    /// An error once something was seen behind the end of the log, where a start does not look at
    /// once (FORMAT.md). Nothing is written then, and no sync is told an end: stop, and say why.
    virtual Status sound() const { return {}; }
    virtual bool sync_under_way() const = 0;

    /// Calls `each` for the durable records with first <= seq, in order, until it returns false.
    /// Blocking; for replay and for paging through history: it begins near `first`, wherever that
    /// is. Fails with segment and position on damage, and when `first` is older than the oldest
    /// record.
    virtual Status read(uint64_t first, const EachRecord& each) = 0;
    /// The same aside, so that nobody waits for the disk: `done` is told, later, the records from
    /// `first` on, so many of them as a stretch holds (limits::log_stretch_*). One at a time. False
    /// if there is nothing to read, or no lane free for it: `read` does it as well.
    virtual bool read_aside(uint64_t first, StretchDone& done) {
        (void)first;
        (void)done;
        return false;
    }

    /// The seq of a durable record that is not older than `time_ns` and whose predecessor, if it is
    /// still there, is; durable_seq() + 1 if there is none. Where the clock was set back several
    /// records fit, and any of them may be the answer. Blocking: reads one segment at most.
    virtual Result<uint64_t> seq_at(int64_t time_ns) = 0;
    /// The same aside: `found` is told, later, or at once if no lane is free for it.
    virtual void seq_at_aside(int64_t time_ns, SeqFound found) { found(seq_at(time_ns)); }

    // What retention needs (keeper.h). A log that is only read keeps all that it has.

    /// What is there, oldest first. With `oldest_ns` (Unix time) the times of those that end before
    /// it are told, for which it reads; 0 asks for none.
    virtual std::vector<KeptSegment> kept(int64_t oldest_ns) {
        (void)oldest_ns;
        return {};
    }
    /// Id of the newest segment; where it changed, another one was sealed.
    virtual uint64_t newest_segment() const { return 0; }
    /// The next segment could not be made: release some.
    virtual bool lacks_space() const { return false; }
    /// The same, and it is the disk that had no room.
    virtual bool disk_is_full() const { return false; }
    /// Removes whole sealed segments that hold only records with seq < `first` (a snapshot covers
    /// them); those that have an archive are read from it from now on. One without an archive goes
    /// only after all archives did, because history has no gaps. On the disk they go with the next
    /// Storage::sync_names, and what follows them must not go before.
    virtual Status release_before(uint64_t first) {
        (void)first;
        return fail("this log is only read");
    }
    /// The segment has an archive of so many bytes from now on (archive.h).
    virtual void archived(uint64_t segment_id, uint64_t bytes) {
        (void)segment_id;
        (void)bytes;
    }
    /// Removes the archive of that segment, the oldest there is; on the disk likewise.
    virtual Status remove_archive(uint64_t segment_id) {
        (void)segment_id;
        return fail("this log is only read");
    }
};

struct LogOptions {
    /// Size of new segments, a multiple of the block and at least two blocks; a smaller segment
    /// also bounds the batch.
    uint64_t segment_bytes = limits::log_segment_bytes;
    /// Identity of a log that is created; 0 draws one from getrandom(2).
    uint64_t new_log_id = 0;
};

/// Opens or creates the log in `storage`, which must outlive it: recovers it, cuts a torn tail and
/// says so in `notice` (empty otherwise), refuses anything else that is wrong with the last segment
/// or a header, with a message that names segment and position. The bodies of sealed segments are
/// judged when they are read.
Result<std::unique_ptr<Log>> open_log(Storage& storage, std::string* notice,
                                      const LogOptions& options = {});

}  // namespace noded::log
