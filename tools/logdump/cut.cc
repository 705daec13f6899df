// logdump cut: takes a damaged end off a log, only where it was told to, and keeps what it takes.
//
// The cut is at the first damage and takes all that follows: a log has no gaps. What is cut goes
// into a new directory beside the log. A crash on the way leaves damage, which cut finds again: the
// copy is durable first, then the files that go are moved, newest first, and zeros are written
// last.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "agent/base/fd.h"
#include "agent/log/aligned.h"
#include "agent/log/archive.h"
#include "agent/log/segment.h"
#include "agent/log/snapshot.h"
#include "tools/logdump/command.h"

namespace noded::logdump {

namespace {

struct Plan {
    Damage damage;                     ///< the first one
    bool zero_tail = false;            ///< of the segment that it is in; else the file is moved
    std::vector<std::string> to_move;  ///< in this order
    uint64_t readable = 0;             ///< events after it that could still be read
    std::string archive;               ///< of the damaged segment, if there is one

    std::string place() const {
        return log::segment_name(damage.segment) + ":" + std::to_string(damage.batch);
    }
};

/// Its name, "" if there is none.
Result<std::string> archive_of(log::Storage& storage, uint64_t segment) {
    for (const std::string& name : TRY(storage.list())) {
        const auto archive = log::archive_in_file(name);
        if (archive && archive->segment_id == segment) return name;
    }
    return "";
}

std::string unpacking(const std::string& archive, uint64_t segment) {
    return "zstd -dc " + archive + " > " + log::segment_name(segment);
}

/// Archives alone are no log: the segment before the cut must be one, for noded to go on with.
Status check_segment_is_left(log::Storage& storage, const Plan& plan) {
    const uint64_t before = plan.damage.segment - 1;
    if (plan.zero_tail || storage.open(log::segment_name(before))) return {};
    const std::string older = TRY(archive_of(storage, before));
    if (older.empty()) return {};
    return fail("a cut at " + plan.place() +
                " would leave archives alone, from which noded cannot go on. Make a segment of the "
                "newest one first, in the folder of the log: " +
                (plan.archive.empty() ? unpacking(older, before)
                                      : unpacking(plan.archive, plan.damage.segment)));
}

/// Segments from the cut on and snapshots of what is cut, newest first.
Result<std::vector<std::string>> files_to_move(log::Storage& storage, const Plan& plan,
                                               uint64_t oldest_seq) {
    std::vector<std::string> segments;
    std::vector<std::string> archives;
    std::vector<std::string> files;
    for (const std::string& name : TRY(storage.list())) {
        const auto id = log::number_in_name(name.substr(0, log::segment_name(0).size()),
                                            log::kSegmentPrefix);
        const uint64_t first = plan.damage.segment + (plan.zero_tail ? 1 : 0);
        if (id && *id >= first) segments.push_back(name);
        // What a segment that is cut held before stands in its archive, and is cut with it.
        const auto archive = log::archive_in_file(name);
        if (archive && archive->segment_id >= plan.damage.segment) archives.push_back(name);
    }
    std::sort(segments.begin(), segments.end(), std::greater<>());
    uint64_t covered = 0;
    for (const uint64_t seq : TRY(log::list_snapshots(storage))) {
        if (seq > plan.damage.last_seq)
            files.push_back(log::numbered_name(log::kSnapshotPrefix, seq));
        else if (log::load_snapshot(storage, seq))
            covered = std::max(covered, seq);
    }
    if (oldest_seq > covered + 1) {
        return fail("after a cut at " + plan.place() +
                    " no snapshot would cover what was before seq " + std::to_string(oldest_seq) +
                    ", so noded could not start: restore a backup");
    }
    files.insert(files.end(), archives.begin(), archives.end());
    files.insert(files.end(), segments.begin(), segments.end());
    return files;
}

/// No segment is damaged; what noded may miss are whole ones behind the last.
std::unexpected<Error> nothing_to_cut(log::Storage& storage, uint64_t last_seq) {
    std::string newer;
    for (const uint64_t seq : log::list_snapshots(storage).value_or(std::vector<uint64_t>()))
        if (seq > last_seq)
            newer += (newer.empty() ? "" : ", ") + log::numbered_name(log::kSnapshotPrefix, seq);
    const std::string sound = "the segments are sound, so nothing is cut";
    if (newer.empty()) return fail(sound);
    return fail(sound + ". But the newest are missing: the log ends with seq " +
                std::to_string(last_seq) + ", and newer is " + newer +
                ". Restore the segments from a copy; without one, move what is newer out of the "
                "folder of the log, and noded goes on from there");
}

Result<Plan> make_plan(log::Storage& storage) {
    const auto history = TRY(read_history(storage, 0, [](const log::Record&) { return true; }));
    if (history.damages.empty()) return nothing_to_cut(storage, history.last_seq);
    // What only an archive holds, noded needs neither to start nor to go on.
    const auto in_log = std::ranges::find_if(history.damages, [&storage](const Damage& damage) {
        return damage.segment != 0 && storage.open(log::segment_name(damage.segment)).has_value();
    });
    const bool missing = in_log == history.damages.end() && history.damages[0].segment != 0;
    if (in_log == history.damages.end() && !missing) {
        return fail("no cut can mend this: " + history.damages[0].text +
                    "; restore the archive from a copy, or remove it and those before it");
    }
    Plan plan{missing ? history.damages[0] : *in_log, false, {}, 0, ""};
    // Without its first batch a segment is as good as not there.
    plan.zero_tail = plan.damage.batch > log::kBlock;
    if (!plan.zero_tail) plan.damage.batch = 0;
    plan.readable = history.records - plan.damage.records;
    plan.archive = TRY(archive_of(storage, plan.damage.segment));
    TRY_STATUS(check_segment_is_left(storage, plan));
    plan.to_move = TRY(files_to_move(
        storage, plan, plan.damage.records == 0 ? 1 : history.oldest_seq));
    return plan;
}

void tell(const Plan& plan) {
    say("damaged: " + plan.damage.text);
    const std::string left = plan.damage.last_seq == 0
                                 ? "no event"
                                 : "the events up to seq " + std::to_string(plan.damage.last_seq);
    say("a cut at " + plan.place() + " leaves " + left + "; of what it takes, " +
        std::to_string(plan.readable) + " events can still be read");
    if (plan.archive.empty()) return;
    say(plan.archive + " holds that segment, too: where it is sound, this mends the log without a "
                       "loss, in the folder of the log: " +
        unpacking(plan.archive, plan.damage.segment));
}

/// A new directory beside the log, however that was named: "log.cut-1", "log.cut-2" …
Result<std::string> make_keep_directory(const std::string& named) {
    std::error_code error;
    const std::string log_directory = std::filesystem::canonical(named, error);
    if (error) return fail_errno(error.value(), "find " + named);
    for (int i = 1; i < 1000; ++i) {
        const std::string keep = log_directory + ".cut-" + std::to_string(i);
        if (mkdir(keep.c_str(), 0700) == 0) return keep;
        if (errno != EEXIST) return fail_errno(errno, "create " + keep);
    }
    return fail("there are too many directories " + log_directory + ".cut-N: remove some");
}

Status sync_directory(const std::string& path) {
    const Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || fsync(directory.get()) != 0) return fail_errno(errno, "sync " + path);
    return {};
}

/// Copies or overwrites with zeros what stands in `from` after `begin`.
Status copy_tail(const std::string& from, uint64_t begin, const std::string& to) {
    const Fd in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!in.valid()) return fail_errno(errno, "open " + from);
    const Fd out(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!out.valid()) return fail_errno(errno, "create " + to);
    std::vector<char> buffer(1 << 20);
    for (off_t at = static_cast<off_t>(begin);;) {
        const ssize_t got = pread(in.get(), buffer.data(), buffer.size(), at);
        if (got < 0) return fail_errno(errno, "read " + from);
        if (got == 0) break;
        const ssize_t wrote = write(out.get(), buffer.data(), static_cast<size_t>(got));
        if (wrote != got) return fail_errno(wrote < 0 ? errno : ENOSPC, "write " + to);
        at += got;
    }
    if (fsync(out.get()) != 0) return fail_errno(errno, "sync " + to);
    return {};
}

