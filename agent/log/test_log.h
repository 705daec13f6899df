// What the tests of this folder share: a log in memory that is written to in a line, and what it
// should then hold.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "agent/base/check.h"
#include "agent/log/format.h"
#include "agent/log/log.h"
#include "agent/log/storage_mem.h"

namespace noded::log {

constexpr uint64_t kTestLogId = 0x1122334455667788;

inline LogOptions small_segments(uint64_t blocks) {
    return {blocks * kBlock, kTestLogId};
}

/// A payload that differs from event to event, `bytes` long.
inline Buffer payload_of(uint64_t seq, size_t bytes) {
    Buffer payload(bytes);
    for (size_t i = 0; i < bytes; ++i) payload[i] = static_cast<uint8_t>(seq * 31 + i * 7 + 1);
    return payload;
}

inline Record record_of(uint64_t seq, Bytes payload) {
    Record record{seq,    static_cast<int64_t>(1'000'000 + seq), 0xABCD0000 + seq, seq / 2, {},
                  payload};
    for (size_t i = 0; i < record.command_id.bytes.size(); ++i) {
        record.command_id.bytes[i] = static_cast<uint8_t>(seq + i);
    }
    return record;
}

/// A log on a MemStorage that outlives it, so that it can be opened again and again.
class TestLog final : public SyncDone {
public:
    explicit TestLog(MemStorage& storage, const LogOptions& options = small_segments(8))
        : storage_(storage), options_(options) {}

    Status open() {
        close();
        auto opened = open_log(storage_, &notice, options_);
        if (!opened) return std::unexpected(opened.error());
        log_ = std::move(*opened);
        storage_.run();
        return {};
    }
    /// As noded starts without a snapshot: everything is read, and so judged.
    Status open_and_replay() {
        TRY_STATUS(open());
        return log_->read(log_->oldest_seq(), [](const Record&) { return true; });
    }
    void close() {
        storage_.run();
        log_.reset();
    }

    Log& operator*() { return *log_; }
    Log* operator->() { return log_.get(); }

    uint64_t append(Bytes payload) {
        const uint64_t seq = log_->next_seq();
        log_->append(record_of(seq, payload));
        return seq;
    }
    uint64_t append(size_t payload_bytes) {
        return append(payload_of(log_->next_seq(), payload_bytes));
    }

    void start_sync() {
        result = fail("not told yet");
        log_->sync(*this);
    }
    /// One record, one batch.
    uint64_t write(size_t payload_bytes) {
        const uint64_t seq = append(payload_bytes);
        start_sync();
        storage_.run();
        CHECK(result.has_value());
        return seq;
    }

    /// The payloads from `first` on, by seq; everything else about a record is checked here.
    std::map<uint64_t, Buffer> read(uint64_t first) {
        std::map<uint64_t, Buffer> payloads;
        const Status status = log_->read(first, [&](const Record& record) {
            const Record expected = record_of(record.seq, {});
            EXPECT_EQ(record.seq, first + payloads.size());
            EXPECT_EQ(record.time_ns, expected.time_ns);
            EXPECT_EQ(record.type, expected.type);
            EXPECT_EQ(record.cause_seq, expected.cause_seq);
            EXPECT_EQ(record.command_id, expected.command_id);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(record.payload.data()) % kWordSize, 0u);
            payloads[record.seq] = Buffer(record.payload.begin(), record.payload.end());
            return true;
        });
        EXPECT_TRUE(status) << status.error().message;
        return payloads;
    }

    void synced(Status status, uint64_t durable) override {
        result = std::move(status);
        durable_seq = durable;
    }

    std::string notice;
    Status result;
    uint64_t durable_seq = 0;

private:
    MemStorage& storage_;
    LogOptions options_;
    std::unique_ptr<Log> log_;
};

inline std::map<std::string, Buffer> image_of(MemStorage& storage) {
    std::map<std::string, Buffer> image;
    const auto names = storage.list();
    for (const std::string& name : *names) image[name] = storage.bytes(name);
    return image;
}

inline void restore(MemStorage& storage, const std::map<std::string, Buffer>& image) {
    const auto names = storage.list();
    for (const std::string& name : *names) EXPECT_TRUE(storage.remove(name));
    for (const auto& [name, content] : image) storage.put(name, content);
}

}  // namespace noded::log
