// Keeper: holds log, snapshots and archive within their limits, by the steps that retention.h
// plans, whenever a segment was sealed, a snapshot verified, room ran short or time has passed.
//
// A crash between or within steps loses nothing: a file goes only after what stands in for it is
// durable, the oldest first, and whatever a step left unfinished is found again by the next one or
// by recovery. So a step waits until the one before it is on the disk, which is done aside unless
// the log waits for the room. Archives are made aside, too, one after another. Owned by Snapshots;
// on the reactor's thread.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "agent/base/clock.h"
#include "agent/log/log.h"
#include "agent/log/retention.h"

namespace noded::log {

struct ArchiveMade;

struct KeeperOptions {
    uint64_t bytes_max = limits::log_bytes_max;
    uint64_t segment_bytes = limits::log_segment_bytes;
    int64_t age_max_ns = 0;   ///< 0: history has no limit of age
    bool archive = false;
    uint64_t archive_bytes_max = limits::archive_bytes_max;
};

/// What a log in that storage may take from its opening on. While it is above a limit that was
/// lowered there is room for the snapshot and the segments that lead below it.
Result<Space> space_at_start(Storage& storage, const KeeperOptions& options);

/// What is wrong with a limit below so many times what a snapshot takes
/// (limits::log_snapshots_in_bytes_max), and what to set it to; else nothing. Two snapshots stay,
/// and the next one needs its place before the older of them goes.
std::string narrow_limit(uint64_t bytes_max, uint64_t snapshot_bytes);

/// What operators ask for.
struct KeeperReport {
    uint64_t bytes = 0;   ///< of segments and snapshots
    uint64_t bytes_max = 0;
    uint64_t archive_bytes = 0;
    uint64_t archive_bytes_max = 0;
    uint64_t archive_oldest_seq = 0;   ///< 0: there is no archive
    size_t snapshots = 0;
};

class Keeper final : private WriteDone {
public:
    Keeper(Storage& storage, Log& log, const Clock& clock, const KeeperOptions& options);

    /// That snapshot was loaded, or read back after it was written, and all plugins can start from
    /// it.
    void verified(uint64_t snapshot_seq);
    /// A plugin came that can start from none of them: they let nothing go any more.
    void forget_verified() { verified_.clear(); }
    /// Once per turn; looks only when there is a reason to.
    void turn_end();
    /// Only a snapshot of now would allow what the limits ask for.
    bool snapshot_wanted() const { return snapshot_wanted_; }
    /// What segments and snapshots may take now: the limit, or more while it is being reached.
    uint64_t bytes_max_now() const { return bytes_max_now_; }
    /// Lists the directory.
    Result<KeeperReport> report();

    struct Files;   ///< what the directory holds; for space_at_start, too

private:
    /// The other thing that completes: a step is on the disk.
    class Names final : public WriteDone {
    public:
        void written(Status status) override;
        bool syncing = false;
    };

    void warn_of_narrow_limit() const;
    Status look();
    Result<Files> list_files();
    Status take(const Release& step, const std::vector<KeptSegment>& segments);
    Status sync_names();
    Status archive(const KeptSegment& segment);
    void written(Status status) override;
    Status make_room_for_archives();
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
    uint64_t bytes_max_now_;
    uint64_t archiving_ = 0;       ///< id of the segment, 0 for none
    uint64_t not_archived_ = 0;    ///< the last attempt was in vain
    bool archive_lacks_space_ = false;
    std::shared_ptr<ArchiveMade> made_;   ///< by the attempt under way
    std::string complaint_;        ///< about the last one, said once
    Names names_;
};

}  // namespace noded::log
