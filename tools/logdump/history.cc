// See history.h.
#include "tools/logdump/history.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "agent/log/aligned.h"
#include "agent/log/archive.h"
#include "agent/log/recovery.h"
#include "agent/log/snapshot.h"

namespace noded::logdump {

using namespace log;

namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr int kTries = 3;
constexpr unsigned kPauseUs = 20'000;

struct SegmentFile {
    uint64_t id;
    std::string name;
    std::optional<ArchiveName> archive;   ///< that it is, where only that is there

    Result<std::unique_ptr<File>> open(Storage& storage) const {
        if (!archive) return storage.open(name);
        return TRY(Archive::open(storage, name, *archive));
    }
};

/// Those of the log and, below them, the archives that lead on to them.
Result<std::vector<SegmentFile>> list_segments(Storage& storage) {
    std::map<uint64_t, std::string> found;
    std::map<uint64_t, SegmentFile> archives;
    for (const std::string& name : TRY(storage.list())) {
        if (const auto id = number_in_name(name, kSegmentPrefix)) found[*id] = name;
        if (const auto archive = archive_in_file(name))
            archives[archive->segment_id] = {archive->segment_id, name, archive};
    }
    std::vector<SegmentFile> segments;
    for (const auto& [id, name] : found) segments.push_back({id, name, std::nullopt});
    for (auto archive = archives.rbegin(); archive != archives.rend() && !segments.empty();
         ++archive) {
        if (archive->first + 1 == segments.front().id)
            segments.insert(segments.begin(), archive->second);
    }
    return segments;
}

/// The content in memory, whole blocks. Read from its end to its beginning: batches are written one
/// after another, so what stands before a batch that was seen is there as well.
Result<AlignedBuffer> content_of(File& file) {
    const uint64_t bytes = file.size();
    AlignedBuffer content(std::max<uint64_t>(bytes, kBlock));
    memset(content.data() + bytes / kBlock * kBlock, 0,
           content.size() - bytes / kBlock * kBlock);
    for (uint64_t end = round_up(bytes, kReadBytes); end > 0; end -= kReadBytes) {
        const uint64_t begin = end - kReadBytes;
        const uint64_t wanted = std::min<uint64_t>(kReadBytes, content.size() - begin);
        const size_t got = TRY(file.read_at(begin, content.span(begin, wanted)));
        if (got < std::min(wanted, bytes - begin))
            return fail("the file became shorter while it was read");
    }
    return content;
}

/// Of the sentence that noded says, what belongs into a list of damages.
std::string place_and_cause(const Error& error) {
    constexpr std::string_view kOf = "log ";
    std::string text = error.message.substr(0, error.message.find(';'));
    return text.starts_with(kOf) ? text.substr(kOf.size()) : text;
}

class Walker {
public:
    Walker(Storage& storage, uint64_t first, const EachRecord& each)
        : storage_(storage), first_(first), each_(each) {}

    Result<History> run();

private:
    Status walk_from(const std::vector<SegmentFile>& segments, size_t begin);
    Result<size_t> segment_of(const std::vector<SegmentFile>& segments, uint64_t seq);
    Status walk_segment(const SegmentFile& segment);
    Status walk_archive(const SegmentFile& segment, const Result<std::unique_ptr<File>>& file);
    bool take_header(std::span<uint8_t> content, uint64_t file_bytes, const SegmentFile& segment);
    void walk_batches(std::span<uint8_t> content, const SegmentFile& segment);
    void walk_records(std::span<uint8_t> batch, const BatchHeader& header,
                      const SegmentFile& segment, uint64_t offset);
    void expect_zeros(std::span<uint8_t> content, const SegmentFile& segment, uint64_t offset);
    void found(const SegmentFile& segment, uint64_t batch, uint64_t position,
               const std::string& why);
    void ask_recovery();

