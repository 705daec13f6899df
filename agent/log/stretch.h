// Stretches of the log, read beside the reactor's thread (Storage::aside): whoever reads a long
// history while the node runs, or looks for a time in it, waits for no disk, checks no checksum and
// opens no archive.
//
// Invariant: what the work touches is its own, copies of segments' places included; where it passed
// is noted in the log's own segments when it is back. Called by LogWriter.
#pragma once

#include "agent/log/segment.h"

namespace noded::log {

class StretchReader final : private WriteDone {
public:
    /// `segments` are the log's own, of which this one notes places.
    StretchReader(Storage& storage, std::vector<SegmentInfo>& segments)
        : storage_(storage), segments_(segments) {}

    /// As Log::read_aside; `last` is the newest durable record.
    bool start(uint64_t log_id, uint64_t first, uint64_t last, StretchDone& done);

private:
    struct Work;

    void written(Status status) override;

    Storage& storage_;
    std::vector<SegmentInfo>& segments_;
    std::shared_ptr<Work> work_;
    StretchDone* done_ = nullptr;   ///< while one is under way
};

/// As Log::seq_at_aside; `last` is the newest durable record, `segments` are the log's own.
void find_time_aside(Storage& storage, std::vector<SegmentInfo>& segments, uint64_t log_id,
                     uint64_t last, int64_t time_ns, SeqFound found);

}  // namespace noded::log
