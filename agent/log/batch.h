// A batch being filled, and the rules of its bytes (FORMAT.md, Batch). BatchBuffer belongs to the
// writer, which has two; the free functions are shared with reader and recovery.
//
// The buffer has one block in front of the batch, so that the first batch of a segment and the
// segment's header are one write. Appending copies and checksums; nothing allocates after
// construction.
#pragma once

#include "agent/log/aligned.h"
#include "agent/log/record.h"

namespace noded::log {

/// What ties bytes to their place: which log, which segment of it.
struct Place {
    uint64_t log_id;
    uint64_t segment_id;
};

class BatchBuffer {
public:
    /// `capacity` bounds the batch with its header and padding; a multiple of the block.
    explicit BatchBuffer(size_t capacity);

    bool fits(size_t payload_bytes, size_t records = 1) const;
    void append(const Record& record);
    bool empty() const { return records_ == 0; }
    uint64_t last_seq() const { return first_seq_ + records_ - 1; }
    uint64_t first_seq() const { return first_seq_; }

    /// Size of the batch if `records` records with `payload_bytes` are added: what the write takes,
    /// padding included.
    size_t sealed_bytes(size_t payload_bytes = 0, size_t records = 0) const;

    /// Completes the batch for its place. With `opening`, the result begins with that segment
    /// header's block.
    Bytes seal(const Place& place, const SegmentHeader* opening);
    void clear();

private:
    AlignedBuffer buffer_;
    size_t capacity_;
    size_t used_ = sizeof(BatchHeader);
    uint32_t records_ = 0;
    uint64_t first_seq_ = 0;
};

/// Fills a block with the header and its padding; computes the CRC.
void encode_segment_header(SegmentHeader header, std::span<uint8_t> block);

/// True if the 64 bytes at `bytes` end in their right CRC.
bool header_crc_matches(Bytes bytes);

/// XORs the batch's words from the second sector on.
void apply_mask(std::span<uint8_t> batch, uint64_t mask);

/// The first mask of the sequence under which every sector of `batch` has two words that are not
/// zero.
uint64_t choose_mask(Bytes batch);

/// How many words of a sector are not `word`, counted up to two.
unsigned words_unlike(const uint8_t* sector, uint64_t word);

bool all_zero(Bytes bytes);

}  // namespace noded::log