    Storage& storage_;
    const uint64_t first_;
    const EachRecord& each_;
    History history_;
    uint64_t log_id_ = 0;    ///< 0: not known yet
    uint64_t expected_ = 0;  ///< the next seq, 0: not known
    bool more_ = true;
    /// The segment to walk next was opened by noded only after the one before had been looked at.
    bool opened_meanwhile_ = false;
};

void Walker::found(const SegmentFile& segment, uint64_t batch, uint64_t position,
                   const std::string& why) {
    history_.damages.push_back(
        {segment.id, batch, history_.last_seq, history_.records,
         segment.name + " at byte " + std::to_string(position) + ": " + why});
    expected_ = 0;
}

void Walker::walk_records(std::span<uint8_t> batch, const BatchHeader& header,
                          const SegmentFile& segment, uint64_t offset) {
    const size_t end = sizeof header + header.records_bytes;
    size_t at = sizeof header;
    for (uint64_t seq = header.first_seq; seq < header.first_seq + header.records && more_; ++seq) {
        Record record;
        const auto size = decode_record(batch.subspan(at, end - at), record);
        if (!size) return found(segment, offset, offset + at, size.error().message);
        if (record.seq != seq) {
            return found(segment, offset, offset + at,
                         "the record has seq " + std::to_string(record.seq) + ", expected was " +
                             std::to_string(seq));
        }
        ++history_.records;
        ++history_.segments.back().records;
        if (history_.oldest_seq == 0) history_.oldest_seq = seq;
        history_.last_seq = seq;
        if (seq >= first_) more_ = each_(record);
        at += *size;
    }
    if (more_ && at != end)
        found(segment, offset, offset + at, "the batch holds more than its records");
}

/// After the place where no batch begins only zeros may follow; or a write was torn, which recovery
/// knows.
void Walker::expect_zeros(std::span<uint8_t> content, const SegmentFile& segment,
                          uint64_t offset) {
    if (all_zero(content.subspan(offset))) return;
    found(segment, offset, offset, "no valid batch, though something follows");
}

void Walker::walk_batches(std::span<uint8_t> content, const SegmentFile& segment) {
    const Place place{log_id_, segment.id};
    BatchHeader header;
    std::string why;
    bool searching = false;  // after damage, for the next batch that is whole
    for (uint64_t offset = kBlock; offset < content.size() && more_;) {
        const auto state = parse_batch_header(content.subspan(offset, kBlock), place,
                                              content.size() - offset, header, why);
        if (state != HeaderState::valid) {
            if (!searching && state == HeaderState::damaged) found(segment, offset, offset, why);
            if (!searching && state == HeaderState::unwritten)
                expect_zeros(content, segment, offset);
            searching = true;
            offset += kBlock;
            continue;
        }
        searching = false;
        if (expected_ != 0 && header.first_seq != expected_) {
            found(segment, offset, offset,
                  "the batch begins with seq " + std::to_string(header.first_seq) +
                      ", expected was " + std::to_string(expected_));
        }
        const auto batch = content.subspan(offset, header.batch_bytes);
        if (open_batch(batch, header)) {
            expected_ = header.first_seq + header.records;
            walk_records(batch, header, segment, offset);
        } else {
            found(segment, offset, offset, "the checksum of the batch does not match");
        }
        offset += header.batch_bytes;
        history_.segments.back().end = offset;
    }
}

/// True if there may be batches: the segment was opened.
bool Walker::take_header(std::span<uint8_t> content, uint64_t file_bytes,
                         const SegmentFile& segment) {
    SegmentHeader header;
    std::string why;
    switch (parse_segment_header(content.first(kBlock), segment.id, file_bytes, header, why)) {
        case HeaderState::valid: break;
        case HeaderState::unwritten:
            if (all_zero(content)) return false;
            found(segment, 0, 0, "the segment header is missing, though something follows");
            return true;
        case HeaderState::damaged: found(segment, 0, 0, why); return true;
    }
    if (log_id_ == 0) log_id_ = header.log_id;
    if (opened_meanwhile_ && expected_ != 0 && header.first_seq > expected_) {
        // What was written before it had not been there yet: the log ends here, as it was read.
        more_ = false;
        return false;
    }
    if (header.log_id != log_id_) {
        found(segment, 0, 0, "the segment belongs to another log");
    } else if (expected_ != 0 && header.first_seq != expected_) {
        found(segment, 0, 0,
              "the segment begins with seq " + std::to_string(header.first_seq) +
                  ", but the one before ends with " + std::to_string(expected_ - 1));
    }
    history_.segments.back().first_seq = expected_ = header.first_seq;
    return true;
}

Status Walker::walk_segment(const SegmentFile& segment) {
    const auto file = segment.open(storage_);
    // noded releases segments while they are read.
    if (!file && file.error().code == ENOENT) return {};
    if (segment.archive) return walk_archive(segment, file);
    if (!file) return std::unexpected(file.error());
    const uint64_t bytes = (*file)->size();
    if (bytes < 2 * kBlock || bytes % kBlock != 0) {
        found(segment, 0, bytes, "the file ends here, which is no size of a segment");
    }
    AlignedBuffer content = TRY(content_of(**file));
    history_.segments.push_back({segment.id, segment.name, 0, 0, bytes, kBlock});
    const auto all = content.span(0, content.size());
    if (take_header(all, bytes, segment))
        walk_batches(all, segment);
    else
        history_.segments.pop_back();
    return {};
}

/// What can be read of an archive; frames that are damaged are as if nothing had been written, and
/// what is missing then is no damage of its own.
Status Walker::walk_archive(const SegmentFile& segment,
                            const Result<std::unique_ptr<File>>& file) {
    const auto damaged = [this](const Error& error) {
        history_.damages.push_back({.last_seq = history_.last_seq,
                                    .records = history_.records,
                                    .text = place_and_cause(error)});
        expected_ = 0;
    };
    if (!file) return damaged(file.error()), Status();
    const size_t before = history_.damages.size();
    Archive& archive = static_cast<Archive&>(**file);
    AlignedBuffer content(archive.size());
    memset(content.data(), 0, content.size());
    size_t at = 0;
    for (size_t i = 0; i < archive.frames().size(); ++i, at += limits::archive_frame_bytes) {
        const auto frame = archive.frame(i);
        if (frame) memcpy(content.data() + at, frame->data(), frame->size());
        else damaged(frame.error());
    }
    history_.segments.push_back({segment.id, segment.name, 0, 0, archive.size(), kBlock});
    const auto all = content.span(0, content.size());
    const size_t told = history_.damages.size();
    if (take_header(all, archive.size(), segment)) walk_batches(all, segment);
    if (told > before) history_.damages.resize(told);
    return {};
}

/// The last segment that begins at or before `seq`, so that those before need not be read.
Result<size_t> Walker::segment_of(const std::vector<SegmentFile>& segments, uint64_t seq) {
    AlignedBuffer block(kBlock);
    for (size_t i = segments.size(); i-- > 1;) {
        const auto file = segments[i].open(storage_);
        if (!file || (*file)->size() < kBlock) continue;
        if (!(*file)->read_at(0, block.span(0, kBlock))) continue;
        SegmentHeader header;
        std::string why;
        if (parse_segment_header(block.span(0, kBlock), segments[i].id, (*file)->size(), header,
                                 why) == HeaderState::valid &&
            header.first_seq <= seq)
            return i;
    }
    return 0;
}

/// Whether noded has not written anything into the segment yet, or has just removed it.
Result<bool> unopened(Storage& storage, const std::string& name) {
    const auto file = storage.open(name);
    if (!file && file.error().code == ENOENT) return true;
    if (!file) return std::unexpected(file.error());
    AlignedBuffer block(kBlock);
    memset(block.data(), 0, block.size());
    TRY((*file)->read_at(0, block.span(0, kBlock)));
    return all_zero(block.span(0, kBlock));
}

Status Walker::walk_from(const std::vector<SegmentFile>& segments, size_t begin) {
    for (size_t i = begin; i < segments.size() && more_; ++i) {
        if (i > begin && segments[i].id != segments[i - 1].id + 1) {
            const uint64_t id = segments[i - 1].id + 1;
            const SegmentFile missing{id, segment_name(id), std::nullopt};
            found(missing, 0, 0,
                  "the segment is missing, though " + segments[i].name + " is there");
        }
        const size_t opened = history_.segments.size();
        const bool last =
            i + 1 < segments.size() && TRY(unopened(storage_, segments[i + 1].name));
        TRY_STATUS(walk_segment(segments[i]));
        opened_meanwhile_ = last;
        const bool prepared = history_.segments.size() == opened;
        if (!prepared && i > begin && opened > 0 &&
            history_.segments[opened - 1].id != segments[i - 1].id) {
            found(segments[i - 1], 0, 0,
                  "the segment header is missing, though a later segment is there");
        }
    }
    return {};
}

/// Whether noded would take the log as it is: a torn tail is then no damage.
void Walker::ask_recovery() {
    std::string notice;
    auto recovered = recover(storage_, Repair::no, &notice);
    for (int i = 1; i < kTries && !recovered; ++i) {
        usleep(kPauseUs);  // a write under way can look wrong for a moment
        recovered = recover(storage_, Repair::no, &notice);
    }
    if (!recovered) return;
    history_.notice = notice;
    const uint64_t first = recovered->segments.empty() ? 0 : recovered->segments.front().id;
    const uint64_t last = recovered->segments.empty() ? 0 : recovered->segments.back().id;
    // Read before: what lies behind noded's end was torn then, what lies before was not yet there.
    const uint64_t end = history_.segments.empty() ? 0 : history_.segments.back().id;
    // What was released meanwhile, and the step over it into the oldest that is left.
    const bool released = !history_.segments.empty() && history_.segments.front().id < first;
    const size_t missing = std::erase_if(history_.damages, [&](const Damage& damage) {
        return (damage.segment != 0 && damage.segment < first) ||
               (released && damage.segment == first && damage.batch == 0);
    });
    if (missing > 0)
        history_.notice = "noded let old segments go while they were read: there is a gap before " +
                          segment_name(first);
    std::erase_if(history_.damages, [&](const Damage& damage) {
        return damage.segment > last || (damage.segment == last && last > end) ||
               (damage.segment == last && damage.batch >= recovered->end_offset);
    });
}

Result<History> Walker::run() {
    const auto segments = TRY(list_segments(storage_));
    TRY_STATUS(walk_from(segments, first_ == 0 ? 0 : TRY(segment_of(segments, first_))));
    if (!history_.damages.empty()) ask_recovery();
    return std::move(history_);
}

}  // namespace

