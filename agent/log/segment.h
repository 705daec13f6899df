// Segments as files: their names, their headers, and what the log remembers of each. Used by
// writer, reader, recovery.
#pragma once

#include <optional>

#include "agent/log/batch.h"

namespace noded::log {

/// Where in a segment a batch begins; a few of them, so that paging through history does not scan
/// whole segments.
struct IndexPoint {
    uint64_t seq;
    uint64_t offset;
};

struct SegmentInfo {
    uint64_t id = 0;
    uint64_t first_seq = 0;
    uint64_t bytes = 0;             ///< size of the file; 0 if only its archive is there
    std::vector<IndexPoint> index;  ///< ascending; the first is the beginning of block 1
    std::optional<int64_t> first_time_ns;  ///< of the first record, once somebody asked
    uint64_t archive_bytes = 0;     ///< size of its archive's file, 0 if there is none

    bool in_log() const { return bytes != 0; }
};

SegmentInfo new_segment_info(uint64_t id, uint64_t first_seq, uint64_t segment_bytes);

/// Remembers the batch if the last remembered one is far enough before it. Does not allocate: the
/// index of a segment has limits::log_index_stride_bytes between its points.
void note_batch(SegmentInfo& segment, uint64_t seq, uint64_t offset);

std::string segment_name(uint64_t id);
/// The number in `name` if it is `prefix` and 16 lower-case hexadecimal digits.
std::optional<uint64_t> number_in_name(std::string_view name, std::string_view prefix);
inline constexpr std::string_view kSegmentPrefix = "segment-";
inline constexpr std::string_view kSnapshotPrefix = "snapshot-";
std::string numbered_name(std::string_view prefix, uint64_t number);
inline constexpr char kRecycledName[] = "segment.recycled";

/// What stands at a place where a header is expected.
enum class HeaderState {
    valid,
    unwritten,  ///< sectors of it were never written; the rest is as it should be
    damaged,
};

/// Judges the first block of a segment. `why` says what is damaged.
HeaderState parse_segment_header(Bytes block, uint64_t id, uint64_t file_bytes,
                                 SegmentHeader& header, std::string& why);

/// Judges the first block of a batch; `room` is what is left of the segment from there. log_id 0 in
/// `place` is any log.
HeaderState parse_batch_header(Bytes block, const Place& place, uint64_t room, BatchHeader& header,
                               std::string& why);

/// Checks the whole batch behind a valid header and removes the mask. False if its checksum does
/// not match.
bool open_batch(std::span<uint8_t> batch, const BatchHeader& header);

/// The error for a segment that is not as the format says.
std::unexpected<Error> damage(uint64_t segment_id, uint64_t position, const std::string& why);

}  // namespace noded::log
