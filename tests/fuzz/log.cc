// A log that is written by its own writer, then damaged, then opened again. The input is a small
// program of both: records, crashes with sectors lost, bytes changed with and without their
// checksums put right, files cut, removed and copied.
//
// Whatever stands there, opening ends in a log or in a sentence; what opens can be read whole,
// in order, and written to; and a log that only crashed holds all that was durable.
#include <map>

#include "agent/base/check.h"
#include "agent/base/crc32c.h"
#include "agent/log/batch.h"
#include "agent/log/log.h"
#include "agent/log/reader.h"
#include "agent/log/record.h"
#include "agent/log/recovery.h"
#include "agent/log/sender.h"
#include "agent/log/storage_mem.h"
#include "tests/fuzz/input.h"

namespace noded::log {
namespace {

using fuzz::Input;

constexpr LogOptions kOptions{4 * kBlock, 0x1122334455667788};
constexpr int kStepsMax = 64;

class Machine final : SyncDone {
public:
    explicit Machine(Input input) : input_(input) {}

    void run() {
        open();
        for (int step = 0; step < kStepsMax && !input_.empty(); ++step) {
            switch (input_.number() % 8) {
                case 0: append(); break;
                case 1: sync(); break;
                case 2: crash(); break;
                case 3: change_bytes(); break;
                case 4: put_checksums_right(); break;
                case 5: resize_file(); break;
                case 6: move_file(); break;
                case 7: read_from_middle(); break;
            }
        }
        close();
        open();
        if (log_) check_whole(1);
    }

private:
    void open() {
        if (log_) return;
        std::string notice;
        // What a tool sees without changing anything is what noded then finds.
        std::string tool_notice;
        const Status seen = read_without_repair(&tool_notice);
        auto opened = open_log(storage_, &notice, kOptions);
        if (!opened) {
            CHECK_MSG(damaged_, opened.error().message.c_str());
            CHECK(!opened.error().message.empty());
            return;
        }
        log_ = std::move(*opened);
        storage_.run();
        if (!damaged_) CHECK(log_->next_seq() > durable_);
        durable_ = log_->next_seq() - 1;
        CHECK(check_whole(log_->oldest_seq()) == seen.has_value());
    }
    Status read_without_repair(std::string* notice) {
        auto recovered = TRY(recover(storage_, Repair::no, notice));
        if (recovered.segments.empty()) return {};
        return read_segments(storage_, recovered.log_id, recovered.segments,
                             recovered.segments.front().first_seq, recovered.next_seq - 1,
                             [](const Record&) { return true; });
    }
    void close() {
        storage_.run();
        log_.reset();
        unsynced_ = false;
    }

    void append() {
        open();
        const size_t bytes = input_.number<uint16_t>() % 6000 / 8 * 8;
        const size_t room = bytes + limits::command_sender_bytes_max;
        if (!log_ || !log_->ensure_room(room)) return;
        if (!log_->fits(room)) sync();
        if (!log_ || !log_->fits(room)) return;
        const Buffer payload(bytes, input_.number());
        Record record;
        record.seq = log_->next_seq();
        record.type = input_.number();
        record.payload = payload;
        EncodedSender sender;
        if ((record.type & 1) != 0)
            record.sender = encode_sender({record.type, 1, 2, 3, "a client"}, sender);
        log_->append(record);
        unsynced_ = true;
    }
    void sync() {
        if (!log_ || !unsynced_ || log_->sync_under_way()) return;
        unsynced_ = false;
        log_->sync(*this);
        if ((input_.number() & 1) == 0) storage_.run();
    }
    void synced(Status status, uint64_t durable) override {
        CHECK(status.has_value());
        durable_ = durable;
    }
    void crash() {
        const auto mask = input_.number<uint16_t>();
        storage_.crash([&](size_t sector) { return (mask >> sector % 16 & 1) != 0; });
        log_.reset();
        unsynced_ = false;
        open();
    }

