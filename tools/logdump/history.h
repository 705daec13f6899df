// A log as it lies in a directory: every byte read, judged and told, also past damage. Where noded
// stops at the first wrong byte, this goes on, so that an operator sees all that is wrong and all
// that can still be read.
//
// Beside a noded that writes, the end of the log is what had been written when it was read; a write
// under way is no damage. What is torn and what is damaged is decided by noded's own recovery.
// Used by every command of logdump.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/log/log.h"
#include "agent/log/storage.h"

namespace noded::logdump {

struct Damage {
    uint64_t segment = 0;  ///< 0: not in a segment of the log
    uint64_t batch = 0;    ///< where the batch begins that it makes unreadable, 0 in the header
    uint64_t last_seq = 0; ///< the newest event read before it, 0 for none
    uint64_t records = 0;  ///< so many
    std::string text;      ///< "FILE at byte N: WHAT"
};

/// A segment with a header.
struct SegmentSummary {
    uint64_t id = 0;
    std::string file;        ///< its archive where only that is there
    uint64_t first_seq = 0;  ///< 0 if its header cannot be read
    uint64_t records = 0;
    uint64_t bytes = 0;      ///< of the file
    uint64_t end = 0;        ///< after the last valid batch
};

struct History {
    std::vector<SegmentSummary> segments;
    std::vector<Damage> damages;  ///< in the order of the log
    std::string notice;           ///< a torn write at the end, or one under way
    uint64_t oldest_seq = 0;      ///< 0: there is none
    uint64_t last_seq = 0;
    uint64_t records = 0;
};

/// Reads the records from `first` (0: all) that can be read and judges what was passed on the way;
/// all of it with `first` 0. If `each` ends the reading, what follows is not judged. Fails where
/// the directory or a file cannot be read.
Result<History> read_history(log::Storage& storage, uint64_t first, const log::EachRecord& each);

struct ArchiveSummary {
    std::string file;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;
    uint64_t bytes = 0;           ///< of the file
    uint64_t segment_bytes = 0;   ///< of what it holds; 0 if its header cannot be read
    bool beside = false;          ///< its segment is in the log, too
};

/// Judges every byte of every archive, oldest first; adds to `history.damages`.
Result<std::vector<ArchiveSummary>> judge_archives(log::Storage& storage, History& history);

struct SnapshotSummary {
    uint64_t seq = 0;
    std::string file;
    bool valid = false;
    size_t sections = 0;
};

/// Judges every snapshot, newest first, and whether one covers what the log no longer holds;
/// adds to `history.damages`.
Result<std::vector<SnapshotSummary>> judge_snapshots(log::Storage& storage, History& history);

}  // namespace noded::logdump
