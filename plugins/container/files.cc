// Jobs on the files of a container: what nodectl cp, diff and export ask for. Each is done by a
// helper process (files/main.cc); here it is spawned, waited for and cut off.
//
// A helper that looks at the container's mounts keeps its overlay alive. It is ended before the
// container starts again, because two overlays would then stand on one upper directory, and before
// its files go.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/proc_text.h"
#include "plugins/container/effects.h"
#include "plugins/container/files/job.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

static_assert(int(files::Verb::stat) == int(schema::FilesVerb::STAT));
static_assert(int(files::Verb::read) == int(schema::FilesVerb::READ));
static_assert(int(files::Verb::write) == int(schema::FilesVerb::WRITE));
static_assert(int(files::Verb::diff) == int(schema::FilesVerb::DIFF));
static_assert(int(files::Verb::whole) == int(schema::FilesVerb::WHOLE));
static_assert(int(files::Verb::size) == int(schema::FilesVerb::SIZE));

bool sees_mounts(files::Verb verb) {
    switch (verb) {
        case files::Verb::stat:
        case files::Verb::read:
        case files::Verb::write: return true;
        case files::Verb::diff:
        case files::Verb::whole:
        case files::Verb::size:
        case files::Verb::fill: return false;
    }
    return false;
}

bool has_stream(files::Verb verb) {
    return verb != files::Verb::stat && verb != files::Verb::size;
}

}  // namespace

std::vector<files::Bind> Effects::binds_of(const Container& container) const {
    std::vector<files::Bind> binds;
    for (const Mount& mount : container.spec.options.mounts) {
        const bool volume = mount.type == "volume";
        if (mount.type != "bind" && !volume) continue;
        binds.push_back({volume ? volume_folder(container.id, mount.source) : mount.source,
                         mount.target, has_word(mount.options, "ro"),
                         !has_word(mount.options, "bind"), volume,
                         volume && !has_word(mount.options, "nocopy")});
    }
    return binds;
}

files::Job Effects::job_of(const Container& container, files::Verb verb) const {
    files::Job job;
    job.verb = verb;
    job.parent = uint32_t(getpid());
    job.lowers = container.rootfs.lowers;
    job.upper = container.rootfs.upper;
    job.work = container.rootfs.work;
    for (const IdMap& map : container.spec.options.id_maps)
        job.ids.push_back({map.gid, map.container, map.host, map.count});
    if (container.phase == Phase::RUNNING) {
        job.pid = container.pid;
        job.pid_start_time = container.pid_start_time;
    } else {
        job.read_only = container.spec.options.read_only;
        job.binds = binds_of(container);
    }
    return job;
}

namespace {

/// Empty, or why there is nothing to look at.
std::string trouble_with(const Container& container, files::Verb verb) {
    const std::string shown = "Container " + container.name;
    if (container.phase == Phase::REMOVING) return shown + " is being removed";
    if (!container.rootfs.error.empty()) return shown + " has no files: " + container.rootfs.error;
    if (!container.rootfs.ready) return shown + " is still being prepared; try again";
    if (container.phase == Phase::STARTING && sees_mounts(verb))
        return shown + " is starting; try again";
    return {};
}

noded_rejection rejection_of(int code) {
    return code == ENOENT ? NODED_REJECT_NOT_FOUND : NODED_REJECT_CONFLICT;
}

}  // namespace

void Effects::files(uint64_t token, const std::string& reference, schema::FilesJob::Reader asked,
                    Fd stream) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    const auto verb = files::Verb(uint16_t(asked.getVerb()));
    const std::string path = to_string(asked.getPath());
    if (uint32_t(verb) >= files::verbs_of_clients)
        return host_.refuse(token, NODED_REJECT_INVALID, "this noded knows no such job on files");
    if (path.size() > limits::path_bytes_max || path.find('\0') != path.npos)
        return host_.refuse(token, NODED_REJECT_INVALID,
                            "a path has at most " + std::to_string(limits::path_bytes_max) +
                                " bytes");
    if (has_stream(verb) != stream.valid())
        return host_.refuse(token, NODED_REJECT_INVALID,
                            stream.valid() ? "this job on files takes no descriptor"
                                           : "this job on files needs a descriptor");
    if (const auto trouble = trouble_with(*container, verb); !trouble.empty())
        return host_.refuse(token, NODED_REJECT_CONFLICT, trouble);
    if (files_.size() >= limits::files_jobs_max)
        return host_.refuse(token, NODED_REJECT_BUSY,
                            std::to_string(limits::files_jobs_max) +
                                " jobs on files are under way; try again later");
    files::Job job = job_of(*container, verb);
    job.path = path;
    job.follow = asked.getFollow();
    const auto spawned = spawn_files(job, container->id, token, std::move(stream));
    if (!spawned) host_.refuse(token, NODED_REJECT_BUSY, spawned.error().message);
}

