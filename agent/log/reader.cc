// See reader.h. Whatever is not as recovery saw it is damage that happened since; it is reported,
// never skipped.
#include "agent/log/reader.h"

#include <algorithm>

namespace noded::log {

namespace {

constexpr size_t kWindowBytes = 1 << 20;

Status read_batch(std::span<uint8_t> batch, const BatchHeader& header, const Place& place,
                  uint64_t offset, uint64_t first, const EachRecord& each, bool& more) {
    if (!open_batch(batch, header)) {
        return damage(place.segment_id, offset, "the checksum of the batch does not match");
    }
    size_t at = sizeof header;
    for (uint64_t seq = header.first_seq; seq < header.first_seq + header.records && more; ++seq) {
        Record record;
        const auto size =
            decode_record(batch.subspan(at, sizeof header + header.records_bytes - at), record);
        if (!size) return damage(place.segment_id, offset + at, size.error().message);
        if (record.seq != seq)
            return damage(place.segment_id, offset + at, "the record has a wrong seq");
        if (seq >= first) more = each(record);
        at += *size;
    }
    return {};
}

}  // namespace

Result<std::span<uint8_t>> Window::at(uint64_t offset, size_t bytes) {
    CHECK(offset % kBlock == 0 && bytes % kBlock == 0 && bytes <= buffer_.size());
    CHECK(offset + bytes <= file_.size());
    if (offset < begin_ || offset + bytes > begin_ + filled_) {
        const size_t want =
            std::min<uint64_t>(std::max(bytes, kWindowBytes), file_.size() - offset);
        filled_ = 0;
        const size_t got = TRY(file_.read_at(offset, buffer_.span(0, want)));
        if (got < bytes) return fail("the file became shorter while it was read");
        begin_ = offset;
        filled_ = got;
    }
    return buffer_.span(offset - begin_, bytes);
}

Result<bool> read_segment(File& file, const Place& place, const ReadRange& range,
                          const EachRecord& each) {
    Window window(file);
    uint64_t offset = range.from.offset;
    uint64_t expected = range.from.seq;
    bool more = true;
    std::string why;
    while (more && expected <= range.last) {
        if (offset + kBlock > file.size())
            return damage(place.segment_id, offset, "records are missing");
        BatchHeader header;
        const auto block = TRY(window.at(offset, kBlock));
        switch (parse_batch_header(block, place, file.size() - offset, header, why)) {
            case HeaderState::valid: break;
            case HeaderState::unwritten:
                return damage(place.segment_id, offset, "a batch is missing");
            case HeaderState::damaged: return damage(place.segment_id, offset, why);
        }
        if (header.first_seq != expected) {
            return damage(place.segment_id, offset, "the batch has a wrong seq");
        }
        expected += header.records;
        if (expected > range.first) {
            const auto batch = TRY(window.at(offset, header.batch_bytes));
            TRY_STATUS(read_batch(batch, header, place, offset, range.first, each, more));
        }
        offset += header.batch_bytes;
    }
    return more;
}

Status read_segments(Storage& storage, uint64_t log_id, const std::vector<SegmentInfo>& segments,
                     uint64_t first, uint64_t last, const EachRecord& each) {
    auto segment = std::upper_bound(
        segments.begin(), segments.end(), first,
        [](uint64_t seq, const SegmentInfo& info) { return seq < info.first_seq; });
    CHECK_MSG(segment != segments.begin(),
              "the caller checked that the oldest record is not younger");
    for (--segment; segment != segments.end() && first <= last; ++segment) {
        const bool is_last = segment + 1 == segments.end();
        const uint64_t end = is_last ? last : std::min(last, (segment + 1)->first_seq - 1);
        const auto& index = segment->index;
        auto point =
            std::upper_bound(index.begin(), index.end(), first,
                             [](uint64_t seq, const IndexPoint& entry) { return seq < entry.seq; });
        const ReadRange range{point == index.begin() ? *point : *(point - 1), first, end};
        const auto file = TRY(storage.open(segment_name(segment->id)));
        if (!TRY(read_segment(*file, {log_id, segment->id}, range, each))) return {};
    }
    return {};
}

}  // namespace noded::log
