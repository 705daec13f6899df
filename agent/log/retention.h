// Retention: what of log, snapshots and archive goes, and what is archived, as a pure function from
// what is there to steps in order. Its rules:
//
// - A segment goes only when it is sealed and a verified snapshot covers it: the older of the two
//   newest ones, so that a start is possible from each of both; the newest one alone where room is
//   short.
// - The oldest goes first: history has a beginning, and no gaps.
// - Segments go that are older than the limit of age, and as many more as the limit of bytes asks.
// - Where archives are wanted, sealed segments are archived a good while before the limit of bytes
//   will ask for their room, and go only then. One that cannot be archived goes without when
//   nothing can be written otherwise, and all archives before it.
// - Archives go by their own limit of bytes, by age, and where the disk itself is full.
// - The two newest snapshots stay; of those before, ever fewer the older they are, always the
//   oldest that the log still leads on from: time travel begins there.
//
// Called by keeper.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/log/log.h"

namespace noded::log {

struct KeptSnapshot {
    uint64_t seq = 0;
    uint64_t bytes = 0;
    bool verified = false;   ///< it was read back, or loaded
};

struct Kept {
    std::vector<KeptSegment> segments;     ///< oldest first
    std::vector<KeptSnapshot> snapshots;   ///< newest first
    uint64_t bytes = 0;                    ///< of all files but archives
};

struct RetentionLimits {
    uint64_t bytes_max = UINT64_MAX;
    /// So much of it is to be free: for the next segment, for a snapshot.
    uint64_t headroom = 0;
    bool lacks_space = false;       ///< nothing can be written now, whatever the sums say
    int64_t oldest_ns = INT64_MIN;  ///< what is older than this goes
    bool archive = false;
    uint64_t archive_bytes_max = UINT64_MAX;
    /// Of that segment no archive could be made, for want of room or for another reason; 0 for
    /// none.
    uint64_t not_archived = 0;
    bool archive_lacks_space = false;
    bool disk_is_full = false;   ///< so that an archive that goes makes room for the log
};

struct Release {
    enum class What {
        snapshot,      ///< goes
        segment,       ///< goes; its archive stays, if it has one
        old_archive,   ///< goes
        archive,       ///< is made of a segment
    };
    What what;
    uint64_t number;   ///< seq of the snapshot, id of the segment
    bool operator==(const Release&) const = default;
};

struct RetentionPlan {
    std::vector<Release> steps;
    /// Room or age ask for more, and a snapshot of now would allow it.
    bool snapshot_wanted = false;
};

RetentionPlan what_to_release(const Kept& kept, const RetentionLimits& limits);

}  // namespace noded::log
