// LogWriter: the Log over a Storage. Two batch buffers take turns: one is written while the other
// is filled.
//
// Invariants: the open segment is segments_.back(); batches go to write_offset_ and on; the segment
// after it is ready (next_), in preparation, or could not be made. A write that opens a segment
// carries its header in front. Nothing is written before it is known that nothing stands there.
// Built by open_log; called by the pipeline, on the reactor's thread only.
#pragma once

#include "agent/log/recovery.h"
#include "agent/log/stretch.h"

namespace noded::log {

class LogWriter final : public Log, private WriteDone {
public:
    LogWriter(Storage& storage, const LogOptions& options, Recovered recovered);

    /// Opens the segments that recovery found and has the next one prepared.
    Status start();

    uint64_t oldest_seq() const override;
    uint64_t next_seq() const override { return next_seq_; }
    uint64_t durable_seq() const override { return durable_seq_; }
    void append(const Record& record) override;
    bool fits(size_t payload_bytes, size_t records) const override {
        return filling().fits(payload_bytes, records);
    }
    Status ensure_room(size_t payload_bytes, size_t records) override;
    void sync(SyncDone& done) override;
    Status sound() const override { return damage_; }
    bool sync_under_way() const override { return done_ != nullptr; }
    Status read(uint64_t first, const EachRecord& each) override;
    bool read_aside(uint64_t first, StretchDone& done) override {
        return stretches_.start(log_id_, first, durable_seq_, done);
    }
    Result<uint64_t> seq_at(int64_t time_ns) override;
    void seq_at_aside(int64_t time_ns, SeqFound found) override {
        find_time_aside(storage_, segments_, log_id_, durable_seq_, time_ns, std::move(found));
    }
    std::vector<KeptSegment> kept(int64_t oldest_ns) override;
    uint64_t newest_segment() const override { return next_id() - 1; }
    bool lacks_space() const override { return lacks_space_ != 0 && preparing_ == 0; }
    bool disk_is_full() const override { return lacks_space() && lacks_space_ == ENOSPC; }
    Status release_before(uint64_t first) override;
    void archived(uint64_t segment_id, uint64_t bytes) override;
    Status remove_archive(uint64_t segment_id) override;

private:
    /// The other thing that completes: a segment prepared in the background.
    class Preparation final : public WriteDone {
    public:
        explicit Preparation(LogWriter& writer) : writer_(writer) {}
        void written(Status status) override { writer_.prepared(status); }

    private:
        LogWriter& writer_;
    };

    /// The third: whether nothing stands behind the end of the log, which start-up left unseen.
    class Look final : public WriteDone {
    public:
        explicit Look(LogWriter& writer) : writer_(writer) {}
        void written(Status status) override { writer_.looked(std::move(status)); }

    private:
        LogWriter& writer_;
    };

    void written(Status status) override;
    void look_behind_end();
    void looked(Status status);
    void prepared(Status status);
    void prepare_next();
    Status make_next_now(uint64_t batch_bytes);
    Status make_next(uint64_t segment_bytes);
    Status make_next_by_halves(uint64_t smallest);
    Bytes seal_for_next(uint64_t bytes);
    Status release_file(uint64_t id);
    BatchBuffer& filling() { return batches_[filling_]; }
    const BatchBuffer& filling() const { return batches_[filling_]; }
    uint64_t next_id() const { return segments_.empty() ? 1 : segments_.back().id + 1; }
    uint64_t room() const { return open_ == nullptr ? 0 : open_->size() - write_offset_; }

    Storage& storage_;
    const LogOptions options_;
    const size_t batch_bytes_max_;
    uint64_t log_id_;
    std::vector<SegmentInfo> segments_;   ///< the first ones may be archives alone
    std::unique_ptr<File> open_;
    uint64_t write_offset_;  ///< after the batch whose write is under way
    uint32_t open_version_;  ///< format of the segment that recovery found open
    std::unique_ptr<File> next_;
    bool next_found_;         ///< by recovery
    bool recycled_;           ///< kRecycledName is there and free to be reused
    uint64_t preparing_ = 0;  ///< id of the segment in preparation, 0 for none
    uint64_t next_seq_;
    uint64_t durable_seq_;
    BatchBuffer batches_[2];
    size_t filling_ = 0;
    SyncDone* done_ = nullptr;
    std::vector<Unseen> unseen_;
    bool looking_ = false;
    Bytes held_;               ///< the first write, which waits for that
    uint64_t held_offset_ = 0;
    Status damage_;            ///< what was seen there
    bool failed_ = false;
    int lacks_space_ = 0;   ///< why the last attempt to make a segment found no room, or 0
    Preparation preparation_{*this};
    Look look_{*this};
    StretchReader stretches_{storage_, segments_};
};

}  // namespace noded::log
