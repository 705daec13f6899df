// See keeper.h.
#include "agent/log/keeper.h"

#include <algorithm>
#include <cerrno>

#include "agent/base/logger.h"
#include "agent/log/archive.h"

namespace noded::log {

namespace {

/// What the next snapshot may need, as far as the newest one tells.
uint64_t snapshot_reserve(uint64_t bytes_max, uint64_t newest_bytes) {
    return bytes_max / 16 + newest_bytes + newest_bytes / 4;
}

/// For the next segments and the next snapshot, so that nobody waits for it.
uint64_t headroom(const KeeperOptions& options, uint64_t reserve) {
    return reserve + std::max(2 * options.segment_bytes, options.bytes_max / 8);
}

}  // namespace

struct Keeper::Files {
    uint64_t bytes = 0;
    uint64_t recycled_bytes = 0;
    uint64_t archive_bytes = 0;
    std::vector<KeptSnapshot> snapshots;   ///< newest first

    static Result<Files> list(Storage& storage);
    uint64_t newest_snapshot_bytes() const { return snapshots.empty() ? 0 : snapshots[0].bytes; }
};

Result<Keeper::Files> Keeper::Files::list(Storage& storage) {
    Files files;
    for (const FileSize& file : TRY(storage.sizes())) {
        (is_in_archive(file.name) ? files.archive_bytes : files.bytes) += file.bytes;
        if (file.name == kRecycledName) files.recycled_bytes = file.bytes;
        if (const auto seq = number_in_name(file.name, kSnapshotPrefix))
            files.snapshots.push_back({*seq, file.bytes, false});
    }
    std::sort(files.snapshots.begin(), files.snapshots.end(),
              [](const KeptSnapshot& a, const KeptSnapshot& b) { return a.seq > b.seq; });
    return files;
}

Result<Space> space_at_start(Storage& storage, const KeeperOptions& options) {
    const auto files = TRY(Keeper::Files::list(storage));
    const uint64_t reserve = snapshot_reserve(options.bytes_max, files.newest_snapshot_bytes());
    const uint64_t bytes_max = files.bytes <= options.bytes_max
                                   ? options.bytes_max
                                   : files.bytes + headroom(options, reserve);
    return Space{bytes_max, reserve, options.archive_bytes_max};
}

std::string narrow_limit(uint64_t bytes_max, uint64_t snapshot_bytes) {
    constexpr uint64_t kMiB = 1 << 20;
    if (bytes_max / limits::log_snapshots_in_bytes_max >= snapshot_bytes) return "";
    const uint64_t enough = (limits::log_snapshots_in_bytes_max + 1) * snapshot_bytes;
    return "logBytesMax is " + std::to_string(bytes_max) + " bytes, less than three times the " +
           std::to_string(snapshot_bytes) +
           " that a snapshot takes, so that no room is left for a history and commands may be "
           "refused: set logBytesMax to at least " +
           std::to_string((enough + kMiB - 1) / kMiB * kMiB);
}

Keeper::Keeper(Storage& storage, Log& log, const Clock& clock, const KeeperOptions& options)
    : storage_(storage), log_(log), clock_(clock), options_(options) {
    const auto space = space_at_start(storage, options);
    warn_of_narrow_limit();
    bytes_max_now_ = space ? space->bytes_max : options.bytes_max;
    if (space) storage_.limit(*space);
    if (bytes_max_now_ == options.bytes_max) return;
    log_line(Severity::warning, "retention",
             "log and snapshots take more than logBytesMax allows (" +
                 std::to_string(options.bytes_max) +
                 " bytes): the oldest go as soon as a snapshot covers them");
}

void Keeper::warn_of_narrow_limit() const {
    const auto files = Files::list(storage_);
    const std::string warning =
        files ? narrow_limit(options_.bytes_max, files->newest_snapshot_bytes()) : "";
    if (!warning.empty()) log_line(Severity::warning, "retention", warning);
}

void Keeper::verified(uint64_t snapshot_seq) {
    verified_.insert(snapshot_seq);
    changed_ = true;
}

void Keeper::turn_end() {
    if (names_.syncing && !log_.lacks_space()) return;
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
    Files files = TRY(Files::list(storage_));
    for (KeptSnapshot& snapshot : files.snapshots)
        snapshot.verified = verified_.contains(snapshot.seq);
    return files;
}

/// The next segment and the next snapshot are to find their place without anybody waiting for it.
RetentionLimits Keeper::limits_now(const Files& files) {
    const uint64_t reserve = snapshot_reserve(options_.bytes_max, files.newest_snapshot_bytes());
    RetentionLimits limits;
    limits.bytes_max = options_.bytes_max;
    limits.headroom = headroom(options_, reserve);
    bytes_max_now_ = files.bytes <= options_.bytes_max
                         ? options_.bytes_max
                         : std::min(bytes_max_now_, files.bytes + limits.headroom);
    storage_.limit({bytes_max_now_, reserve, options_.archive_bytes_max});
    limits.lacks_space = log_.lacks_space();
    if (options_.age_max_ns != 0) limits.oldest_ns = clock_.realtime_ns() - options_.age_max_ns;
    limits.archive = options_.archive;
    limits.archive_bytes_max = options_.archive_bytes_max;
    limits.not_archived = not_archived_;
    limits.archive_lacks_space = archive_lacks_space_;
    limits.disk_is_full = log_.disk_is_full();
    return limits;
}

Status Keeper::look() {
    Files files = TRY(list_files());
    if (archive_lacks_space_) TRY_STATUS(make_room_for_archives());
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
        // By age a segment may go while it is being archived: afterwards.
        if (step.what == Release::What::segment && step.number == archiving_) break;
        if (changed_ = ++steps > limits::retention_steps_max; changed_) break;  // next turn
        TRY_STATUS(take(step, kept.segments));
        if (step.what == Release::What::archive) continue;
        TRY_STATUS(sync_names());
        // The next step then, after another look.
        if (changed_ = names_.syncing; changed_) break;
    }
    return {};
}

