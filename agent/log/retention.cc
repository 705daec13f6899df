// See retention.h.
#include "agent/log/retention.h"

#include <algorithm>

namespace noded::log {

namespace {

constexpr size_t kSnapshotsAlways = 2;
/// Of the limit of bytes, for the snapshots before those two.
constexpr uint64_t kOldSnapshotsShare = 4;
/// Segments are archived when their room will be needed after so much of the limit more.
constexpr uint64_t kArchivedAheadShare = 4;
/// An archive takes no more than its segment and this part of it.
constexpr uint64_t kArchiveOverheadShare = 64;

class Planner {
public:
    Planner(const Kept& kept, const RetentionLimits& limits) : kept_(kept), limits_(limits) {
        const uint64_t wanted = kept.bytes + limits.headroom;
        if (wanted > limits.bytes_max) to_free_ = wanted - limits.bytes_max;
        if (limits.lacks_space) to_free_ = std::max<uint64_t>(to_free_, 1);
        const uint64_t ahead = limits.bytes_max / kArchivedAheadShare;
        if (wanted + ahead > limits.bytes_max) to_archive_ = wanted + ahead - limits.bytes_max;
        while (next_ < kept.segments.size() && kept.segments[next_].bytes == 0) ++next_;
    }

    RetentionPlan plan() {
        const uint64_t newest = covered_by(0);
        const uint64_t safe = std::min(covered_by(1), newest);
        thin_snapshots();
        drop_aged_archives();
        release_segments(safe);
        if (to_free_ > 0 && newest > safe) release_segments(newest);
        archive_segments();
        for (size_t i = next_; i < kept_.segments.size(); ++i) {
            const KeptSegment& segment = kept_.segments[i];
            const bool sealed = segment.last_seq != 0;
            const bool frees = to_free_ > 0 && segment.last_seq > newest;
            const bool ages = is_old(segment) && segment.last_seq > safe;
            if (sealed && (frees || ages)) plan_.snapshot_wanted = true;
        }
        if (to_free_ == 0 || waits_) return std::move(plan_);
        drop_snapshots_but(newest);
        if (to_free_ > 0 && limits_.disk_is_full) drop_archives(1);
        return std::move(plan_);
    }

private:
    /// Seq of the verified snapshot with so many newer ones, 0 if there is none.
    uint64_t covered_by(size_t newer) const {
        for (const KeptSnapshot& snapshot : kept_.snapshots)
            if (snapshot.verified && newer-- == 0) return snapshot.seq;
        return 0;
    }

    bool is_old(const KeptSegment& segment) const {
        return segment.newest_ns != 0 && segment.newest_ns < limits_.oldest_ns;
    }

    void freed(uint64_t bytes) { to_free_ -= std::min(to_free_, bytes); }

    void remove_snapshot(const KeptSnapshot& snapshot) {
        plan_.steps.push_back({Release::What::snapshot, snapshot.seq});
        freed(snapshot.bytes);
    }

    /// Distances grow with age: one goes where what is left spans no more than its newer neighbour
    /// is away from the newest.
    void thin_snapshots() {
        const auto& all = kept_.snapshots;
        const uint64_t oldest_event =
            kept_.segments.empty() ? 0 : kept_.segments.front().first_seq;
        for (const KeptSnapshot& snapshot : all) {
            const bool leads_on = snapshot.seq + 1 >= oldest_event;
            if (staying_.size() < kSnapshotsAlways || leads_on) staying_.push_back(snapshot);
            else remove_snapshot(snapshot);
        }
        for (size_t i = kSnapshotsAlways; i + 1 < staying_.size();) {
            const uint64_t gap = staying_[i - 1].seq - staying_[i + 1].seq;
            if (gap > staying_[0].seq - staying_[i - 1].seq) {
                ++i;
                continue;
            }
            drop(i);
        }
        while (staying_.size() > kSnapshotsAlways && bytes_of_old_snapshots() > old_bytes_max())
            drop(kSnapshotsAlways);
    }

    void drop(size_t i) {
        remove_snapshot(staying_[i]);
        staying_.erase(staying_.begin() + static_cast<ptrdiff_t>(i));
    }

    uint64_t bytes_of_old_snapshots() const {
        uint64_t bytes = 0;
        for (size_t i = kSnapshotsAlways; i < staying_.size(); ++i) bytes += staying_[i].bytes;
        return bytes;
    }

