// Reading segments, and judging what is read: recovery has judged every segment's header and the
// body of the last one, the bodies of the others are judged here, whenever they are read. Used by
// Log::read and read_log; Window and read_batch also by recovery.
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

struct SeqRange {
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
};

/// Checks the records of a batch whose mask is removed, each of them, and tells `each` those of
/// `range` until it returns false. False if it did.
Result<bool> read_batch(Bytes batch, const BatchHeader& header, const Place& place, uint64_t offset,
                        const SeqRange& range, const EachRecord& each);

/// The records first <= seq <= last of `segments`, which are all sealed but the last one; ENOENT if
/// `first` is older than what they hold. Remembers in their indexes where it passed.
Status read_segments(Storage& storage, uint64_t log_id, std::vector<SegmentInfo>& segments,
                     uint64_t first, uint64_t last, const EachRecord& each);

/// Time of the first record of `segments[i]`; nothing if that record is newer than `last`.
/// Remembers it.
Result<std::optional<int64_t>> first_time(Storage& storage, uint64_t log_id,
                                          std::vector<SegmentInfo>& segments, size_t i,
                                          uint64_t last);

/// The seq of a record that is not older than `time_ns` and whose predecessor, if there is one, is;
/// last + 1 if there is none. By binary search over the segments' first records, so one segment is
/// read. Where the clock was set back several records fit this, and any of them may be the answer.
Result<uint64_t> find_time(Storage& storage, uint64_t log_id, std::vector<SegmentInfo>& segments,
                           uint64_t last, int64_t time_ns);

}  // namespace noded::log