/// Aside, unless a command waits for the room that this makes.
Status Keeper::sync_names() {
    names_.syncing =
        !log_.lacks_space() &&
        storage_.aside([](Storage& storage) { return storage.sync_names(); }, names_);
    return names_.syncing ? Status() : storage_.sync_names();
}

void Keeper::Names::written(Status status) {
    syncing = false;
    if (!status && status.error().code != ECANCELED)   // noded ends
        log_line(Severity::error, "retention", status.error().message);
}

Status Keeper::take(const Release& step, const std::vector<KeptSegment>& segments) {
    const auto segment = std::ranges::find(segments, step.number, &KeptSegment::id);
    switch (step.what) {
        case Release::What::snapshot:
            verified_.erase(step.number);
            return storage_.release(numbered_name(kSnapshotPrefix, step.number), "");
        case Release::What::segment: return log_.release_before(segment->last_seq + 1);
        case Release::What::old_archive: return log_.remove_archive(step.number);
        case Release::What::archive: return archive(*segment);
    }
    __builtin_unreachable();
}

/// Archives that no longer lead on to the log (recovery told of them) and files that are none.
Status Keeper::make_room_for_archives() {
    std::set<uint64_t> kept;
    for (const KeptSegment& segment : log_.kept(0)) kept.insert(segment.id);
    for (const FileSize& file : TRY(storage_.sizes())) {
        const auto name = archive_in_file(file.name);
        if (!name || kept.contains(name->segment_id)) continue;
        log_line(Severity::warning, "retention",
                 file.name + " is removed: nothing leads on from it, and archives need its room");
        TRY_STATUS(storage_.remove(file.name));
    }
    return {};
}

/// Does nothing while another one is being made, or no lane is free.
Status Keeper::archive(const KeptSegment& segment) {
    if (archiving_ != 0) return {};
    made_ = std::make_shared<ArchiveMade>();
    auto work = [made = made_, id = segment.id,
                 last = segment.last_seq](Storage& storage) -> Status {
        *made = TRY(make_archive(storage, id, last));
        return {};
    };
    if (storage_.aside(std::move(work), *this)) archiving_ = segment.id;
    return {};
}

void Keeper::written(Status status) {
    const uint64_t id = std::exchange(archiving_, 0);
    if (!status && status.error().code == ECANCELED) return;   // noded ends
    changed_ = status.has_value();
    not_archived_ = status ? 0 : id;
    archive_lacks_space_ = !status && is_lack_of_space(status.error());
    std::string complaint;
    if (status) {
        log_.archived(id, made_->bytes);
        complaint = made_->damage;
        if (!complaint.empty()) complaint += "; it was archived as it is";
    } else {
        complaint = "archive " + segment_name(id) + ": " + status.error().message;
    }
    if (complaint != complaint_ && !complaint.empty())
        log_line(Severity::error, "retention", complaint);
    complaint_ = std::move(complaint);
}

Result<KeeperReport> Keeper::report() {
    const Files files = TRY(list_files());
    uint64_t oldest = 0;
    for (const KeptSegment& segment : log_.kept(0))
        if (oldest == 0 && segment.archive_bytes != 0) oldest = segment.first_seq;
    return KeeperReport{files.bytes, options_.bytes_max, files.archive_bytes,
                        options_.archive_bytes_max, oldest, files.snapshots.size()};
}

}  // namespace noded::log
