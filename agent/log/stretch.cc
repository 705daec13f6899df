// See stretch.h.
#include "agent/log/stretch.h"

#include <algorithm>
#include <utility>

#include "agent/base/check.h"
#include "agent/log/reader.h"

namespace noded::log {

namespace {

/// A plain copy has no room for the places that the reading notes.
SegmentInfo copy_of(const SegmentInfo& segment) {
    SegmentInfo copy = segment;
    copy.index.reserve(segment.index.capacity());
    return copy;
}

/// What the reading of a copy has found out, if the log still has that segment.
void note_places(std::vector<SegmentInfo>& segments, SegmentInfo&& read) {
    const auto segment = std::ranges::find(segments, read.id, &SegmentInfo::id);
    if (segment == segments.end()) return;
    if (!segment->first_time_ns) segment->first_time_ns = read.first_time_ns;
    if (read.index.empty()) return;
    const bool is_further =
        segment->index.empty() || read.index.back().seq > segment->index.back().seq;
    if (is_further && read.index.capacity() >= segment->index.capacity())
        segment->index = std::move(read.index);
}

}  // namespace

struct StretchReader::Work {
    uint64_t log_id;
    uint64_t first;
    uint64_t last;
    std::vector<SegmentInfo> segments;   ///< that of `first`, and the next one for where it ends
    Stretch stretch;

    Status read(Storage& storage);
};

Status StretchReader::Work::read(Storage& storage) {
    constexpr size_t kWords = limits::log_stretch_bytes_max / sizeof(uint64_t);
    // Pages that no payload reaches are not touched.
    stretch.words = std::make_unique_for_overwrite<uint64_t[]>(kWords);
    size_t used = 0;
    return read_segments(storage, log_id, segments, first, last, [&](const Record& record) {
        const size_t words = (record.payload.size() + sizeof(uint64_t) - 1) / sizeof(uint64_t);
        if (words > kWords - used || stretch.records.size() == limits::log_stretch_records_max)
            return false;
        auto* const to = reinterpret_cast<uint8_t*>(stretch.words.get() + used);
        used += words;
        if (!record.payload.empty()) memcpy(to, record.payload.data(), record.payload.size());
        stretch.records.push_back(record);
        stretch.records.back().payload = {to, record.payload.size()};
        stretch.records.back().sender = {};
        return true;
    });
}

bool StretchReader::start(uint64_t log_id, uint64_t first, uint64_t last, StretchDone& done) {
    if (done_ != nullptr || first > last) return false;
    auto segment = std::ranges::upper_bound(segments_, first, {}, &SegmentInfo::first_seq);
    if (segment == segments_.begin()) return false;
    --segment;
    auto work = std::make_shared<Work>(Work{log_id, first, last, {}, {}});
    for (auto at = segment; at != segments_.end() && at <= segment + 1; ++at)
        work->segments.push_back(copy_of(*at));
    if (work->segments.size() == 2) {
        work->last = std::min(last, work->segments[1].first_seq - 1);
    }
    work->stretch.to_end = work->last == last;
    if (!storage_.aside([work](Storage& storage) { return work->read(storage); }, *this))
        return false;
    work_ = std::move(work);
    done_ = &done;
    return true;
}

void StretchReader::written(Status status) {
    StretchDone* const done = std::exchange(done_, nullptr);
    CHECK(done != nullptr);
    const auto work = std::move(work_);
    note_places(segments_, std::move(work->segments.front()));
    if (!status) return done->stretch_read(std::unexpected(status.error()));
    Stretch stretch = std::move(work->stretch);
    CHECK(!stretch.records.empty());
    stretch.to_end = stretch.to_end && stretch.records.back().seq == work->last;
    done->stretch_read(std::move(stretch));
}

namespace {

class TimeQuery final : public WriteDone {
public:
    TimeQuery(std::vector<SegmentInfo>& segments, SeqFound found)
        : segments_(segments), found_(std::move(found)) {}

    void begin(Storage& storage, uint64_t log_id, uint64_t last, int64_t time_ns) {
        for (const SegmentInfo& segment : segments_) work_->segments.push_back(copy_of(segment));
        const auto find = [work = work_, log_id, last, time_ns](Storage& from) -> Status {
            work->seq = TRY(find_time(from, log_id, work->segments, last, time_ns));
            return {};
        };
        if (!storage.aside(find, *this)) written(find(storage));
    }

private:
    struct Work {
        std::vector<SegmentInfo> segments;
        uint64_t seq = 0;
    };

    void written(Status status) override {
        for (SegmentInfo& read : work_->segments) note_places(segments_, std::move(read));
        SeqFound found = std::move(found_);
        const uint64_t seq = work_->seq;
        delete this;
        if (status) found(seq);
        else found(std::unexpected(status.error()));
    }

    std::vector<SegmentInfo>& segments_;
    const std::shared_ptr<Work> work_ = std::make_shared<Work>();
    SeqFound found_;
};

}  // namespace

void find_time_aside(Storage& storage, std::vector<SegmentInfo>& segments, uint64_t log_id,
                     uint64_t last, int64_t time_ns, SeqFound found) {
    // It goes when it has answered.
    (new TimeQuery(segments, std::move(found)))->begin(storage, log_id, last, time_ns);
}

}  // namespace noded::log