    std::string some_file() {
        const auto names = *storage_.list();
        if (names.empty()) return {};
        return names[input_.number() % names.size()];
    }
    void change_bytes() {
        close();
        const std::string name = some_file();
        if (name.empty()) return;
        Buffer& bytes = storage_.bytes(name);
        // Most of what matters stands at the beginning of a block.
        const size_t at = input_.number() * kBlock + input_.number<uint16_t>() % kBlock;
        for (const uint8_t value : input_.take(1 + input_.number() % 16)) {
            if (at >= bytes.size()) break;
            const size_t offset = std::min(at + changed_ % 16, bytes.size() - 1);
            bytes[offset] = value;
            ++changed_;
        }
        damaged_ = true;
        open();
    }
    /// Every header and record that is still recognizable says what stands there.
    void put_checksums_right() {
        close();
        const std::string name = some_file();
        if (name.empty()) return;
        Buffer& bytes = storage_.bytes(name);
        for (size_t at = 0; at + kBlock <= bytes.size(); at += kBlock) {
            put_block_right({bytes.data() + at, bytes.size() - at});
        }
        damaged_ = true;
        open();
    }
    static void put_block_right(std::span<uint8_t> from) {
        BatchHeader header;
        memcpy(&header, from.data(), sizeof header);
        if (header.magic == kBatchMagic && header.batch_bytes > sizeof header &&
            header.batch_bytes <= from.size()) {
            put_records_right(from.first(header.batch_bytes), header);
            const auto body = from.subspan(sizeof header, header.batch_bytes - sizeof header);
            header.body_crc = crc32c(body);
            memcpy(from.data(), &header, sizeof header);
        }
        const uint32_t crc = crc32c(from.first(kHeaderCrcBytes));
        memcpy(from.data() + kHeaderCrcBytes, &crc, sizeof crc);
    }
    /// Record after record, as far as their sizes lead; the mask is put on again.
    static void put_records_right(std::span<uint8_t> batch, const BatchHeader& header) {
        if (batch.size() % kBlock != 0) return;
        apply_mask(batch, header.mask);
        size_t at = sizeof header;
        for (uint32_t i = 0; i < header.records && at + sizeof(RecordHeader) <= batch.size(); ++i) {
            RecordHeader record;
            memcpy(&record, batch.data() + at, sizeof record);
            const size_t rest = batch.size() - at - sizeof record;
            size_t body = record.payload_bytes & ~kSenderFlag;
            if ((record.payload_bytes & kSenderFlag) != 0) {
                const auto sender = sender_bytes(batch.subspan(at + sizeof record));
                if (!sender) break;
                body += *sender;
            }
            if (body > rest) break;
            const size_t bytes = sizeof record + body;
            const Bytes payload = batch.subspan(at + sizeof record, body);
            const size_t before_crc = offsetof(RecordHeader, crc);
            const uint32_t crc = crc32c(payload, crc32c(batch.subspan(at, before_crc)));
            memcpy(batch.data() + at + before_crc, &crc, sizeof crc);
            at += bytes;
        }
        apply_mask(batch, header.mask);
    }
    void resize_file() {
        close();
        const std::string name = some_file();
        if (name.empty()) return;
        storage_.bytes(name).resize(input_.number() * kBlock / 2);
        damaged_ = true;
        open();
    }
    void move_file() {
        close();
        const std::string name = some_file();
        if (name.empty()) return;
        const std::string other = some_file();
        if ((input_.number() & 1) != 0) {
            CHECK(storage_.remove(name).has_value());
        } else {
            storage_.put(other, storage_.bytes(name));
        }
        damaged_ = true;
        open();
    }
    void read_from_middle() {
        if (!log_) return;
        const uint64_t span = log_->next_seq() - log_->oldest_seq();
        if (span > 0) check_whole(log_->oldest_seq() + input_.number() % span);
    }

    /// False if a damaged part was read: sealed segments are judged only then.
    bool check_whole(uint64_t first) {
        first = std::max(first, log_->oldest_seq());
        uint64_t next = first;
        const Status status = log_->read(first, [&](const Record& record) {
            CHECK(record.seq == next);
            CHECK(record.payload.size() % kWordSize == 0);
            ++next;
            return true;
        });
        if (!status) {
            CHECK_MSG(damaged_, status.error().message.c_str());
            CHECK(!status.error().message.empty());
            return false;
        }
        CHECK(next > durable_ || first > durable_);
        return true;
    }

    Input input_;
    MemStorage storage_;
    std::unique_ptr<Log> log_;
    uint64_t durable_ = 0;
    size_t changed_ = 0;
    bool unsynced_ = false;
    bool damaged_ = false;
};

void decode_alone(Bytes bytes) {
    Record record;
    const auto size = decode_record(bytes, record);
    if (!size) return;
    CHECK(*size <= bytes.size() &&
          *size == record_bytes(record.sender.size() + record.payload.size()));
    if (!record.sender.empty())
        CHECK(decode_sender(record.sender).client.size() <= record.sender.size());
    Buffer again(*size);
    CHECK(encode_record(record, again) == *size);
    CHECK(memcmp(again.data(), bytes.data(), *size) == 0);
}

}  // namespace
}  // namespace noded::log

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    noded::log::decode_alone({data, size});
    noded::log::Machine(noded::fuzz::Input(data, size)).run();
    return 0;
}
