// See recovery.h. The one decision that matters here is torn or damaged: `judge_torn` makes it, by
// the rule that every sector ever written has two words that are not zero.
#include "agent/log/recovery.h"

#include <algorithm>
#include <map>

#include "agent/log/archive.h"
#include "agent/log/reader.h"

namespace noded::log {

namespace {

constexpr size_t kChunk = 1 << 20;
/// One write is under way at most, and what follows it begins behind it: twice the longest shows
/// both.
constexpr uint64_t kSeenBytes = 2 * limits::log_batch_bytes_max;
static_assert(kSeenBytes % kBlock == 0);

/// What the unwritten part of a segment looks like.
struct TailShape {
    uint64_t data_end = 0;               ///< after the last sector that is not zero; 0 if all are
    std::optional<uint64_t> odd_sector;  ///< the first with exactly one word that is not zero
};

/// A stretch of a segment to be overwritten with zeros.
struct Cut {
    uint64_t segment_id;
    uint64_t begin;
    uint64_t end;
};

/// Where a torn write may have begun and where its batch would.
struct TornPlace {
    uint64_t begin;
    uint64_t batch;
};

Result<TailShape> tail_shape(Window& window, uint64_t begin, uint64_t end) {
    TailShape shape;
    for (uint64_t offset = begin; offset < end; offset += kChunk) {
        const auto chunk = TRY(window.at(offset, std::min<uint64_t>(kChunk, end - offset)));
        if (all_zero(chunk)) continue;
        for (size_t at = 0; at < chunk.size(); at += kSector) {
            const unsigned words = words_unlike(chunk.data() + at, 0);
            if (words > 0) shape.data_end = offset + at + kSector;
            if (words == 1 && !shape.odd_sector) shape.odd_sector = offset + at;
        }
    }
    return shape;
}

Result<bool> has_zero_sector(Window& window, uint64_t begin, uint64_t end) {
    for (uint64_t offset = begin; offset < end; offset += kBlock) {
        const auto block = TRY(window.at(offset, kBlock));
        for (size_t at = 0; at < kBlock; at += kSector) {
            if (words_unlike(block.data() + at, 0) == 0) return true;
        }
    }
    return false;
}

class Recovery {
public:
    Recovery(Storage& storage, Repair repair, std::string* notice)
        : storage_(storage), repair_(repair), notice_(notice) {}

    Result<Recovered> run();

private:
    Result<std::vector<uint64_t>> find_segments();
    Result<bool> is_opened(uint64_t id);
    Result<TailShape> look_at_tail(Window& window, uint64_t id, uint64_t begin, uint64_t end);
    Result<std::vector<TailShape>> find_prepared(const std::vector<uint64_t>& ids);
    Status judge_header(uint64_t id);
    Status scan_last(bool may_be_torn);
    Result<uint64_t> scan_batches(File& file, Window& window, const Place& place);
    Status judge_tail(File& file, Window& window, const Place& place, bool may_be_torn);
    Status judge_prepared(uint64_t id, const TailShape& shape);
    Status judge_torn(File& file, Window& window, const Place& place, const TornPlace& torn,
                      const TailShape& shape);
    Status check_against_snapshots();
    Status apply_cut();
    void say(const std::string& sentence);

