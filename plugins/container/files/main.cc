// The files helper: one job on the files of one container, in a process of its own, so that nothing
// of it, however large or slow, is done by noded. Spawned by the container plugin, see job.h; it
// ends with noded, and with the client that waits for it.
//
// The container is hostile and may run: every path is opened with openat2 inside the container's
// root and everything below by name without following links. The program is static: what it needs
// was there before it looked at any container.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>

#include "agent/base/fd.h"
#include "plugins/container/files/changes.h"
#include "plugins/container/files/job.h"
#include "plugins/container/files/view.h"
#include "plugins/container/files/volume.h"
#include "plugins/sdk/tree/extract.h"
#include "plugins/sdk/tree/write_tree.h"

namespace noded::files {
namespace {

constexpr int kOpenPath = O_PATH | O_DIRECTORY | O_CLOEXEC;
constexpr int kLinksMax = 40;  // as the kernel
constexpr size_t kJobBytesMax = 1 << 20;

std::atomic<bool> stopped = false;

/// The system call under way returns; a file that is not whole then is given up.
void stop_softly() {
    struct sigaction action = {};
    action.sa_handler = [](int) { stopped = true; };
    sigaction(SIGTERM, &action, nullptr);
}

std::unexpected<Error> not_there(const std::string& path) {
    const int error = errno;
    if (error == ENOENT)
        return std::unexpected(Error{ENOENT, "Could not find the file " + path});
    if (error == ENOTDIR) return std::unexpected(Error{ENOTDIR, path + ": not a directory"});
    return fail_errno(error, "open " + path);
}

/// A path as its directory and the name in it, "." for the directory itself.
struct Found {
    Fd dir;
    std::string name;
    std::string path;  ///< clean
};

Result<Found> find(int root, const std::string& path) {
    Found found;
    found.path = clean_path(path);
    const bool itself = asks_for_directory(path) || found.path == "/";
    const std::string dir = itself ? found.path : directory_of(found.path);
    found.name = itself ? "." : base_of(found.path);
    found.dir.reset(tree::open_in_root(root, dir, kOpenPath));
    if (!found.dir.valid()) return not_there(itself ? found.path : path);
    return found;
}

Result<std::string> link_target(const Found& found) {
    char target[PATH_MAX];
    const ssize_t size = readlinkat(found.dir.get(), found.name.c_str(), target, sizeof target);
    if (size < 0) return fail_errno(errno, "read the link " + found.path);
    return std::string(target, size_t(size));
}

/// Where the links at the end of a path lead; what is there need not exist. `reached` is as far as
/// they could be followed.
Result<Found> follow(int root, Found found, std::string& reached) {
    for (int links = 0; links < kLinksMax; ++links) {
        struct stat info {};
        if (fstatat(found.dir.get(), found.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISLNK(info.st_mode))
            return found;
        const std::string target = TRY(link_target(found));
        const std::string next =
            target.starts_with('/') ? target : directory_of(found.path) + "/" + target;
        reached = clean_path(next);
        found = TRY(find(root, next));
    }
    return std::unexpected(Error{ELOOP, found.path + ": too many levels of symbolic links"});
}

/// With noded. An error: it ended before it could take us along.
Status end_with(const Job& job) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != pid_t(job.parent)) return fail("noded ended");
    return {};
}

Status stat_path(const Job& job, Outcome& out) {
    const Fd root = TRY(open_view(job));
    TRY_STATUS(end_with(job));
    out.path = clean_path(job.path);
    auto found = find(root.get(), job.path);
    if (found && job.follow) found = follow(root.get(), std::move(*found), out.path);
    if (!found && found.error().code == ENOENT) return {};
    if (!found) return std::unexpected(found.error());
    struct stat info {};
    if (fstatat(found->dir.get(), found->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno(errno, "look at " + found->path);
    }
    out.exists = true;
    out.mode = info.st_mode;
    out.size = uint64_t(info.st_size);
    out.mtime_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    if (S_ISLNK(info.st_mode)) out.link = TRY(link_target(*found));
    return {};
}

Status send_tree(int dir, const std::string& name, const tree::WriteOptions& options) {
    tree::TarWriter out(stream_fd);
    TRY_STATUS(tree::write_tree(out, dir, name, options));
    return out.finish();
}

Status read_path(const Job& job) {
    const Fd root = TRY(open_view(job));
    TRY_STATUS(end_with(job));
    Found found = TRY(find(root.get(), job.path));
    tree::WriteOptions options;
    options.skip_kernel_mounts = true;
    options.ids = job.ids;
    const bool content = asks_for_content(job.path) || found.path == "/";
    options.root_name = content ? "." : base_of(found.path);
    std::string reached;
    if (job.follow) found = TRY(follow(root.get(), std::move(found), reached));
    struct stat info {};
    if (fstatat(found.dir.get(), found.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return not_there(job.path);
    return send_tree(found.dir.get(), found.name, options);
}

uint64_t mount_id(int fd) {
    struct statx info {};
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return 0;
    return info.stx_mnt_id;
}

Status check_writable(int root, int dir) {
    struct statvfs info {};
    if (fstatvfs(dir, &info) != 0) return fail_errno(errno, "look at the file system");
    if ((info.f_flag & ST_RDONLY) == 0) return {};
    return std::unexpected(Error{EROFS, mount_id(root) == mount_id(dir)
                                            ? "container rootfs is marked read-only"
                                            : "mounted volume is marked read-only"});
}

/// As the container's root makes them.
Status make_files(const Job& job) {
    TRY_STATUS(make_files_as_root_of(job));
    return end_with(job);  // a change of ids has taken that away
}

Status write_path(const Job& job) {
    umask(0);
    const Fd root = TRY(open_view(job));
    stop_softly();
    TRY_STATUS(make_files(job));
    const std::string path = clean_path(job.path);
    const Fd dir(tree::open_in_root(root.get(), path, kOpenPath));
    if (!dir.valid() && errno == ENOTDIR)
        return std::unexpected(Error{ENOTDIR, "extraction point is not a directory"});
    if (!dir.valid()) return not_there(path);
    TRY_STATUS(check_writable(root.get(), dir.get()));
    tree::ExtractOptions options;
    options.follow_in_root = true;
    options.ids = job.ids;
    options.stop = &stopped;
    TRY(tree::extract(stream_fd, {root.get(), path}, options));
    return {};
}

Status send_whole(const Job& job) {
    const Fd root = TRY(open_whole(job));
    tree::WriteOptions options;
    options.root_name = ".";
    options.bare = true;
    options.ids = job.ids;
    return send_tree(root.get(), ".", options);
}

Result<Fd> open_upper(const Job& job) {
    Fd upper(open(job.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!upper.valid()) return fail_errno(errno, "open " + job.upper);
    return upper;
}

Status send_changes(const Job& job) {
    const Fd upper = TRY(open_upper(job));  // before its folder is covered
    const Fd image = TRY(open_image(job));
    std::string text;
    for (const Change& change : TRY(changes_of(upper.get(), image.get(), job.ids)))
        text += change.kind + change.path + '\0';
    return tree::write_fully(stream_fd, as_bytes(text), "write the changes");
}

Status sum_bytes(const Job& job, Outcome& out) {
    const Fd upper = TRY(open_upper(job));
    out.size = TRY(bytes_in(upper.get()));
    return {};
}

Status make_volumes(const Job& job) {
    TRY_STATUS(lock_upper(job));
    return fill_volumes(job);
}

Status do_job(const Job& job, Outcome& out) {
    switch (job.verb) {
        case Verb::stat: return stat_path(job, out);
        case Verb::read: return read_path(job);
        case Verb::write: return write_path(job);
        case Verb::diff: return send_changes(job);
        case Verb::whole: return send_whole(job);
        case Verb::size: return sum_bytes(job, out);
        case Verb::fill: return make_volumes(job);
    }
    return fail("no such job");
}

Result<Job> read_job() {
    std::string text;
    char buffer[16 << 10];
    for (;;) {
        const ssize_t got = read(job_fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read the job");
        if (got == 0) return decode_job(text);
        text.append(buffer, size_t(got));
        if (text.size() > kJobBytesMax) return fail("the job is longer than 1 MiB");
    }
}

int run() {
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_NAME, "noded-files");
    tree::raise_descriptor_limit();
    Outcome outcome;
    const auto job = read_job();
    if (job && !end_with(*job)) return 1;
    const Status done = job ? do_job(*job, outcome) : std::unexpected(job.error());
    if (!done) {
        outcome.error = done.error().message;
        outcome.code = done.error().code;
    }
    // The end of the stream is seen before the outcome is.
    close(stream_fd);
    const std::string text = encode(outcome);
    return tree::write_fully(outcome_fd, as_bytes(text), "answer") ? 0 : 1;
}

}  // namespace
}  // namespace noded::files

int main() { return noded::files::run(); }
