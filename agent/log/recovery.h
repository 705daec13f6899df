// Recovery: judges the header of every segment and all of the last one, and says where writing
// goes on (FORMAT.md, How it is recovered). The bodies of sealed segments are judged when they are
// read: at start by replay, which reads those that no snapshot covers, and each byte of them once.
//
// All of that is judged before anything is changed: a refused log is left exactly as it was found.
// Used by open_log and, without repair, by read_log.
#pragma once

#include "agent/log/segment.h"

namespace noded::log {

/// The end of a segment where nothing was written yet and which was not looked at.
struct Unseen {
    uint64_t segment_id;
    uint64_t begin;
};

struct Recovered {
    uint64_t log_id = 0;                ///< 0: nothing was ever written
    /// opened ones, ascending; below them those that only their archives hold
    std::vector<SegmentInfo> segments;
    uint64_t end_offset = 0;            ///< in the last of them: where the next batch goes
    uint32_t format_version = 0;        ///< of the last of them, 0 if there is none
    uint64_t next_seq = 1;
    bool prepared = false;  ///< a segment of zeros follows the last one
    bool recycled = false;  ///< kRecycledName is there
    /// To be looked at before anything is written (check_zeros); none without repair
    std::vector<Unseen> unseen;
};

enum class Repair {
    yes,  ///< cut a torn tail, remove unfinished segments
    no,   ///< change nothing
};

/// With repair, what lies further behind the end than any write under way can have reached is left
/// unseen if all before it is zeros: reading up to two segments of nothing would be most of a
/// start.
Result<Recovered> recover(Storage& storage, Repair repair, std::string* notice);

/// That nothing was ever written there. Blocking, for Storage::aside.
Status check_zeros(Storage& storage, const std::vector<Unseen>& unseen);

}  // namespace noded::log
