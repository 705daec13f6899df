// See keeper.h.
#include "agent/log/keeper.h"

#include <algorithm>

#include "agent/base/logger.h"
#include "agent/log/segment.h"

namespace noded::log {

uint64_t snapshot_reserve(uint64_t bytes_max, uint64_t newest_bytes) {
    return bytes_max / 16 + newest_bytes + newest_bytes / 4;
}

struct Keeper::Files {
    uint64_t bytes = 0;
    uint64_t recycled_bytes = 0;
    uint64_t archive_bytes = 0;
    std::vector<KeptSnapshot> snapshots;   ///< newest first
};

Keeper::Keeper(Storage& storage, Log& log, const Clock& clock, const KeeperOptions& options)
    : storage_(storage), log_(log), clock_(clock), options_(options) {
    storage_.limit({options_.bytes_max, snapshot_reserve(options_.bytes_max, 0)});
}

void Keeper::verified(uint64_t snapshot_seq) {
    verified_.insert(snapshot_seq);
    changed_ = true;
}

void Keeper::turn_end() {
    const int64_t now = clock_.monotonic_ns();
    const bool news = changed_ || log_.newest_segment() != seen_segment_ ||
                      (log_.lacks_space() && !seen_lack_);
    if (!news && now < next_look_ns_) return;
    changed_ = false;
    seen_segment_ = log_.newest_segment();
    seen_lack_ = log_.lacks_space();
    next_look_ns_ =
        now + (seen_lack_ ? limits::retention_period_short_ns : limits::retention_period_ns);
    if (const Status looked = look(); !looked)
        log_line(Severity::error, "retention", looked.error().message);
}

Result<Keeper::Files> Keeper::list_files() {
    Files files;
    for (const FileSize& file : TRY(storage_.sizes())) {
        files.bytes += file.bytes;
        if (file.name == kRecycledName) files.recycled_bytes = file.bytes;
        if (file.name.starts_with(kArchiveFolder)) files.archive_bytes += file.bytes;
        if (const auto seq = number_in_name(file.name, kSnapshotPrefix))
            files.snapshots.push_back({*seq, file.bytes, verified_.contains(*seq)});
    }
    std::sort(files.snapshots.begin(), files.snapshots.end(),
              [](const KeptSnapshot& a, const KeptSnapshot& b) { return a.seq > b.seq; });
    return files;
}

/// The next segment and the next snapshot are to find their place without anybody waiting for it.
RetentionLimits Keeper::limits_now(const Files& files) {
    const uint64_t newest = files.snapshots.empty() ? 0 : files.snapshots.front().bytes;
    const uint64_t reserve = snapshot_reserve(options_.bytes_max, newest);
    storage_.limit({options_.bytes_max, reserve});
    RetentionLimits limits;
    limits.bytes_max = options_.bytes_max;
    limits.headroom = reserve + std::max(2 * options_.segment_bytes, options_.bytes_max / 8);
    limits.lacks_space = log_.lacks_space();
    if (options_.age_max_ns != 0) limits.oldest_ns = clock_.realtime_ns() - options_.age_max_ns;
    limits.archive = options_.archive;
    return limits;
}

Status Keeper::look() {
    Files files = TRY(list_files());
    Kept kept;
    const RetentionLimits limits = limits_now(files);
    kept.segments = log_.kept(limits.oldest_ns);
    // A recycled segment is room: the next one is made of it.
    kept.bytes = files.bytes - files.recycled_bytes;
    kept.snapshots = std::move(files.snapshots);
    const RetentionPlan plan = what_to_release(kept, limits);
    snapshot_wanted_ = plan.snapshot_wanted;
    size_t steps = 0;
    for (const Release& step : plan.steps) {
        if (changed_ = ++steps > limits::retention_steps_max; changed_) break;  // next turn
        TRY_STATUS(take(step, kept.segments));
    }
    return {};
}

Status Keeper::take(const Release& step, const std::vector<KeptSegment>& segments) {
    switch (step.what) {
        case Release::What::snapshot:
            verified_.erase(step.number);
            return storage_.remove(numbered_name(kSnapshotPrefix, step.number));
        case Release::What::segment: {
            const auto segment = std::ranges::find(segments, step.number, &KeptSegment::id);
            return log_.release_before(segment->last_seq + 1);
        }
        case Release::What::archive: return {};
    }
    __builtin_unreachable();
}

Result<KeeperReport> Keeper::report() {
    const Files files = TRY(list_files());
    return KeeperReport{files.bytes, options_.bytes_max, files.archive_bytes,
                        files.snapshots.size()};
}

}  // namespace noded::log
