// The file of a snapshot: a header that is right or nearly so, and a body of any content.
#include "agent/log/snapshot.h"

#include "agent/base/check.h"
#include "agent/base/crc32c.h"
#include "agent/log/format.h"
#include "agent/log/storage_mem.h"
#include "tests/fuzz/input.h"

namespace noded::log {
namespace {

/// The bytes as a snapshot's body behind a header that fits them.
Buffer file_of(fuzz::Input input) {
    SnapshotHeader header{};
    header.magic = kSnapshotMagic;
    header.version = kSnapshotVersion;
    header.sections = input.number();
    header.seq = 6;
    const bool crc_is_wrong = input.number() == 0xFF;
    const Bytes body = input.rest();
    Buffer file(kBlock + (body.size() + kBlock - 1) / kBlock * kBlock);
    if (!body.empty()) memcpy(file.data() + kBlock, body.data(), body.size());
    header.file_bytes = file.size();
    header.body_crc = crc32c(Bytes(file).subspan(kBlock)) ^ (crc_is_wrong ? 1 : 0);
    header.crc = crc32c({reinterpret_cast<const uint8_t*>(&header), kHeaderCrcBytes});
    memcpy(file.data(), &header, sizeof header);
    return file;
}

void load(Buffer file) {
    MemStorage storage;
    storage.put("snapshot-0000000000000006", std::move(file));
    std::string notice;
    const auto snapshot = load_newest_snapshot(storage, &notice);
    CHECK(snapshot.has_value());
    CHECK(snapshot->has_value() != !notice.empty());
    if (!*snapshot) return;
    std::vector<SnapshotSection> sections;
    for (const auto& section : (*snapshot)->sections) {
        sections.push_back({section.name, section.data});
        CHECK((*snapshot)->find(section.name) != nullptr);
    }
    MemStorage other;
    CHECK(write_snapshot(other, 6, sections).has_value());
    const auto again = load_newest_snapshot(other, &notice);
    CHECK(again.has_value() && again->has_value());
    CHECK((*again)->sections.size() == sections.size());
    for (size_t i = 0; i < sections.size(); ++i)
        CHECK((*again)->sections[i].data == (*snapshot)->sections[i].data);
}

}  // namespace
}  // namespace noded::log

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    noded::log::load(noded::log::file_of({data, size}));
    noded::log::load(noded::Buffer(data, data + size));
    return 0;
}
