// See batch.h.
#include "agent/log/batch.h"

#include "agent/base/crc32c.h"

namespace noded::log {

BatchBuffer::BatchBuffer(size_t capacity) : buffer_(kBlock + capacity), capacity_(capacity) {
    CHECK(capacity >= kBlock && capacity % kBlock == 0);
    CHECK(capacity <= limits::log_batch_bytes_max);
}

size_t BatchBuffer::sealed_bytes(size_t payload_bytes, size_t records) const {
    return round_up(used_ + records * sizeof(RecordHeader) + payload_bytes, kBlock);
}

bool BatchBuffer::fits(size_t payload_bytes, size_t records) const {
    return records_ + records <= limits::log_batch_records_max && payload_bytes <= capacity_ &&
           sealed_bytes(payload_bytes, records) <= capacity_;
}

void BatchBuffer::append(const Record& record) {
    CHECK(fits(record.sender.size() + record.payload.size()));
    CHECK(empty() || record.seq == last_seq() + 1);
    if (empty()) first_seq_ = record.seq;
    used_ += encode_record(record, buffer_.span(kBlock + used_, capacity_ - used_));
    ++records_;
}

Bytes BatchBuffer::seal(const Place& place, const SegmentHeader* opening) {
    CHECK(!empty());
    const size_t bytes = sealed_bytes();
    CHECK(bytes <= capacity_);
    const auto batch = buffer_.span(kBlock, bytes);
    memset(batch.data() + used_, kPadByte, bytes - used_);
    const uint64_t mask = choose_mask(batch);
    apply_mask(batch, mask);

    BatchHeader header{};
    header.magic = kBatchMagic;
    header.log_id = place.log_id;
    header.segment_id = place.segment_id;
    header.first_seq = first_seq_;
    header.batch_bytes = static_cast<uint32_t>(bytes);
    header.records = records_;
    header.mask = mask;
    header.records_bytes = static_cast<uint32_t>(used_ - sizeof header);
    header.body_crc = crc32c(batch.subspan(sizeof header));
    header.crc = crc32c({reinterpret_cast<const uint8_t*>(&header), kHeaderCrcBytes});
    memcpy(batch.data(), &header, sizeof header);

    if (opening == nullptr) return batch;
    encode_segment_header(*opening, buffer_.span(0, kBlock));
    return buffer_.span(0, kBlock + bytes);
}

void BatchBuffer::clear() {
    used_ = sizeof(BatchHeader);
    records_ = 0;
}

void encode_segment_header(SegmentHeader header, std::span<uint8_t> block) {
    CHECK(block.size() == kBlock && header.log_id != 0);
    header.crc = crc32c({reinterpret_cast<const uint8_t*>(&header), kHeaderCrcBytes});
    memset(block.data(), kPadByte, block.size());
    memcpy(block.data(), &header, sizeof header);
}

bool header_crc_matches(Bytes bytes) {
    CHECK(bytes.size() >= sizeof(BatchHeader));
    uint32_t stored;
    memcpy(&stored, bytes.data() + kHeaderCrcBytes, sizeof stored);
    return crc32c(bytes.first(kHeaderCrcBytes)) == stored;
}

void apply_mask(std::span<uint8_t> batch, uint64_t mask) {
    CHECK(batch.size() % kBlock == 0);
    if (mask == 0) return;
    for (size_t at = kSector; at < batch.size(); at += sizeof mask) {
        uint64_t word;
        memcpy(&word, batch.data() + at, sizeof word);
        word ^= mask;
        memcpy(batch.data() + at, &word, sizeof word);
    }
}

uint64_t choose_mask(Bytes batch) {
    CHECK(batch.size() % kBlock == 0);
    uint64_t mask = 0;
    for (size_t at = kSector; at < batch.size();) {
        if (words_unlike(batch.data() + at, mask) >= 2) {
            at += kSector;
            continue;
        }
        // Each sector rules out one mask at most, so this ends; it begins again because the mask
        // changed for all.
        mask = mask * 6364136223846793005u + 1442695040888963407u;
        at = kSector;
    }
    return mask;
}

unsigned words_unlike(const uint8_t* sector, uint64_t word) {
    unsigned unlike = 0;
    for (size_t at = 0; at < kSector && unlike < 2; at += sizeof word) {
        uint64_t found;
        memcpy(&found, sector + at, sizeof found);
        if (found != word) ++unlike;
    }
    return unlike;
}

bool all_zero(Bytes bytes) {
    // An overlapping comparison: the first byte is zero and every byte equals the one before it.
    return bytes.empty() ||
           (bytes[0] == 0 && memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace noded::log