Status zero_tail(const std::string& path, uint64_t begin) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    struct stat info;
    if (!file.valid() || fstat(file.get(), &info) != 0) return fail_errno(errno, "open " + path);
    const std::vector<char> zeros(1 << 20);
    for (off_t at = static_cast<off_t>(begin); at < info.st_size;) {
        const auto part = std::min<off_t>(info.st_size - at, static_cast<off_t>(zeros.size()));
        const ssize_t wrote = pwrite(file.get(), zeros.data(), static_cast<size_t>(part), at);
        if (wrote <= 0) return fail_errno(wrote < 0 ? errno : EIO, "write " + path);
        at += wrote;
    }
    if (fsync(file.get()) != 0) return fail_errno(errno, "sync " + path);
    return {};
}

Result<std::string> carry_out(const Plan& plan, const std::string& directory) {
    const std::string keep = TRY(make_keep_directory(directory));
    const std::string name = log::segment_name(plan.damage.segment);
    const std::string path = directory + "/" + name;
    if (plan.zero_tail) {
        TRY_STATUS(copy_tail(path, plan.damage.batch,
                             keep + "/" + name + ".from-" + std::to_string(plan.damage.batch)));
    }
    TRY_STATUS(sync_directory(keep));
    TRY_STATUS(sync_directory(keep.substr(0, keep.rfind('/') + 1)));
    for (const std::string& file : plan.to_move) {
        const std::string from = directory + "/" + file;
        const std::string name = file.substr(file.rfind('/') + 1);
        if (rename(from.c_str(), (keep + "/" + name).c_str()) != 0)
            return fail_errno(errno, "move " + from + " to " + keep);
    }
    TRY_STATUS(sync_directory(keep));
    TRY_STATUS(sync_directory(directory));
    if (plan.zero_tail) TRY_STATUS(zero_tail(path, plan.damage.batch));
    return keep;
}

/// Held while the log is changed, as noded holds it.
Result<Fd> lock(const std::string& directory) {
    Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(errno, "open " + directory);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno == EWOULDBLOCK) return fail("a noded has " + directory + " open: stop it first");
    return fail_errno(errno, "lock " + directory);
}

}  // namespace

int cut(Arguments& arguments) {
    const auto storage = open_directory(arguments);
    if (!storage) return failed(storage.error());
    Fd locked;
    if (!arguments.at.empty()) {
        auto held = lock(arguments.directory);
        if (!held) return failed(held.error());
        locked = std::move(*held);
    }
    const auto plan = make_plan(**storage);
    if (!plan) return failed(plan.error());
    tell(*plan);
    if (arguments.at.empty()) {
        say("nothing was changed; to cut, type: logdump cut --at " + plan->place() + " " +
            arguments.directory);
        return kDamaged;
    }
    if (arguments.at != plan->place()) {
        say("nothing was changed: the cut can only be at " + plan->place());
        return kUsage;
    }
    const auto kept = carry_out(*plan, arguments.directory);
    if (!kept) return failed(kept.error());
    printf("cut at %s; what was cut is kept in %s\n", plan->place().c_str(), kept->c_str());
    return kDone;
}

}  // namespace noded::logdump
