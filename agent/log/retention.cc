// See retention.h.
#include "agent/log/retention.h"

#include <algorithm>

namespace noded::log {

namespace {

constexpr size_t kSnapshotsAlways = 2;
/// Of the limit of bytes, for the snapshots before those two.
constexpr uint64_t kOldSnapshotsShare = 4;

class Planner {
public:
    Planner(const Kept& kept, const RetentionLimits& limits) : kept_(kept), limits_(limits) {
        const uint64_t wanted = kept.bytes + limits.headroom;
        if (wanted > limits.bytes_max) to_free_ = wanted - limits.bytes_max;
        if (limits.lacks_space) to_free_ = std::max<uint64_t>(to_free_, 1);
    }

    RetentionPlan plan() {
        const uint64_t newest = covered_by(0);
        const uint64_t safe = std::min(covered_by(1), newest);
        thin_snapshots();
        release_segments(safe);
        if (to_free_ > 0 && newest > safe) release_segments(newest);
        if (limits_.archive) archive_segments(safe);
        for (size_t i = next_; i < kept_.segments.size(); ++i) {
            const KeptSegment& segment = kept_.segments[i];
            const bool sealed = segment.last_seq != 0;
            const bool frees = to_free_ > 0 && segment.last_seq > newest;
            const bool ages = is_old(segment) && segment.last_seq > safe;
            if (sealed && (frees || ages)) plan_.snapshot_wanted = true;
        }
        if (to_free_ > 0) drop_snapshots_but(newest);
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
            plan_.steps.push_back({Release::What::segment, segment.id});
            freed(segment.bytes);
        }
    }

    void archive_segments(uint64_t covered) {
        for (size_t i = next_; i < kept_.segments.size(); ++i) {
            const KeptSegment& segment = kept_.segments[i];
            if (segment.last_seq == 0 || segment.last_seq > covered) return;
            if (!segment.archived) plan_.steps.push_back({Release::What::archive, segment.id});
        }
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
    size_t next_ = 0;   ///< the oldest segment that stays
    std::vector<KeptSnapshot> staying_;
};

}  // namespace

RetentionPlan what_to_release(const Kept& kept, const RetentionLimits& limits) {
    return Planner(kept, limits).plan();
}

}  // namespace noded::log
