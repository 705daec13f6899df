// Reading a segment that recovery has accepted. Used by Log::read and read_log; Window also by
// recovery.
#pragma once

#include "agent/log/segment.h"

namespace noded::log {

/// A file seen through a buffer of large aligned reads.
class Window {
public:
    explicit Window(File& file) : file_(file), buffer_(limits::log_batch_bytes_max) {}

    /// `bytes` of the file from `offset`, both whole blocks within the file; at most the largest
    /// batch. May be changed, is valid until the next call.
    Result<std::span<uint8_t>> at(uint64_t offset, size_t bytes);

private:
    File& file_;
    AlignedBuffer buffer_;
    uint64_t begin_ = 0;
    size_t filled_ = 0;
};

/// What `read_segment` reads: from the batch at `from` up to the record `last`; `each` is told
/// those from `first`.
struct ReadRange {
    IndexPoint from;
    uint64_t first;
    uint64_t last;
};

/// False if `each` ended the reading.
Result<bool> read_segment(File& file, const Place& place, const ReadRange& range,
                          const EachRecord& each);

/// The records first <= seq <= last of `segments`, which hold them all.
Status read_segments(Storage& storage, uint64_t log_id, const std::vector<SegmentInfo>& segments,
                     uint64_t first, uint64_t last, const EachRecord& each);

}  // namespace noded::log
