// An archive of a log with bytes changed and the checksums put right, so that what stands behind
// them is reached: table, frames, and the batches in them.
//
// The log opens whatever its archives hold. What is read of it is dense and in order, or ends with
// a sentence; the segments that follow are read all the same.
#include <cstddef>
#include <map>

#include "agent/base/check.h"
#include "agent/base/crc32c.h"
#include "agent/log/archive.h"
#include "agent/log/log.h"
#include "agent/log/storage_mem.h"
#include "tests/fuzz/input.h"

namespace noded::log {
namespace {

using fuzz::Input;

constexpr LogOptions kOptions{8 * kBlock, 0x1122334455667788};
constexpr int kEditsMax = 32;

/// Files of a log whose first segment is in its archive alone.
struct Made final : SyncDone {
    std::map<std::string, Buffer> files;
    std::string archive;
    uint64_t last_in_archive = 0;

    Made() {
        MemStorage storage;
        std::string notice;
        auto log = std::move(*open_log(storage, &notice, kOptions));
        storage.run();
        while (!storage.exists(segment_name(4))) write(*log, storage);
        last_in_archive = log->kept(0).front().last_seq;
        const auto archived = make_archive(storage, 1, last_in_archive);
        CHECK(archived.has_value());
        log->archived(1, archived->bytes);
        CHECK(log->release_before(last_in_archive + 1).has_value());
        storage.run();
        log.reset();
        const auto names = *storage.list();
        for (const std::string& name : names) files[name] = storage.bytes(name);
        archive = archive_file({1, 1, last_in_archive});
    }

    void write(Log& log, MemStorage& storage) {
        const Buffer payload(1000, static_cast<uint8_t>(log.next_seq()));
        CHECK(log.ensure_room(payload.size()).has_value());
        Record record;
        record.seq = log.next_seq();
        record.type = 1;
        record.payload = payload;
        log.append(record);
        log.sync(*this);
        storage.run();
    }
    void synced(Status status, uint64_t) override { CHECK(status.has_value()); }
};

void change(Buffer& bytes, Input& input) {
    if (input.number() % 8 == 0) bytes.resize(kBlock * (1 + input.number() % 4));
    for (int i = 0; i < kEditsMax && !input.empty(); ++i) {
        // Fields and frames stand at the beginnings of the two blocks.
        const size_t at = input.number() % 2 * kBlock + input.number<uint16_t>() % 512;
        if (at < bytes.size()) bytes[at] = input.number();
    }
}

/// As far as the sizes in it lead.
void put_checksums_right(Buffer& bytes) {
    ArchiveHeader header;
    memcpy(&header, bytes.data(), sizeof header);
    const size_t table_end = std::min<size_t>(header.header_bytes, bytes.size());
    if (table_end <= sizeof header) return;
    size_t offset = table_end;
    for (size_t i = 0; i < header.frames; ++i) {
        const size_t at = sizeof header + i * sizeof(ArchiveFrame);
        if (at + sizeof(ArchiveFrame) > table_end) break;
        ArchiveFrame frame;
        memcpy(&frame, bytes.data() + at, sizeof frame);
        if (frame.bytes > bytes.size() - offset) break;
        frame.crc = crc32c({bytes.data() + offset, frame.bytes});
        memcpy(bytes.data() + at, &frame, sizeof frame);
        offset += frame.bytes;
    }
    header.table_crc = crc32c({bytes.data() + sizeof header, table_end - sizeof header});
    memcpy(bytes.data(), &header, sizeof header);
    const uint32_t crc = crc32c({bytes.data(), offsetof(ArchiveHeader, crc)});
    memcpy(bytes.data() + offsetof(ArchiveHeader, crc), &crc, sizeof crc);
}

void read_from(Log& log, uint64_t first, bool must_end_well) {
    uint64_t next = first;
    const Status status = log.read(first, [&](const Record& record) {
        CHECK(record.seq == next++);
        CHECK(record.payload.size() % kWordSize == 0);
        return true;
    });
    if (status) CHECK(next == log.next_seq());
    else CHECK(!must_end_well && !status.error().message.empty());
}

void run(Input input) {
    static const Made* const made = new Made;
    MemStorage storage;
    for (const auto& [name, bytes] : made->files) storage.put(name, bytes);
    Buffer& bytes = storage.bytes(made->archive);
    change(bytes, input);
    put_checksums_right(bytes);
    std::string notice;
    const auto log = open_log(storage, &notice, kOptions);
    CHECK(log.has_value());
    storage.run();
    CHECK((*log)->oldest_seq() == 1);
    read_from(**log, 1, false);
    read_from(**log, 1 + made->last_in_archive / 2, false);
    (void)(*log)->seq_at(1);
    read_from(**log, made->last_in_archive + 1, true);
}

}  // namespace
}  // namespace noded::log

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    noded::log::run(noded::fuzz::Input(data, size));
    return 0;
}
