// See writer.h.
#include "agent/log/writer.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "agent/log/archive.h"
#include "agent/log/reader.h"

namespace noded::log {

namespace {

size_t batch_bytes_max(const LogOptions& options) {
    return std::min<uint64_t>(limits::log_batch_bytes_max, options.segment_bytes - kBlock);
}

int why_no_space(const Status& status) {
    return !status && is_lack_of_space(status.error()) ? status.error().code : 0;
}

Result<uint64_t> mint_log_id() {
    uint64_t id = 0;
    while (id == 0) {
        if (getrandom(&id, sizeof id, 0) != sizeof id) return fail_errno(errno, "mint a log id");
    }
    return id;
}

}  // namespace

LogWriter::LogWriter(Storage& storage, const LogOptions& options, Recovered recovered)
    : storage_(storage),
      options_(options),
      batch_bytes_max_(batch_bytes_max(options)),
      log_id_(recovered.log_id),
      segments_(std::move(recovered.segments)),
      write_offset_(recovered.end_offset),
      open_version_(recovered.format_version),
      next_found_(recovered.prepared),
      recycled_(recovered.recycled),
      next_seq_(recovered.next_seq),
      durable_seq_(recovered.next_seq - 1),
      batches_{BatchBuffer(batch_bytes_max_), BatchBuffer(batch_bytes_max_)},
      unseen_(std::move(recovered.unseen)) {}

Status LogWriter::start() {
    if (log_id_ == 0) log_id_ = options_.new_log_id != 0 ? options_.new_log_id : TRY(mint_log_id());
    if (!segments_.empty()) open_ = TRY(storage_.open(segment_name(segments_.back().id)));
    // One that is more than its share today gets nothing more, so that it can be released; nor does
    // one of an older format, which does not know all that is written today.
    if (open_ != nullptr &&
        (open_->size() > options_.segment_bytes || open_version_ != kFormatVersion))
        write_offset_ = open_->size();
    if (next_found_) {
        next_ = TRY(storage_.open(segment_name(next_id())));
        if (next_->size() < kBlock + batch_bytes_max_ || next_->size() > options_.segment_bytes) {
            // Prepared under other options: too small for a batch of today, or more than its share.
            next_.reset();
            TRY_STATUS(storage_.remove(segment_name(next_id())));
            std::erase_if(unseen_,
                          [&](const Unseen& part) { return part.segment_id == next_id(); });
        }
    }
    if (open_ == nullptr && next_ == nullptr) {
        // A new log begins with the smallest segment that takes any batch, because this one is made
        // in line.
        next_ = TRY(storage_.create_zeroed(segment_name(1), kBlock + batch_bytes_max_));
    }
    look_behind_end();
    if (!damage_) return damage_;
    prepare_next();
    return {};
}

/// Beside what else a start has to do, if there is a lane for it.
void LogWriter::look_behind_end() {
    if (unseen_.empty()) return;
    const auto work = [unseen = unseen_](Storage& storage) { return check_zeros(storage, unseen); };
    looking_ = storage_.aside(work, look_);
    if (!looking_) damage_ = check_zeros(storage_, unseen_);
}

void LogWriter::looked(Status status) {
    CHECK(looking_);
    looking_ = false;
    damage_ = std::move(status);
    if (held_.empty() || !damage_) return;
    const Bytes data = std::exchange(held_, {});
    open_->write_durable(held_offset_, data, *this);
}

uint64_t LogWriter::oldest_seq() const {
    return segments_.empty() ? next_seq_ : segments_.front().first_seq;
}

void LogWriter::append(const Record& record) {
    CHECK_MSG(record.seq == next_seq_, "the log is dense in seq");
    CHECK_MSG(!failed_, "nothing can follow a failed write");
    filling().append(record);
    ++next_seq_;
}

Status LogWriter::ensure_room(size_t payload_bytes, size_t records) {
    const size_t needed = sizeof(BatchHeader) + records * sizeof(RecordHeader) + payload_bytes;
    if (records > limits::log_batch_records_max || payload_bytes > batch_bytes_max_ ||
        needed > batch_bytes_max_) {
        return std::unexpected(Error{EMSGSIZE, std::to_string(records) + " events of " +
                                                   std::to_string(payload_bytes) +
                                                   " bytes are more than the log takes at once (" +
                                                   std::to_string(batch_bytes_max_) + ")"});
    }
    const uint64_t bytes = filling().sealed_bytes(payload_bytes, records);
    if (bytes <= room()) return {};
    return make_next_now(bytes);
}

void LogWriter::sync(SyncDone& done) {
    CHECK_MSG(done_ == nullptr, "one sync at a time");
    CHECK_MSG(!failed_, "nothing can follow a failed write");
    CHECK(!filling().empty());
    const size_t bytes = filling().sealed_bytes();
    Bytes data;
    uint64_t offset = 0;
    if (bytes <= room()) {
        data = filling().seal({log_id_, segments_.back().id}, nullptr);
        offset = write_offset_;
    } else {
        if (const Status made = make_next_now(bytes); !made) {
            return done.synced(made, durable_seq_);
        }
        data = seal_for_next(bytes);
    }
    note_batch(segments_.back(), filling().first_seq(), offset + data.size() - bytes);
    write_offset_ = offset + data.size();
    filling_ ^= 1;
    CHECK(filling().empty() && write_offset_ <= open_->size());
    done_ = &done;
    if (!looking_ && damage_) return open_->write_durable(offset, data, *this);
    held_ = data;
    held_offset_ = offset;
}

/// The next segment becomes the open one; the batch goes out behind its header.
Bytes LogWriter::seal_for_next(uint64_t bytes) {
    CHECK(next_ != nullptr && kBlock + bytes <= next_->size());
    SegmentHeader header{};
    header.magic = kSegmentMagic;
    header.version = kFormatVersion;
    header.block_bytes = kBlock;
    header.log_id = log_id_;
    header.segment_id = next_id();
    header.first_seq = filling().first_seq();
    header.segment_bytes = next_->size();
    segments_.push_back(
        new_segment_info(header.segment_id, header.first_seq, header.segment_bytes));
    open_ = std::move(next_);
    return filling().seal({log_id_, header.segment_id}, &header);
}

void LogWriter::written(Status status) {
    CHECK(done_ != nullptr);
    BatchBuffer& batch = batches_[filling_ ^ 1];
    if (status) {
        CHECK(batch.first_seq() == durable_seq_ + 1);
        durable_seq_ = batch.last_seq();
    } else {
        failed_ = true;
        status = context(status.error(), "write to log " + segment_name(segments_.back().id));
    }
    batch.clear();
    SyncDone* done = done_;
    done_ = nullptr;
    // Only now: at most one segment of zeros may follow the last one with a header.
    if (!failed_) prepare_next();
    done->synced(status, durable_seq_);
}

void LogWriter::prepare_next() {
    if (preparing_ != 0 || next_ != nullptr) return;
    const bool started = storage_.prepare_zeroed(segment_name(next_id()), options_.segment_bytes,
                                                 recycled_ ? kRecycledName : "", preparation_);
    if (!started) return;
    preparing_ = next_id();
    recycled_ = false;
}

/// A failure here is no news yet: ensure_room tries again, in line, when the segment is really
/// needed.
void LogWriter::prepared(Status status) {
    CHECK(preparing_ != 0);
    const uint64_t id = std::exchange(preparing_, 0);
    // make_next_now may have taken it already, between its getting the name and this.
    if (id != next_id() || next_ != nullptr) return;
    lacks_space_ = why_no_space(status);
    if (!status) return;
    if (auto file = storage_.open(segment_name(id))) next_ = std::move(*file);
}

/// The next segment is there when this returns, and takes a batch of `batch_bytes`. On a full disk
/// it is as large as the disk allows, by halves: sizes may differ (FORMAT.md).
Status LogWriter::make_next_now(uint64_t batch_bytes) {
    const uint64_t needed = kBlock + batch_bytes;
    if (next_ != nullptr) {
        if (needed <= next_->size()) return {};
        return std::unexpected(Error{ENOSPC, "the disk is full, and the last segment of " +
                                                 std::to_string(next_->size()) +
                                                 " bytes that it had room for is too small"});
    }
    if (std::exchange(recycled_, false)) TRY_STATUS(storage_.remove(kRecycledName));
    const Status made =
        make_next_by_halves(std::max<uint64_t>(needed, limits::log_segment_bytes_min));
    lacks_space_ = why_no_space(made);
    return made;
}

Status LogWriter::make_next_by_halves(uint64_t smallest) {
    Status made = make_next(options_.segment_bytes);
    for (uint64_t bytes = options_.segment_bytes / 2 / kBlock * kBlock;
         !made && is_lack_of_space(made.error()) && bytes >= smallest;
         bytes = bytes / 2 / kBlock * kBlock) {
        made = make_next(bytes);
    }
    return made;
}

Status LogWriter::make_next(uint64_t segment_bytes) {
    const std::string name = segment_name(next_id());
    auto made = storage_.create_zeroed(name, segment_bytes);
    // The one in preparation may have got its name just now.
    if (!made && made.error().code == EEXIST) made = storage_.open(name);
    if (!made) return context(made.error(), "make room in the log");
    next_ = std::move(*made);
    return {};
}

Status LogWriter::read(uint64_t first, const EachRecord& each) {
    return read_segments(storage_, log_id_, segments_, first, durable_seq_, each);
}

Result<uint64_t> LogWriter::seq_at(int64_t time_ns) {
    return find_time(storage_, log_id_, segments_, durable_seq_, time_ns);
}

std::vector<KeptSegment> LogWriter::kept(int64_t oldest_ns) {
    std::vector<KeptSegment> kept;
    bool with_times = oldest_ns != 0;
    for (size_t i = 0; i < segments_.size(); ++i) {
        const bool sealed =
            i + 1 < segments_.size() && segments_[i + 1].first_seq <= durable_seq_;
        kept.push_back({segments_[i].id, segments_[i].first_seq,
                        sealed ? segments_[i + 1].first_seq - 1 : 0, segments_[i].bytes,
                        segments_[i].archive_bytes, 0});
        if (!sealed || !with_times) continue;
        // Of the next one's first record, which is no older and can be found without reading all.
        const auto time = first_time(storage_, log_id_, segments_, i + 1, durable_seq_);
        if (time) kept.back().newest_ns = time->value_or(0);
        // Those behind the first one that is young enough are younger; a read each is saved.
        with_times = time && kept.back().newest_ns < oldest_ns;
    }
    return kept;
}

Status LogWriter::release_before(uint64_t first) {
    // Until the one behind it has a record that is durable, a segment is the end of the log.
    first = std::min(first, durable_seq_);
    // The oldest first, so that a crash leaves no gap.
    auto segment = std::ranges::find_if(segments_, &SegmentInfo::in_log);
    while (segment + 1 != segments_.end() && (segment + 1)->first_seq <= first) {
        // A slow preparation of a segment that was made in line meanwhile must find the name taken.
        if (segment->id == preparing_) break;
        const bool archived = segment->archive_bytes != 0;
        if (!archived && segment != segments_.begin())
            return fail(segment_name(segment->id) + " has no archive, those before it have");
        TRY_STATUS(release_file(segment->id));
        segment->bytes = 0;
        segment = archived ? segment + 1 : segments_.erase(segment);
    }
    if (!sync_under_way()) prepare_next();
    return {};
}

/// One is kept for reuse: its space is certain.
Status LogWriter::release_file(uint64_t id) {
    if (recycled_ || preparing_ != 0) return storage_.release(segment_name(id), "");
    TRY_STATUS(storage_.release(segment_name(id), kRecycledName));
    recycled_ = true;
    return {};
}

void LogWriter::archived(uint64_t segment_id, uint64_t bytes) {
    const auto segment = std::ranges::find(segments_, segment_id, &SegmentInfo::id);
    if (segment != segments_.end()) segment->archive_bytes = bytes;
}

Status LogWriter::remove_archive(uint64_t segment_id) {
    const auto segment = std::ranges::find(segments_, segment_id, &SegmentInfo::id);
    if (segment == segments_.end() || segment->archive_bytes == 0 ||
        segment + 1 == segments_.end() ||
        std::find_if(segments_.begin(), segment, [](const SegmentInfo& older) {
            return older.archive_bytes != 0;
        }) != segment)
        return fail(segment_name(segment_id) + " has not the oldest archive");
    TRY_STATUS(storage_.release(
        archive_file({segment_id, segment->first_seq, (segment + 1)->first_seq - 1}), ""));
    segment->archive_bytes = 0;
    if (!segment->in_log()) segments_.erase(segment);
    return {};
}

Result<std::unique_ptr<Log>> open_log(Storage& storage, std::string* notice,
                                      const LogOptions& options) {
    if (options.segment_bytes % kBlock != 0 || options.segment_bytes < 2 * kBlock) {
        return fail("a log needs segments of at least " + std::to_string(2 * kBlock) +
                    " bytes in steps of " + std::to_string(kBlock));
    }
    auto recovered = TRY(recover(storage, Repair::yes, notice));
    auto writer = std::make_unique<LogWriter>(storage, options, std::move(recovered));
    TRY_STATUS(writer->start());
    return writer;
}

}  // namespace noded::log
