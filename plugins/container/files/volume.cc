// See volume.h. The image is read by a child: a process makes one view, and the view of the
// container, with the volume in it, comes after.
#include "plugins/container/files/volume.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "agent/base/fd.h"
#include "plugins/container/files/view.h"
#include "plugins/sdk/tree/extract.h"
#include "plugins/sdk/tree/write_tree.h"

namespace noded::files {
namespace {

namespace fs = std::filesystem;

/// `uid` and `gid` are the container's; its volumes have the host's, like its upper directory.
bool give(const Job& job, int folder, uint32_t uid, uint32_t gid) {
    const uint32_t user = tree::to_host(job.ids, false, uid);
    const uint32_t group = tree::to_host(job.ids, true, gid);
    if (user != UINT32_MAX && group != UINT32_MAX) return fchown(folder, user, group) == 0;
    errno = EOVERFLOW;
    return false;
}

/// The end of the child: 0, or an errno. Nothing at that place in the image is no trouble.
int send_image(const Job& job, const std::string& target, int draft, int out) {
    const auto image = open_image(job);
    if (!image) return image.error().code != 0 ? image.error().code : EIO;
    if (!image->valid()) return tree::TarWriter(out).finish() ? 0 : EIO;
    const Fd folder(tree::open_in_root(image->get(), clean_path(target), O_PATH | O_CLOEXEC));
    if (!folder.valid() && errno == ENOENT) return tree::TarWriter(out).finish() ? 0 : EIO;
    if (!folder.valid()) return errno;
    struct stat info {};
    if (fstat(folder.get(), &info) != 0) return errno;
    if (!S_ISDIR(info.st_mode)) return ENOTDIR;
    if (!give(job, draft, info.st_uid, info.st_gid)) return errno;
    if (fchmod(draft, info.st_mode & 07777) != 0) return errno;
    tree::WriteOptions options;
    options.root_name = ".";
    tree::TarWriter tar(out);
    Status sent = tree::write_tree(tar, folder.get(), ".", options);
    if (sent) sent = tar.finish();
    return sent ? 0 : sent.error().code != 0 ? sent.error().code : EIO;
}

Status trouble(const Bind& volume, int error) {
    if (error == ENOTDIR)
        return fail("cannot mount volume over existing file, file exists " + volume.target);
    return fail_errno(error, "copy what the image has at " + volume.target + " into its volume");
}

Status copy_image(const Job& job, const Bind& volume, int draft) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    Fd in(ends[0]);
    Fd out(ends[1]);
    const pid_t child = fork();
    if (child < 0) return fail_errno(errno, "make a process");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        in.reset();
        _exit(send_image(job, volume.target, draft, out.get()));
    }
    out.reset();
    tree::ExtractOptions options;
    options.root_name = ".";
    options.ids = job.ids;
    const auto extracted = tree::extract(in.get(), {draft, "."}, options);
    in.reset();  // a child that still writes ends with it
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    if (code != 0 && (extracted || code != EPIPE)) return trouble(volume, code);
    if (!extracted) return std::unexpected(extracted.error());
    return {};
}

Status fill(const Job& job, const Bind& volume) {
    struct stat info {};
    if (lstat(volume.source.c_str(), &info) == 0) return {};
    const fs::path draft = volume.source + ".new";
    std::error_code error;
    fs::remove_all(draft, error);
    // The container's own folder, as a start makes it, and below it what is for root alone.
    (void)mkdir(draft.parent_path().parent_path().c_str(), 0755);
    (void)mkdir(draft.parent_path().c_str(), 0700);
    if (mkdir(draft.c_str(), 0755) != 0) return fail_errno(errno, "make " + draft.string());
    const Fd folder(open(draft.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || fchmod(folder.get(), 0755) != 0 || !give(job, folder.get(), 0, 0))
        return fail_errno(errno, "open " + draft.string());
    if (volume.copies) TRY_STATUS(copy_image(job, volume, folder.get()));
    if (rename(draft.c_str(), volume.source.c_str()) != 0)
        return fail_errno(errno, "make " + volume.source);
    return {};
}

}  // namespace

Status fill_volumes(const Job& job) {
    const mode_t mask = umask(0);
    Status done;
    for (const Bind& bind : job.binds)
        if (bind.volume && done) done = fill(job, bind);
    umask(mask);
    return done;
}

}  // namespace noded::files
