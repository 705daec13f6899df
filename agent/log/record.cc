// See record.h. A record is checked before it is written and after it is read, by the same rules.
#include "agent/log/record.h"

#include <cstddef>

#include "agent/base/check.h"
#include "agent/base/crc32c.h"
#include "agent/log/sender.h"

namespace noded::log {

namespace {

constexpr size_t kCrcAt = offsetof(RecordHeader, crc);

/// `body` is all that stands behind the header.
uint32_t record_crc(const uint8_t* header, Bytes body) {
    return crc32c(body, crc32c({header, kCrcAt}));
}

uint32_t record_crc(const uint8_t* header, Bytes sender, Bytes payload) {
    return crc32c(payload, crc32c(sender, crc32c({header, kCrcAt})));
}

}  // namespace

size_t encode_record(const Record& record, std::span<uint8_t> into) {
    CHECK(record.payload.size() <= limits::log_payload_bytes_max);
    CHECK_MSG(record.payload.size() % kWordSize == 0, "a payload is a whole number of words");
    const size_t sender = record.sender.size();
    CHECK(sender % kWordSize == 0 && sender <= limits::command_sender_bytes_max);
    const size_t size = record_bytes(sender + record.payload.size());
    CHECK(into.size() >= size);
    // In its place from the start: a copy of what was just written would wait for the stores.
    auto& header = *reinterpret_cast<RecordHeader*>(into.data());
    header.seq = record.seq;
    header.time_ns = record.time_ns;
    header.type = record.type;
    header.cause_seq = record.cause_seq;
    memcpy(header.command_id, record.command_id.bytes.data(), sizeof header.command_id);
    header.payload_bytes = static_cast<uint32_t>(record.payload.size());
    if (sender != 0) {
        header.payload_bytes |= kSenderFlag;
        header.crc = record_crc(into.data(), record.sender, record.payload);
        memcpy(into.data() + sizeof header, record.sender.data(), sender);
    } else {
        header.crc = record_crc(into.data(), record.payload);
    }
    if (!record.payload.empty()) {
        memcpy(into.data() + sizeof header + sender, record.payload.data(),
               record.payload.size());
    }
    return size;
}

Result<size_t> decode_record(Bytes from, Record& record) {
    if (from.size() < sizeof(RecordHeader)) return fail("the record header is cut short");
    RecordHeader header;
    memcpy(&header, from.data(), sizeof header);
    const Bytes rest = from.subspan(sizeof header);
    size_t sender = 0;
    if (header.payload_bytes & kSenderFlag) sender = TRY(sender_bytes(rest));
    const uint32_t payload = header.payload_bytes & ~kSenderFlag;
    if (payload > limits::log_payload_bytes_max || payload % kWordSize != 0 ||
        payload > rest.size() - sender) {
        return fail("the record claims an impossible payload of " + std::to_string(payload) +
                    " bytes");
    }
    const Bytes body = rest.first(sender + payload);
    if (record_crc(from.data(), body) != header.crc)
        return fail("the record's checksum does not match");
    record.seq = header.seq;
    record.time_ns = header.time_ns;
    record.type = header.type;
    record.cause_seq = header.cause_seq;
    memcpy(record.command_id.bytes.data(), header.command_id, sizeof header.command_id);
    record.payload = body.subspan(sender);
    record.sender = body.first(sender);
    return record_bytes(body.size());
}

}  // namespace noded::log
