// See beside.h.
#include "agent/log/beside.h"

#include <algorithm>
#include <cerrno>

#include "agent/base/check.h"
#include "agent/log/archive.h"
#include "agent/log/reader.h"

namespace noded::log {

namespace {

class LogBeside final : public Log {
public:
    LogBeside(Storage& storage, uint64_t last) : storage_(storage), last_(last) {}

    Status find_segments();

    uint64_t oldest_seq() const override {
        return segments_.empty() ? last_ + 1 : std::min(segments_.front().first_seq, last_ + 1);
    }
    uint64_t next_seq() const override { return last_ + 1; }
    uint64_t durable_seq() const override { return last_; }
    bool fits(size_t, size_t) const override { return false; }
    Status ensure_room(size_t, size_t) override { return fail_errno(EROFS, "write to the past"); }
    bool sync_under_way() const override { return false; }
    void append(const Record&) override { CHECK_MSG(false, "the past is never written"); }
    void sync(SyncDone&) override { CHECK_MSG(false, "the past is never written"); }

    Status read(uint64_t first, const EachRecord& each) override {
        if (first > last_) return {};
        return read_segments(storage_, log_id_, segments_, first, last_, each);
    }

    Result<uint64_t> seq_at(int64_t time_ns) override {
        if (segments_.empty()) return last_ + 1;
        return find_time(storage_, log_id_, segments_, last_, time_ns);
    }

private:
    Result<std::string> list_segments();

    Storage& storage_;
    const uint64_t last_;
    uint64_t log_id_ = 0;
    std::vector<SegmentInfo> segments_;
};

/// All of them, also where `last_` lies in an archive: it is the next segment that tells where one
/// ends. One without a header is prepared for what comes later. A sentence if archives do not lead
/// on to them.
Result<std::string> LogBeside::list_segments() {
    std::vector<uint64_t> ids;
    segments_.clear();
    const auto files = TRY(storage_.sizes());
    for (const FileSize& file : files) {
        if (const auto id = number_in_name(file.name, kSegmentPrefix)) ids.push_back(*id);
    }
    std::sort(ids.begin(), ids.end());
    AlignedBuffer buffer(kBlock);
    const auto block = buffer.span(0, kBlock);
    for (const uint64_t id : ids) {
        const auto file = storage_.open(segment_name(id));
        // Released since the directory was listed: the oldest go first.
        if (!file && file.error().code == ENOENT && segments_.empty()) continue;
        if (!file) return std::unexpected(file.error());
        SegmentHeader header;
        std::string why;
        if (TRY((*file)->read_at(0, block)) != kBlock) break;
        const auto state = parse_segment_header(block, id, (*file)->size(), header, why);
        if (state != HeaderState::valid) break;
        log_id_ = header.log_id;
        segments_.push_back(new_segment_info(id, header.first_seq, (*file)->size()));
    }
    std::string passed_over = add_archives(files, segments_);
    // What was up to the very first event that is left, a snapshot may know.
    if (last_ > 0 && (segments_.empty() || segments_.front().first_seq > last_ + 1))
        return fail("no segment holds event " + std::to_string(last_));
    return passed_over;
}

/// A segment that is archived and released between the listing and its turn is in neither: then the
/// next listing shows it.
Status LogBeside::find_segments() {
    for (int tries = 0; tries < 3 && !TRY(list_segments()).empty();) ++tries;
    return {};
}

}  // namespace

Result<std::unique_ptr<Log>> open_log_beside(Storage& storage, uint64_t last) {
    auto log = std::make_unique<LogBeside>(storage, last);
    TRY_STATUS(log->find_segments());
    return log;
}

}  // namespace noded::log