Result<History> read_history(Storage& storage, uint64_t first, const EachRecord& each) {
    return Walker(storage, first, each).run();
}

Result<std::vector<ArchiveSummary>> judge_archives(Storage& storage, History& history) {
    std::vector<ArchiveSummary> archives;
    const auto names = TRY(storage.list());
    const auto tell = [&history](const Error& error) {
        const std::string text = place_and_cause(error);
        if (std::ranges::find(history.damages, text, &Damage::text) == history.damages.end())
            history.damages.push_back({.text = text});
    };
    for (const std::string& file : names) {
        const auto name = archive_in_file(file);
        if (!name) continue;
        const auto archive = Archive::open(storage, file, *name);
        if (!archive && archive.error().code == ENOENT) continue;   // noded removed it just now
        const bool beside = std::ranges::find(names, segment_name(name->segment_id)) != names.end();
        archives.push_back({file, name->first_seq, name->last_seq, 0, 0, beside});
        if (!archive) {
            tell(archive.error());
            continue;
        }
        archives.back().bytes = (*archive)->header().file_bytes;
        archives.back().segment_bytes = (*archive)->size();
        for (size_t i = 0; i < (*archive)->frames().size(); ++i)
            if (const auto frame = (*archive)->frame(i); !frame) tell(frame.error());
    }
    std::ranges::sort(archives, {}, &ArchiveSummary::file);
    return archives;
}

