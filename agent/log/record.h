// One record to and from its bytes (FORMAT.md, Record). Used by batch, reader and recovery.
#pragma once

#include "agent/log/format.h"
#include "agent/log/log.h"

namespace noded::log {

/// With a `body` of so many bytes: sender and payload.
constexpr size_t record_bytes(size_t body) { return sizeof(RecordHeader) + body; }

/// Writes `record` at the beginning of `into`, which has room for it; returns its size.
size_t encode_record(const Record& record, std::span<uint8_t> into);

/// Reads the record at the beginning of `from` into `record`, whose sender and payload then point
/// into `from`; returns its size. The error says what is wrong with it, without position.
Result<size_t> decode_record(Bytes from, Record& record);

}  // namespace noded::log
