// Stretches of the log, read beside the reactor's thread (Storage::aside): whoever reads a long
// history while the node runs waits for no disk, checks no checksum and opens no archive.
//
// Invariant: what the work touches is its own, copies of two segments' places included; where it
// passed is noted in the log's own segments when it is back. Owned by LogWriter.
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
    void note_places();

    Storage& storage_;
    std::vector<SegmentInfo>& segments_;
    std::shared_ptr<Work> work_;
    StretchDone* done_ = nullptr;   ///< while one is under way
};

}  // namespace noded::log