    Storage& storage_;
    Repair repair_;
    std::string* notice_;
    Recovered result_;
    std::map<uint64_t, SegmentHeader> headers_;  ///< of the segments that have one, by id
    std::vector<FileSize> files_;
    std::vector<std::string> unfinished_;
    uint64_t snapshot_seq_ = 0;  ///< the highest in a snapshot's name
    std::optional<Cut> cut_;
};

Result<std::vector<uint64_t>> Recovery::find_segments() {
    std::vector<uint64_t> ids;
    files_ = TRY(storage_.sizes());
    for (const FileSize& file : files_) {
        const std::string& name = file.name;
        if (const auto id = number_in_name(name, kSegmentPrefix)) ids.push_back(*id);
        if (const auto seq = number_in_name(name, kSnapshotPrefix))
            snapshot_seq_ = std::max(snapshot_seq_, *seq);
        if (name == kRecycledName) result_.recycled = true;
        if ((name.starts_with(kSegmentPrefix) || is_in_archive(name)) &&
            name.ends_with(kUnfinishedSuffix))
            unfinished_.push_back(name);
    }
    std::sort(ids.begin(), ids.end());
    for (size_t i = 1; i < ids.size(); ++i) {
        if (ids[i] != ids[i - 1] + 1) {
            return damage(ids[i - 1] + 1, 0,
                          "the segment is missing, though " + segment_name(ids[i]) + " is there");
        }
    }
    return ids;
}

/// Whether the segment has a header; a last one without is prepared, or its first write was torn.
Result<bool> Recovery::is_opened(uint64_t id) {
    const auto file = TRY(storage_.open(segment_name(id)));
    if (file->size() < 2 * kBlock || file->size() % kBlock != 0) {
        return damage(id, file->size(), "the file ends here, which is no size of a segment");
    }
    AlignedBuffer block(kBlock);
    TRY(file->read_at(0, block.span(0, kBlock)));
    SegmentHeader header;
    std::string why;
    switch (parse_segment_header(block.span(0, kBlock), id, file->size(), header, why)) {
        case HeaderState::valid:
            headers_[id] = header;
            return true;
        case HeaderState::unwritten: return false;
        case HeaderState::damaged: return damage(id, 0, why);
    }
    __builtin_unreachable();
}

/// Judges the header of an opened segment and how it follows the one before, as far as headers
/// tell. The body of a sealed one is judged by whoever reads it.
Status Recovery::judge_header(uint64_t id) {
    if (!headers_.contains(id) && !TRY(is_opened(id)))
        return damage(id, 0, "the segment header is missing, though a later segment is there");
    const SegmentHeader& header = headers_[id];
    if (result_.log_id == 0) result_.log_id = header.log_id;
    result_.format_version = header.version;
    if (header.log_id != result_.log_id) return damage(id, 0, "the segment belongs to another log");
    if (id == 1 && header.first_seq != 1)
        return damage(id, 0, "the first segment does not begin with seq 1");
    if (!result_.segments.empty() && header.first_seq <= result_.segments.back().first_seq) {
        return damage(id, 0,
                      "the segment begins with seq " + std::to_string(header.first_seq) +
                          ", but the one before with " +
                          std::to_string(result_.segments.back().first_seq));
    }
    result_.segments.push_back(new_segment_info(id, header.first_seq, header.segment_bytes));
    return {};
}

/// All of it, or its beginning where that says enough.
Result<TailShape> Recovery::look_at_tail(Window& window, uint64_t id, uint64_t begin,
                                         uint64_t end) {
    if (repair_ == Repair::no || end - begin <= kSeenBytes) return tail_shape(window, begin, end);
    const auto shape = TRY(tail_shape(window, begin, begin + kSeenBytes));
    if (shape.data_end != 0) return tail_shape(window, begin, end);
    result_.unseen.push_back({id, begin + kSeenBytes});
    return shape;
}

/// The last segment with a header: where it ends is where the log ends.
Status Recovery::scan_last(bool may_be_torn) {
    const SegmentInfo& segment = result_.segments.back();
    const auto file = TRY(storage_.open(segment_name(segment.id)));
    Window window(*file);
    const Place place{result_.log_id, segment.id};
    result_.next_seq = segment.first_seq;
    result_.end_offset = TRY(scan_batches(*file, window, place));
    return judge_tail(*file, window, place, may_be_torn);
}

/// Reads valid batches; the result is where the first block stands that does not begin one.
Result<uint64_t> Recovery::scan_batches(File& file, Window& window, const Place& place) {
    uint64_t offset = kBlock;
    std::string why;
    while (offset < file.size()) {
        BatchHeader header;
        const auto block = TRY(window.at(offset, kBlock));
        const auto state = parse_batch_header(block, place, file.size() - offset, header, why);
        if (state == HeaderState::unwritten) break;
        if (state == HeaderState::damaged) return damage(place.segment_id, offset, why);
        if (header.first_seq != result_.next_seq) {
            return damage(place.segment_id, offset,
                          "the batch begins with seq " + std::to_string(header.first_seq) +
                              ", expected was " + std::to_string(result_.next_seq));
        }
        const auto batch = TRY(window.at(offset, header.batch_bytes));
        if (!open_batch(batch, header)) break;
        TRY(read_batch(batch, header, place, offset, {}, [](const Record&) { return true; }));
        note_batch(result_.segments.back(), header.first_seq, offset);
        result_.next_seq += header.records;
        offset += header.batch_bytes;
    }
    return offset;
}

Status Recovery::judge_tail(File& file, Window& window, const Place& place, bool may_be_torn) {
    const uint64_t begin = result_.end_offset;
    const auto shape = TRY(look_at_tail(window, place.segment_id, begin, file.size()));
    if (shape.data_end == 0) return {};
    if (!may_be_torn) {
        return damage(place.segment_id, begin,
                      "no valid batch, though something follows and the segment is sealed");
    }
    return judge_torn(file, window, place, {begin, begin}, shape);
}

Status Recovery::judge_prepared(uint64_t id, const TailShape& shape) {
    if (result_.segments.empty() && id != 1) {
        return damage(id, 0, "nothing was written to this segment and those before it are missing");
    }
    result_.prepared = true;
    if (shape.data_end == 0) return {};
    const auto file = TRY(storage_.open(segment_name(id)));
    Window window(*file);
    return judge_torn(*file, window, {result_.log_id, id}, {0, kBlock}, shape);
}

/// Torn, and then cut later on; or damage.
Status Recovery::judge_torn(File& file, Window& window, const Place& place, const TornPlace& torn,
                            const TailShape& shape) {
    if (shape.odd_sector) {
        return damage(place.segment_id, *shape.odd_sector,
                      "a bit is set where nothing was written");
    }
    BatchHeader header{};
    std::string why;
    uint64_t extent = std::min<uint64_t>(torn.batch + limits::log_batch_bytes_max, file.size());
    const auto block = TRY(window.at(torn.batch, kBlock));
    switch (parse_batch_header(block, place, file.size() - torn.batch, header, why)) {
        case HeaderState::damaged: return damage(place.segment_id, torn.batch, why);
        case HeaderState::valid:
            extent = torn.batch + header.batch_bytes;
            if (header.first_seq != result_.next_seq) {
                return damage(place.segment_id, torn.batch, "the batch has a wrong seq");
            }
            // A torn segment header is reason enough; otherwise a sector of the batch itself must
            // be missing.
            if (torn.begin == torn.batch && !TRY(has_zero_sector(window, torn.batch, extent))) {
                return damage(place.segment_id, torn.batch,
                              "the checksum of the batch does not match");
            }
            break;
        case HeaderState::unwritten:
            for (uint64_t at = torn.batch + kBlock; at < shape.data_end; at += kBlock) {
                const auto later = TRY(window.at(at, kBlock));
                if (parse_batch_header(later, place, file.size() - at, header, why) !=
                    HeaderState::valid)
                    continue;
                return damage(
                    place.segment_id, torn.batch,
                    "a batch is missing, though another one stands at byte " + std::to_string(at));
            }
            break;
    }
    if (shape.data_end > extent) {
        return damage(place.segment_id, torn.batch,
                      "no valid batch, though something follows up to byte " +
                          std::to_string(shape.data_end));
    }
    cut_ = Cut{place.segment_id, torn.begin, round_up(shape.data_end, kBlock)};
    return {};
}

/// A snapshot is never ahead of the log, so one that is shows that the newest segments are gone.
Status Recovery::check_against_snapshots() {
    if (snapshot_seq_ < result_.next_seq) return {};
    return fail("the log ends with seq " + std::to_string(result_.next_seq - 1) +
                ", but there is " + numbered_name(kSnapshotPrefix, snapshot_seq_) + " of seq " +
                std::to_string(snapshot_seq_) +
                ": the newest segments are missing. Restore them from a copy, or move the whole "
                "log directory aside "
                "to begin with an empty log");
}

void Recovery::say(const std::string& sentence) {
    if (!notice_->empty()) *notice_ += "; ";
    *notice_ += sentence;
}

Status Recovery::apply_cut() {
    const std::string what = "log " + segment_name(cut_->segment_id) + ": a torn write of " +
                             std::to_string(cut_->end - cut_->begin) + " bytes at byte " +
                             std::to_string(cut_->begin);
    if (repair_ == Repair::no) {
        say(what + " is left alone");
        return {};
    }
    const auto file = TRY(storage_.open(segment_name(cut_->segment_id)));
    AlignedBuffer zeros(kChunk);
    memset(zeros.data(), 0, zeros.size());
    for (uint64_t at = cut_->begin; at < cut_->end; at += kChunk) {
        TRY_STATUS(file->write_now(at, zeros.span(0, std::min<uint64_t>(kChunk, cut_->end - at))));
    }
    say(what + " was cut; nothing in it had been acknowledged");
    return {};
}

/// Segments without a header at the end: the first may hold a torn write, the others are zeros.
Result<std::vector<TailShape>> Recovery::find_prepared(const std::vector<uint64_t>& ids) {
    std::vector<TailShape> shapes;
    for (auto id = ids.rbegin(); id != ids.rend() && !TRY(is_opened(*id)); ++id) {
        const auto file = TRY(storage_.open(segment_name(*id)));
        Window window(*file);
        if (!shapes.empty() && shapes.front().data_end != 0) {
            return damage(
                *id, 0,
                "the segment header is missing, though something was written to a later segment");
        }
        shapes.insert(shapes.begin(), TRY(look_at_tail(window, *id, 0, file->size())));
    }
    return shapes;
}

Result<Recovered> Recovery::run() {
    const auto ids = TRY(find_segments());
    const auto prepared = TRY(find_prepared(ids));
    const size_t opened = ids.size() - prepared.size();
    // Only one write is ever under way: if it went to the next segment, the one before is whole.
    const bool next_is_torn = !prepared.empty() && prepared.front().data_end != 0;
    for (size_t i = 0; i < opened; ++i) TRY_STATUS(judge_header(ids[i]));
    if (opened > 0) TRY_STATUS(scan_last(!next_is_torn));
    if (!prepared.empty()) TRY_STATUS(judge_prepared(ids[opened], prepared.front()));
    TRY_STATUS(check_against_snapshots());
    if (cut_) TRY_STATUS(apply_cut());
    if (repair_ == Repair::yes) {
        for (const std::string& name : unfinished_) TRY_STATUS(storage_.remove(name));
        for (size_t i = ids.size(); i > opened + 1; --i) {
            TRY_STATUS(storage_.remove(segment_name(ids[i - 1])));
            std::erase_if(result_.unseen,
                          [&](const Unseen& part) { return part.segment_id == ids[i - 1]; });
        }
    }
    if (const std::string passed_over = add_archives(files_, result_.segments);
        !passed_over.empty())
        say(passed_over);
    return std::move(result_);
}

}  // namespace

Status check_zeros(Storage& storage, const std::vector<Unseen>& unseen) {
    for (const Unseen& part : unseen) {
        const auto file = TRY(storage.open(segment_name(part.segment_id)));
        Window window(*file);
        const auto shape = TRY(tail_shape(window, part.begin, file->size()));
        if (shape.data_end == 0) continue;
        return damage(part.segment_id, part.begin,
                      "something was written up to byte " + std::to_string(shape.data_end) +
                          ", though the log ends before it");
    }
    return {};
}

Result<Recovered> recover(Storage& storage, Repair repair, std::string* notice) {
    CHECK(notice != nullptr);
    notice->clear();
    return Recovery(storage, repair, notice).run();
}

}  // namespace noded::log
