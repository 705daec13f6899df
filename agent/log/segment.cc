// See segment.h.
#include "agent/log/segment.h"

#include "agent/base/crc32c.h"

namespace noded::log {

namespace {

bool is_padding(Bytes bytes) {
    for (const uint8_t byte : bytes) {
        if (byte != kPadByte) return false;
    }
    return true;
}

}  // namespace

SegmentInfo new_segment_info(uint64_t id, uint64_t first_seq, uint64_t segment_bytes) {
    SegmentInfo segment{id, first_seq, segment_bytes, {}, {}, 0};
    segment.index.reserve(segment_bytes / limits::log_index_stride_bytes + 2);
    segment.index.push_back({first_seq, kBlock});
    return segment;
}

void note_batch(SegmentInfo& segment, uint64_t seq, uint64_t offset) {
    CHECK(!segment.index.empty());
    if (offset < segment.index.back().offset + limits::log_index_stride_bytes) return;
    CHECK(segment.index.size() < segment.index.capacity());
    segment.index.push_back({seq, offset});
}

std::string numbered_name(std::string_view prefix, uint64_t number) {
    std::array<uint8_t, 8> big_endian;
    for (int i = 7; i >= 0; --i, number >>= 8) big_endian[i] = static_cast<uint8_t>(number);
    return std::string(prefix) + to_hex(big_endian);
}

std::string segment_name(uint64_t id) { return numbered_name(kSegmentPrefix, id); }

std::optional<uint64_t> number_in_name(std::string_view name, std::string_view prefix) {
    std::array<uint8_t, 8> big_endian;
    if (!name.starts_with(prefix) || !from_hex(name.substr(prefix.size()), big_endian)) return {};
    uint64_t number = 0;
    for (const uint8_t byte : big_endian) number = number << 8 | byte;
    if (numbered_name(prefix, number) != name) return {};
    return number;
}

HeaderState parse_segment_header(Bytes block, uint64_t id, uint64_t file_bytes,
                                 SegmentHeader& header, std::string& why) {
    CHECK(block.size() == kBlock);
    memcpy(&header, block.data(), sizeof header);
    bool sector_missing = all_zero(block.first(kSector));
    if (!sector_missing) {
        why.clear();
        if (!header_crc_matches(block))
            why = "the checksum of the segment header does not match";
        else if (header.magic != kSegmentMagic)
            why = "this is not a segment of a noded log";
        else if (header.version < kFormatVersionOldest || header.version > kFormatVersion)
            why = "format " + std::to_string(header.version) +
                  " was written by another noded, this one reads up to " +
                  std::to_string(kFormatVersion);
        else if (header.block_bytes != kBlock)
            why = "the segment header names another block size";
        else if (header.segment_id != id)
            why = "the segment header says that this is " + segment_name(header.segment_id);
        else if (header.segment_bytes != file_bytes)
            why = "the file has " + std::to_string(file_bytes) + " bytes, its header says " +
                  std::to_string(header.segment_bytes);
        else if (header.log_id == 0 || header.first_seq == 0 || !all_zero(header.reserved))
            why = "the segment header holds impossible values";
        else if (!is_padding(block.subspan(sizeof header, kSector - sizeof header)))
            why = "the padding of the segment header is not as written";
        if (!why.empty()) return HeaderState::damaged;
    }
    for (size_t at = kSector; at < kBlock; at += kSector) {
        const Bytes sector = block.subspan(at, kSector);
        if (is_padding(sector)) continue;
        if (!all_zero(sector)) {
            why = "the padding of the segment header is not as written";
            return HeaderState::damaged;
        }
        sector_missing = true;
    }
    return sector_missing ? HeaderState::unwritten : HeaderState::valid;
}

HeaderState parse_batch_header(Bytes block, const Place& place, uint64_t room, BatchHeader& header,
                               std::string& why) {
    CHECK(block.size() >= kSector);
    if (all_zero(block.first(kSector))) return HeaderState::unwritten;
    memcpy(&header, block.data(), sizeof header);
    why.clear();
    if (!header_crc_matches(block))
        why = "the checksum of the batch header does not match";
    else if (header.magic != kBatchMagic)
        why = "no batch begins here";
    else if (place.log_id != 0 && header.log_id != place.log_id)
        why = "this batch belongs to another log";
    else if (header.segment_id != place.segment_id)
        why = "this batch belongs to " + segment_name(header.segment_id);
    else if (header.batch_bytes == 0 || header.batch_bytes % kBlock != 0 ||
             header.batch_bytes > limits::log_batch_bytes_max || header.batch_bytes > room ||
             header.records == 0 || header.records > limits::log_batch_records_max ||
             header.records_bytes > header.batch_bytes - sizeof header || header.reserved != 0)
        why = "the batch header holds impossible values";
    return why.empty() ? HeaderState::valid : HeaderState::damaged;
}

bool open_batch(std::span<uint8_t> batch, const BatchHeader& header) {
    CHECK(batch.size() == header.batch_bytes);
    if (crc32c(batch.subspan(sizeof header)) != header.body_crc) return false;
    apply_mask(batch, header.mask);
    return true;
}

std::unexpected<Error> damage(uint64_t segment_id, uint64_t position, const std::string& why) {
    return fail("log " + segment_name(segment_id) + " at byte " + std::to_string(position) + ": " +
                why +
                "; the file was left as it is. It may hold acknowledged events: restore the file "
                "from a copy, or move the whole log directory aside to begin with an empty log");
}

}  // namespace noded::log