Result<std::vector<SnapshotSummary>> judge_snapshots(Storage& storage, History& history) {
    std::vector<SnapshotSummary> snapshots;
    uint64_t covered = 0;
    for (const uint64_t seq : TRY(list_snapshots(storage))) {
        const std::string name = numbered_name(kSnapshotPrefix, seq);
        const auto snapshot = load_snapshot(storage, seq);
        if (!snapshot && snapshot.error().code == ENOENT) continue;  // noded removed it just now
        snapshots.push_back({seq, name, snapshot.has_value(), 0});
        if (snapshot) {
            snapshots.back().sections = snapshot->sections.size();
            covered = std::max(covered, seq);
        } else {
            history.damages.push_back({.text = name + " " + snapshot.error().message});
        }
    }
    if (!snapshots.empty() && snapshots.front().seq > history.last_seq) {
        history.damages.push_back(
            {.text = snapshots.front().file + " is newer than the log, which ends with seq " +
                     std::to_string(history.last_seq) + ": the newest segments are missing"});
    }
    if (history.oldest_seq > covered + 1) {
        history.damages.push_back(
            {.text = "the log begins at seq " + std::to_string(history.oldest_seq) +
                     " and no valid snapshot covers what was before"});
    }
    return snapshots;
}

}  // namespace noded::logdump
