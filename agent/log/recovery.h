// Recovery: judges the header of every segment and all of the last one, and says where writing
// goes on (FORMAT.md, How it is recovered). The bodies of sealed segments are judged when they are
// read: at start by replay, which reads those that no snapshot covers, and each byte of them once.
//
// All of that is judged before anything is changed: a refused log is left exactly as it was found.
// Used by open_log and, without repair, by read_log.
#pragma once

#include "agent/log/segment.h"

namespace noded::log {

struct Recovered {
    uint64_t log_id = 0;                ///< 0: nothing was ever written
    /// opened ones, ascending; below them those that only their archives hold
    std::vector<SegmentInfo> segments;
    uint64_t end_offset = 0;            ///< in the last of them: where the next batch goes
    uint64_t next_seq = 1;
    bool prepared = false;  ///< a segment of zeros follows the last one
    bool recycled = false;  ///< kRecycledName is there
};

enum class Repair {
    yes,  ///< cut a torn tail, remove unfinished segments
    no,   ///< change nothing
};

Result<Recovered> recover(Storage& storage, Repair repair, std::string* notice);

}  // namespace noded::log
