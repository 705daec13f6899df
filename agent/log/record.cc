// See record.h. A record is checked before it is written and after it is read, by the same rules.
#include "agent/log/record.h"

#include <cstddef>

#include "agent/base/check.h"
#include "agent/base/crc32c.h"

namespace noded::log {

namespace {

constexpr size_t kCrcAt = offsetof(RecordHeader, crc);

uint32_t record_crc(const uint8_t* header, Bytes payload) {
    return crc32c(payload, crc32c({header, kCrcAt}));
}

}  // namespace

size_t encode_record(const Record& record, std::span<uint8_t> into) {
    CHECK(record.payload.size() <= limits::log_payload_bytes_max);
    CHECK_MSG(record.payload.size() % kWordSize == 0, "a payload is a whole number of words");
    CHECK(into.size() >= record_bytes(record.payload.size()));
    // In its place from the start: a copy of what was just written would wait for the stores.
    auto& header = *reinterpret_cast<RecordHeader*>(into.data());
    header.seq = record.seq;
    header.time_ns = record.time_ns;
    header.type = record.type;
    header.cause_seq = record.cause_seq;
    memcpy(header.command_id, record.command_id.bytes.data(), sizeof header.command_id);
    header.payload_bytes = static_cast<uint32_t>(record.payload.size());
    header.crc = record_crc(into.data(), record.payload);
    if (!record.payload.empty()) {
        memcpy(into.data() + sizeof header, record.payload.data(), record.payload.size());
    }
    return record_bytes(record.payload.size());
}

Result<size_t> decode_record(Bytes from, Record& record) {
    if (from.size() < sizeof(RecordHeader)) return fail("the record header is cut short");
    RecordHeader header;
    memcpy(&header, from.data(), sizeof header);
    if (header.payload_bytes > limits::log_payload_bytes_max ||
        header.payload_bytes % kWordSize != 0 ||
        header.payload_bytes > from.size() - sizeof header) {
        return fail("the record claims an impossible payload of " +
                    std::to_string(header.payload_bytes) + " bytes");
    }
    const Bytes payload = from.subspan(sizeof header, header.payload_bytes);
    if (record_crc(from.data(), payload) != header.crc)
        return fail("the record's checksum does not match");
    record.seq = header.seq;
    record.time_ns = header.time_ns;
    record.type = header.type;
    record.cause_seq = header.cause_seq;
    memcpy(record.command_id.bytes.data(), header.command_id, sizeof header.command_id);
    record.payload = payload;
    return record_bytes(payload.size());
}

}  // namespace noded::log