/// `token` 0: a job of noded's own.
Status Effects::spawn_files(const files::Job& job, const std::string& id, uint64_t token,
                            Fd stream) {
    auto spawned = sys_->spawn_files(files_program_, files::encode(job), std::move(stream));
    if (!spawned) return std::unexpected(spawned.error());
    auto work = std::make_unique<FilesWork>();
    work->owner = this;
    work->key = ++keys_;
    work->token = token;
    work->container_id = id;
    work->sees_mounts = sees_mounts(job.verb);
    work->fills = job.verb == files::Verb::fill;
    work->pid = spawned->pid;
    work->pidfd = std::move(spawned->pidfd);
    work->outcome = std::move(spawned->outcome);
    work->watch = host_.watch(work->outcome.get(), POLLIN, files_readable, work.get());
    FilesWork& placed = *(files_[work->key] = std::move(work));
    if (placed.watch != 0) return {};
    placed.cut_off = "cannot be looked at: the host has no watch left";
    (void)sys_->kill_process(placed.pid, SIGTERM);
    files_done(placed);
    return {};
}

void Effects::files_readable(void*, void* argument, uint32_t) noexcept {
    auto& work = *static_cast<FilesWork*>(argument);
    char buffer[4096];
    for (;;) {
        const ssize_t got = read(work.outcome.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0 || work.text.size() > limits::files_outcome_bytes_max)
            return work.owner->files_done(work);
        work.text.append(buffer, size_t(got));
    }
}

/// The helper has answered, or is gone.
void Effects::files_done(FilesWork& work) {
    const auto own = std::move(files_[work.key]);
    files_.erase(own->key);
    if (own->watch != 0) host_.unwatch(own->watch);
    reap_when_ended(std::move(own->pidfd));
    if (own->fills) return volumes_filled(*own);
    if (own->token == 0) return;
    const auto outcome = files::decode_outcome(own->text);
    if (!own->cut_off.empty() && (!outcome || !outcome->error.empty())) {
        const Container* container = state_.get(own->container_id);
        const std::string name = container != nullptr ? container->name : own->container_id;
        return host_.refuse(own->token, NODED_REJECT_CONFLICT,
                            "Container " + name + " " + own->cut_off);
    }
    if (!outcome) return host_.refuse(own->token, NODED_REJECT_CONFLICT, outcome.error().message);
    if (!outcome->error.empty())
        return host_.refuse(own->token, rejection_of(outcome->code), outcome->error);
    Message<schema::Container::FilesResults> results;
    auto result = results->initResult();
    result.setExists(outcome->exists);
    result.setMode(outcome->mode);
    result.setSize(outcome->size);
    result.setMtimeNs(outcome->mtime_ns);
    result.setLink(text(outcome->link));
    result.setPath(text(outcome->path));
    host_.respond(own->token, results);
}

/// Those that see the container's mounts, or all. They end with what is not whole taken back.
void Effects::cut_files_off(const std::string& id, bool all, const std::string& why) {
    for (const auto& [key, work] : files_) {
        if (work->container_id != id || (!all && !work->sees_mounts)) continue;
        work->cut_off = why + " in the meantime";
        (void)sys_->kill_process(work->pid, SIGTERM);
    }
}

/// Its client is gone.
void Effects::forget_files(uint64_t token) {
    for (const auto& [key, work] : files_) {
        if (work->token != token) continue;
        work->token = 0;
        (void)sys_->kill_process(work->pid, SIGTERM);
    }
}

}  // namespace noded::container