    uint64_t old_bytes_max() const { return limits_.bytes_max / kOldSnapshotsShare; }

    /// The oldest of those that end at `covered` or before, while there is a reason.
    void release_segments(uint64_t covered) {
        for (; next_ < kept_.segments.size(); ++next_) {
            const KeptSegment& segment = kept_.segments[next_];
            if (segment.last_seq == 0 || segment.last_seq > covered) return;
            if (to_free_ == 0 && !is_old(segment)) return;
            const bool has_archive = segment.archive_bytes != 0;
            waits_ = !has_archive && waits_for_archive(segment);
            if (waits_) return;
            if (!has_archive || is_old(segment)) drop_archives_to(next_);
            plan_.steps.push_back({Release::What::segment, segment.id});
            freed(segment.bytes);
        }
    }

    bool waits_for_archive(const KeptSegment& segment) const {
        if (!limits_.archive || is_old(segment)) return false;
        const bool room_can_be_made =
            limits_.archive_lacks_space && is_archive_alone(archives_gone_);
        return segment.id != limits_.not_archived || !limits_.lacks_space || room_can_be_made;
    }

    // Archives of the oldest segments; `archives_gone_` of them go.

    void drop_archive() {
        const KeptSegment& segment = kept_.segments[archives_gone_++];
        if (segment.archive_bytes == 0) return;
        plan_.steps.push_back({Release::What::old_archive, segment.id});
    }

    void drop_archives_to(size_t last) {
        while (archives_gone_ <= last) drop_archive();
    }

    bool is_archive_alone(size_t i) const {
        return i < kept_.segments.size() && kept_.segments[i].bytes == 0;
    }

    void drop_aged_archives() {
        while (is_archive_alone(archives_gone_) && is_old(kept_.segments[archives_gone_]))
            drop_archive();
    }

    /// So many of the oldest; one of a segment that is still in the log would only be made again.
    void drop_archives(size_t count) {
        for (; count > 0 && is_archive_alone(archives_gone_); --count) drop_archive();
    }

    uint64_t archive_bytes() const {
        uint64_t bytes = 0;
        for (size_t i = archives_gone_; i < kept_.segments.size(); ++i)
            bytes += kept_.segments[i].archive_bytes;
        return bytes;
    }

    /// One after another, because each takes its time; the oldest first.
    void archive_segments() {
        uint64_t needed = 0;
        const KeptSegment* next = limits_.archive ? next_to_archive() : nullptr;
        if (next != nullptr) needed = next->bytes + next->bytes / kArchiveOverheadShare;
        while (archive_bytes() + needed > limits_.archive_bytes_max &&
               is_archive_alone(archives_gone_)) {
            drop_archive();
        }
        if (next == nullptr) return;
        if (limits_.archive_lacks_space) drop_archives(1);
        plan_.steps.push_back({Release::What::archive, next->id});
    }

    /// The oldest in the log without one, if its room will soon be needed.
    const KeptSegment* next_to_archive() const {
        uint64_t before = 0;
        for (size_t i = next_; i < kept_.segments.size(); ++i) {
            const KeptSegment& segment = kept_.segments[i];
            if (segment.last_seq == 0 || before >= to_archive_) return nullptr;
            if (segment.archive_bytes == 0) return &segment;
            before += segment.bytes;
        }
        return nullptr;
    }

    /// Nothing else can go, so that there is room for the snapshot that leads out.
    void drop_snapshots_but(uint64_t seq) {
        for (const KeptSnapshot& snapshot : staying_)
            if (seq != 0 && snapshot.seq < seq) remove_snapshot(snapshot);
    }

    const Kept& kept_;
    const RetentionLimits& limits_;
    RetentionPlan plan_;
    uint64_t to_free_ = 0;
    bool waits_ = false;          ///< the next segment goes once it has an archive
    uint64_t to_archive_ = 0;     ///< so many bytes of the oldest segments are to have archives
    size_t next_ = 0;             ///< the oldest segment in the log that stays
    size_t archives_gone_ = 0;    ///< of the oldest segments
    std::vector<KeptSnapshot> staying_;
};

}  // namespace

RetentionPlan what_to_release(const Kept& kept, const RetentionLimits& limits) {
    return Planner(kept, limits).plan();
}

}  // namespace noded::log
