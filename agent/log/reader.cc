// See reader.h. Whatever is not as the format says is damage; it is reported, never skipped.
#include "agent/log/reader.h"

#include <algorithm>

#include "agent/log/archive.h"

namespace noded::log {

namespace {

constexpr size_t kWindowBytes = 1 << 20;

/// What read_segment reads: from the batch at `from` up to the record `last`; `each` is told those
/// from `first`.
struct ReadRange : SeqRange {
    IndexPoint from;
    bool to_end;  ///< nothing follows `last`: the segment is sealed and ends with it
};

/// The header of the batch at `offset`, which must begin with `expected`.
Result<BatchHeader> batch_header(Window& window, uint64_t file_bytes, const Place& place,
                                 uint64_t offset, uint64_t expected) {
    if (offset + kBlock > file_bytes)
        return damage(place.segment_id, offset, "records are missing");
    BatchHeader header;
    std::string why;
    const auto block = TRY(window.at(offset, kBlock));
    switch (parse_batch_header(block, place, file_bytes - offset, header, why)) {
        case HeaderState::valid: break;
        case HeaderState::unwritten:
            return damage(place.segment_id, offset,
                          "a batch is missing, expected was one from seq " +
                              std::to_string(expected));
        case HeaderState::damaged: return damage(place.segment_id, offset, why);
    }
    if (header.first_seq != expected) {
        return damage(place.segment_id, offset,
                      "the batch begins with seq " + std::to_string(header.first_seq) +
                          ", expected was " + std::to_string(expected));
    }
    return header;
}

/// Behind the last batch of a sealed segment there are only zeros.
Status judge_rest(Window& window, uint64_t file_bytes, const Place& place, uint64_t offset) {
    for (uint64_t at = offset; at < file_bytes; at += kWindowBytes) {
        const auto chunk = TRY(window.at(at, std::min<uint64_t>(kWindowBytes, file_bytes - at)));
        if (!all_zero(chunk)) {
            return damage(place.segment_id, offset,
                          "no valid batch, though something follows and the segment is sealed");
        }
    }
    return {};
}

/// False if `each` ended the reading.
Result<bool> read_segment(File& file, const Place& place, SegmentInfo& segment,
                          const ReadRange& range, const EachRecord& each) {
    Window window(file);
    uint64_t offset = range.from.offset;
    uint64_t expected = range.from.seq;
    while (expected <= range.last) {
        const BatchHeader header =
            TRY(batch_header(window, file.size(), place, offset, expected));
        note_batch(segment, expected, offset);
        expected += header.records;
        if (expected > range.first) {
            const auto batch = TRY(window.at(offset, header.batch_bytes));
            if (!open_batch(batch, header)) {
                return damage(place.segment_id, offset,
                              "the checksum of the batch does not match");
            }
            if (!TRY(read_batch(batch, header, place, offset, range, each))) return false;
        }
        offset += header.batch_bytes;
    }
    if (range.to_end && expected != range.last + 1) {
        return damage(place.segment_id, offset, "the segment holds more than its records");
    }
    if (range.to_end) TRY_STATUS(judge_rest(window, file.size(), place, offset));
    return true;
}

/// The last point of the index from which `first` can be reached.
IndexPoint point_before(const SegmentInfo& segment, uint64_t first) {
    const auto& index = segment.index;
    const auto point =
        std::upper_bound(index.begin(), index.end(), first,
                         [](uint64_t seq, const IndexPoint& entry) { return seq < entry.seq; });
    return point == index.begin() ? *point : *(point - 1);
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

Result<bool> read_batch(Bytes batch, const BatchHeader& header, const Place& place, uint64_t offset,
                        const SeqRange& range, const EachRecord& each) {
    const size_t end = sizeof header + header.records_bytes;
    size_t at = sizeof header;
    Record record;
    for (uint64_t seq = header.first_seq; seq < header.first_seq + header.records; ++seq) {
        const auto size = decode_record(batch.subspan(at, end - at), record);
        if (!size) return damage(place.segment_id, offset + at, size.error().message);
        if (record.seq != seq) {
            return damage(place.segment_id, offset + at,
                          "the record has seq " + std::to_string(record.seq) + ", expected was " +
                              std::to_string(seq));
        }
        at += *size;
        if (seq >= range.first && seq <= range.last && !each(record)) return false;
    }
    if (at != end) {
        return damage(place.segment_id, offset + at, "the batch holds more than its records");
    }
    return true;
}

Status read_segments(Storage& storage, uint64_t log_id, std::vector<SegmentInfo>& segments,
                     uint64_t first, uint64_t last, const EachRecord& each) {
    const uint64_t oldest = segments.empty() ? last + 1 : segments.front().first_seq;
    if (first < oldest) {
        return std::unexpected(Error{ENOENT, "event " + std::to_string(first) +
                                                 " is no longer in the log, the oldest is " +
                                                 std::to_string(oldest)});
    }
    if (first > last) return {};
    auto segment = std::upper_bound(
        segments.begin(), segments.end(), first,
        [](uint64_t seq, const SegmentInfo& info) { return seq < info.first_seq; });
    CHECK(segment != segments.begin());
    for (--segment; segment != segments.end() && segment->first_seq <= last; ++segment) {
        const bool sealed = segment + 1 != segments.end();
        const uint64_t end = sealed ? (segment + 1)->first_seq - 1 : last;
        // First of all: only then the index of an archive is known.
        const auto file = TRY(open_segment(storage, log_id, *segment, sealed ? end : 0));
        const ReadRange range{
            {first, std::min(last, end)}, point_before(*segment, first), sealed && end <= last};
        if (!TRY(read_segment(*file, {log_id, segment->id}, *segment, range, each))) return {};
    }
    return {};
}

Result<std::optional<int64_t>> first_time(Storage& storage, uint64_t log_id,
                                          std::vector<SegmentInfo>& segments, size_t i,
                                          uint64_t last) {
    SegmentInfo& segment = segments[i];
    if (!segment.first_time_ns && segment.first_seq <= last) {
        TRY_STATUS(read_segments(storage, log_id, segments, segment.first_seq, segment.first_seq,
                                 [&](const Record& record) {
                                     segment.first_time_ns = record.time_ns;
                                     return false;
                                 }));
    }
    return segment.first_time_ns;
}

Result<uint64_t> find_time(Storage& storage, uint64_t log_id, std::vector<SegmentInfo>& segments,
                           uint64_t last, int64_t time_ns) {
    // Invariant: what begins before `low` is older than the time, what begins at `high` is not.
    size_t low = 0, high = segments.size();
    while (high > 0 && segments[high - 1].first_seq > last) --high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (*TRY(first_time(storage, log_id, segments, middle, last)) < time_ns) low = middle + 1;
        else high = middle;
    }
    const uint64_t next = low < segments.size() ? segments[low].first_seq : last + 1;
    if (low == 0) return std::min(next, last + 1);
    uint64_t found = std::min(next, last + 1);
    TRY_STATUS(read_segments(storage, log_id, segments, segments[low - 1].first_seq,
                             std::min(next - 1, last), [&](const Record& record) {
                                 if (record.time_ns < time_ns) return true;
                                 found = record.seq;
                                 return false;
                             }));
    return found;
}

}  // namespace noded::log
