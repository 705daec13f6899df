// Keeper: holds log, snapshots and archive within their limits, by the steps that retention.h
// plans, whenever a segment was sealed, a snapshot verified, room ran short or time has passed.
//
// A crash between or within steps loses nothing: a file goes only after what stands in for it is
// durable, the oldest first, and whatever a step left unfinished is found again by the next one or
// by recovery. Owned by Snapshots; on the reactor's thread.
#pragma once

#include <set>

#include "agent/base/clock.h"
#include "agent/log/log.h"
#include "agent/log/retention.h"

namespace noded::log {

struct KeeperOptions {
    uint64_t bytes_max = limits::log_bytes_max;
    uint64_t segment_bytes = limits::log_segment_bytes;
    int64_t age_max_ns = 0;   ///< 0: history has no limit of age
    bool archive = false;
};

/// What the next snapshot may need, as far as the newest one tells.
uint64_t snapshot_reserve(uint64_t bytes_max, uint64_t newest_bytes);

/// What operators ask for.
struct KeeperReport {
    uint64_t bytes = 0;   ///< of all files
    uint64_t bytes_max = 0;
    uint64_t archive_bytes = 0;
    size_t snapshots = 0;
};

class Keeper {
public:
    Keeper(Storage& storage, Log& log, const Clock& clock, const KeeperOptions& options);

    /// That snapshot was loaded, or read back after it was written, and all plugins can start from
    /// it.
    void verified(uint64_t snapshot_seq);
    /// Once per turn; looks only when there is a reason to.
    void turn_end();
    /// Only a snapshot of now would allow what the limits ask for.
    bool snapshot_wanted() const { return snapshot_wanted_; }
    /// Lists the directory.
    Result<KeeperReport> report();

private:
    struct Files;

    Status look();
    Result<Files> list_files();
    Status take(const Release& step, const std::vector<KeptSegment>& segments);
    RetentionLimits limits_now(const Files& files);

    Storage& storage_;
    Log& log_;
    const Clock& clock_;
    const KeeperOptions options_;
    std::set<uint64_t> verified_;   ///< seqs of snapshots
    bool changed_ = true;
    uint64_t seen_segment_ = 0;
    bool seen_lack_ = false;
    int64_t next_look_ns_ = 0;
    bool snapshot_wanted_ = false;
};

}  // namespace noded::log
