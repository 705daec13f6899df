// The structures of FORMAT.md, byte for byte. Used by batch, reader, recovery, archive and
// snapshot; nobody outside this folder.
#pragma once

#include <bit>
#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/limits.h"

namespace noded::log {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr size_t kBlock = limits::log_block_bytes;
constexpr size_t kSector = 512;
constexpr uint8_t kPadByte = 0x5A;
constexpr uint32_t kFormatVersion = 2;
constexpr uint32_t kFormatVersionOldest = 1;   ///< without senders
constexpr uint32_t kSnapshotVersion = 1;
constexpr uint32_t kArchiveVersion = 1;

/// The eight characters of `text` as they stand in the file.
constexpr uint64_t magic(const char (&text)[9]) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(text[i]);
    return value;
}
constexpr uint64_t kSegmentMagic = magic("nodedlog");
constexpr uint64_t kBatchMagic = magic("nodbatch");
constexpr uint64_t kSnapshotMagic = magic("nodesnap");
constexpr uint64_t kArchiveMagic = magic("nodearch");
constexpr uint32_t kSkippableMagic = 0x184D2A50;   ///< RFC 8878, 3.1.2

struct SegmentHeader {
    uint64_t magic;
    uint32_t version;
    uint32_t block_bytes;
    uint64_t log_id;
    uint64_t segment_id;
    uint64_t first_seq;
    uint64_t segment_bytes;
    uint8_t reserved[12];
    uint32_t crc;
};

struct BatchHeader {
    uint64_t magic;
    uint64_t log_id;
    uint64_t segment_id;
    uint64_t first_seq;
    uint32_t batch_bytes;
    uint32_t records;
    uint64_t mask;
    uint32_t records_bytes;
    uint32_t body_crc;
    uint32_t reserved;
    uint32_t crc;
};

struct RecordHeader {
    uint64_t seq;
    int64_t time_ns;
    uint64_t type;
    uint64_t cause_seq;
    uint8_t command_id[32];
    uint32_t payload_bytes;
    uint32_t crc;
};

/// In RecordHeader::payload_bytes, which is a multiple of 8: a sender stands before the payload.
constexpr uint32_t kSenderFlag = 1;

struct SenderHeader {
    uint64_t command_type;
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
    uint32_t client_bytes;
};

struct SnapshotHeader {
    uint64_t magic;
    uint32_t version;
    uint32_t sections;
    uint64_t seq;
    uint64_t file_bytes;
    uint32_t body_crc;
    uint8_t reserved[24];
    uint32_t crc;
};

struct SectionHeader {
    uint32_t name_bytes;
    uint32_t reserved;
    uint64_t data_bytes;
};

/// Begins and ends as zstd's decoders skip it.
struct ArchiveHeader {
    uint32_t skippable_magic;
    uint32_t skippable_bytes;
    uint64_t magic;
    uint32_t version;
    uint32_t frames;
    uint64_t log_id;
    uint64_t segment_id;
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t first_time_ns;
    int64_t last_time_ns;
    uint64_t segment_bytes;
    uint64_t file_bytes;
    uint32_t frame_bytes;
    uint32_t header_bytes;
    uint32_t table_crc;
    uint8_t reserved[24];
    uint32_t crc;
};

struct ArchiveFrame {
    uint64_t batch_seq;
    uint32_t batch_offset;
    uint32_t bytes;
    uint32_t crc;
    uint32_t reserved;
};

static_assert(sizeof(ArchiveHeader) == 128 && sizeof(ArchiveFrame) == 24);
static_assert(sizeof(SegmentHeader) == 64 && sizeof(BatchHeader) == 64 &&
              sizeof(SnapshotHeader) == 64);
static_assert(sizeof(RecordHeader) == 72 && sizeof(SectionHeader) == 16 &&
              sizeof(SenderHeader) == 24);
static_assert(kBlock == 4096, "FORMAT.md names it");

/// The headers of 64 bytes all end in the CRC of what stands before.
constexpr size_t kHeaderCrcBytes = 60;

}  // namespace noded::log
