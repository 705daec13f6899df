// Mounts of view.h. One process makes one view, so one place to mount on is enough: the folder of
// the upper directory, which is the container's own.
#include "plugins/container/files/view.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "agent/base/proc_text.h"
#include "plugins/container/files/volume.h"
#include "plugins/sdk/tree/extract.h"

namespace noded::files {
namespace {

constexpr int kOpenPath = O_PATH | O_DIRECTORY | O_CLOEXEC;

struct Overlay {
    std::vector<std::string> lowers;
    std::string upper;  ///< empty: read-only
    std::string work;
};

/// A mount that is attached nowhere; invalid, with errno, if this kernel cannot do that.
Fd make_overlay(const Overlay& overlay) {
    const Fd context(fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context.valid()) return {};
    const auto set = [&](const char* key, const std::string& value) {
        return fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
    };
    for (const std::string& lower : overlay.lowers)
        if (!set("lowerdir+", lower)) return {};
    const bool writable = !overlay.upper.empty();
    // As the shim mounts it: some kernels have them on by default.
    for (const char* key : {"redirect_dir", "metacopy", "index"})
        if (writable && !set(key, "off")) return {};
    if (writable && (!set("upperdir", overlay.upper) || !set("workdir", overlay.work))) return {};
    if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
    return Fd(fsmount(context.get(), FSMOUNT_CLOEXEC,
                      MOUNT_ATTR_NODEV | (writable ? 0 : MOUNT_ATTR_RDONLY)));
}

std::string escaped(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if (c == ':' || c == ',' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

/// For kernels before 6.5.
Status mount_by_options(const Overlay& overlay, const std::string& folder) {
    std::string options = "lowerdir=";
    for (const std::string& lower : overlay.lowers)
        options += (options.back() == '=' ? "" : ":") + escaped(lower);
    if (!overlay.upper.empty())
        options += ",upperdir=" + escaped(overlay.upper) + ",workdir=" + escaped(overlay.work) +
                   ",redirect_dir=off,metacopy=off,index=off";
    const unsigned long flags = overlay.upper.empty() ? MS_RDONLY : 0;
    if (mount("overlay", folder.c_str(), "overlay", flags, options.c_str()) != 0)
        return fail_errno(errno, "mount overlay on " + folder);
    return {};
}

/// A process that is there as long as its user namespace is looked for.
Result<Fd> make_user_namespace(const tree::IdRanges& ids) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    Fd from(ready[0]);
    Fd to(ready[1]);
    const pid_t pid = fork();
    if (pid < 0) return fail_errno(errno, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const char failed = unshare(CLONE_NEWUSER) == 0 ? 0 : char(errno);
        if (write(to.get(), &failed, 1) != 1) _exit(1);
        for (;;) pause();
    }
    to.reset();
    const std::string process = "/proc/" + std::to_string(pid);
    char failed = 0;
    Status done;
    if (read(from.get(), &failed, 1) != 1) failed = EAGAIN;
    if (failed != 0) done = fail_errno(failed, "make a user namespace");
    for (const bool gid : {false, true}) {
        std::string text;
        for (const tree::IdRange& range : ids)
            if (range.gid == gid)
                text += std::to_string(range.container) + " " + std::to_string(range.host) + " " +
                        std::to_string(range.count) + "\n";
        const Fd map(open((process + (gid ? "/gid_map" : "/uid_map")).c_str(),
                          O_WRONLY | O_CLOEXEC));
        if (done && write(map.get(), text.data(), text.size()) != ssize_t(text.size()))
            done = fail_errno(errno, "set the ids of a user namespace");
    }
    Fd user(open((process + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    if (done && !user.valid()) done = fail_errno(errno, "open a user namespace");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (!done) return std::unexpected(done.error());
    return user;
}

Status map_ids(int mount, int user, unsigned recursive, const std::string& shown) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = uint64_t(user);
    if (mount_setattr(mount, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) != 0)
        return fail_errno(errno, "map the ids of " + shown);
    return {};
}

Result<Fd> copy_mount(const std::string& path) {
    Fd tree(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!tree.valid()) return fail_errno(errno, "open " + path);
    return tree;
}

Status attach_at(const Fd& tree, const std::string& place) {
    if (mkdir(place.c_str(), 0700) != 0 ||
        move_mount(tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return fail_errno(errno, "attach a layer to " + place);
    return {};
}

/// The image's layers as the container sees them, by numbers in a tmpfs on `folder`. What was in
/// the folder, which has the ids of the host already, is in "own" there.
Status map_lowers(Overlay& overlay, const std::string& folder, int user) {
    const Fd own = TRY(copy_mount(folder));
    if (mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") != 0)
        return fail_errno(errno, "mount tmpfs on " + folder);
    TRY_STATUS(attach_at(own, folder + "/own"));
    const auto is_own = [&](const std::string& path) { return path.starts_with(folder + "/"); };
    for (std::string* path : {&overlay.upper, &overlay.work})
        if (is_own(*path)) path->insert(folder.size(), "/own");
    for (size_t i = 0; i < overlay.lowers.size(); ++i) {
        std::string& lower = overlay.lowers[i];
        if (is_own(lower)) {
            lower.insert(folder.size(), "/own");
            continue;
        }
        const Fd layer = TRY(copy_mount(lower));
        TRY_STATUS(map_ids(layer.get(), user, 0, lower));
        lower = folder + "/" + std::to_string(i);
        TRY_STATUS(attach_at(layer, lower));
    }
    return {};
}

Status leave_mounts_of_host() {
    if (unshare(CLONE_NEWNS) != 0) return fail_errno(errno, "make a mount namespace");
    if (mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0)
        return fail_errno(errno, "make the mounts private");
    return {};
}

Result<Fd> open_folder(const std::string& path) {
    Fd fd(open(path.c_str(), kOpenPath));
    if (!fd.valid()) return fail_errno(errno, "open " + path);
    return fd;
}

/// `user` is invalid where layers are shown as they are.
Result<Fd> mount_overlay(Overlay overlay, const std::string& folder, const Fd& user) {
    TRY_STATUS(leave_mounts_of_host());
    if (user.valid()) TRY_STATUS(map_lowers(overlay, folder, user.get()));
    const Fd made = make_overlay(overlay);
    if (made.valid()) {
        if (move_mount(made.get(), "", AT_FDCWD, folder.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return fail_errno(errno, "attach the root file system to " + folder);
    } else {
        TRY_STATUS(mount_by_options(overlay, folder));
    }
    return open_folder(folder);
}

std::string folder_of(const Job& job) { return directory_of(job.upper); }

/// What a start would make, too. `folder` is about the last component.
Result<Fd> make_target(int root, const std::string& path, bool folder) {
    std::string made;
    Fd at;
    std::string rest = clean_path(path);
    while (rest != "/" && !rest.empty()) {
        const size_t slash = rest.find('/', 1);
        const std::string name = rest.substr(1, slash == rest.npos ? slash : slash - 1);
        rest = slash == rest.npos ? "" : rest.substr(slash);
        const Fd parent(tree::open_in_root(root, made.empty() ? "/" : made, kOpenPath));
        made += "/" + name;
        at.reset(tree::open_in_root(root, made, O_PATH | O_CLOEXEC));
        if (at.valid()) continue;
        if (folder || !rest.empty())
            (void)mkdirat(parent.get(), name.c_str(), 0755);
        else
            Fd(openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
        at.reset(tree::open_in_root(root, made, O_PATH | O_CLOEXEC));
        if (!at.valid()) return fail_errno(errno, "make " + made + " to mount on");
    }
    return at;
}

Status make_read_only(int mount, const std::string& shown) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
        return fail_errno(errno, "make read-only " + shown);
    return {};
}

Status attach(int root, const Bind& bind, const Fd& user) {
    const unsigned recursive = bind.recursive ? AT_RECURSIVE : 0;
    const Fd tree(open_tree(AT_FDCWD, bind.source.c_str(),
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive));
    if (!tree.valid()) return fail_errno(errno, "bind " + bind.source);
    if (user.valid() && !bind.volume)
        TRY_STATUS(map_ids(tree.get(), user.get(), recursive, bind.source));
    struct stat info {};
    if (fstat(tree.get(), &info) != 0) return fail_errno(errno, "look at " + bind.source);
    if (bind.read_only) TRY_STATUS(make_read_only(tree.get(), bind.target));
    const Fd target = TRY(make_target(root, bind.target, S_ISDIR(info.st_mode)));
    if (move_mount(tree.get(), "", target.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return fail_errno(errno, "mount " + bind.source + " on " + bind.target);
    return {};
}

/// 0 if there is no such process.
uint64_t start_time(const std::string& process) {
    const Fd file(open((process + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    char text[2048];
    const ssize_t size = file.valid() ? read(file.get(), text, sizeof text) : -1;
    return size > 0 ? start_time_of({text, size_t(size)}) : 0;
}

Result<Fd> open_running(const Job& job) {
    const std::string process = "/proc/" + std::to_string(job.pid);
    Fd root(open((process + "/root").c_str(), kOpenPath));
    // In this order: a pid that was taken over meanwhile shows another time.
    if (!root.valid() || start_time(process) != job.pid_start_time)
        return fail("the container stopped before its files could be opened; try again");
    return root;
}

}  // namespace

Status lock_upper(const Job& job) {
    const int upper = open(job.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0) return fail_errno(errno, "open " + job.upper);
    while (flock(upper, LOCK_EX) != 0)
        if (errno != EINTR) return fail_errno(errno, "lock " + job.upper);
    return {};
}

Status make_files_as_root_of(const Job& job) {
    const uint32_t user = tree::to_host(job.ids, false, 0);
    const uint32_t group = tree::to_host(job.ids, true, 0);
    if (job.ids.empty() || user == UINT32_MAX || group == UINT32_MAX) return {};
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0)
        return fail_errno(errno, "keep the rights of this process");
    setfsgid(group);
    setfsuid(user);
    // They return what was there before: that it is set is seen by setting it again.
    if (setfsgid(group) != int(group) || setfsuid(user) != int(user))
        return fail("make files as " + std::to_string(user) + ":" + std::to_string(group) +
                    ": this process may not");
    return {};
}

Result<Fd> open_view(const Job& job) {
    if (job.pid != 0) return open_running(job);
    TRY_STATUS(lock_upper(job));
    TRY_STATUS(fill_volumes(job));
    Fd user;
    if (!job.ids.empty()) user = TRY(make_user_namespace(job.ids));
    Fd root = TRY(mount_overlay({job.lowers, job.upper, job.work}, folder_of(job), user));
    // Places to mount on, which may lie in a bind.
    if (!job.binds.empty()) TRY_STATUS(make_files_as_root_of(job));
    for (const Bind& bind : job.binds) TRY_STATUS(attach(root.get(), bind, user));
    if (job.read_only) TRY_STATUS(make_read_only(root.get(), "the root file system"));
    return root;
}

Result<Fd> open_whole(const Job& job) {
    if (job.lowers.empty()) return open_folder(job.upper);
    Overlay overlay;
    overlay.lowers = job.lowers;
    overlay.lowers.insert(overlay.lowers.begin(), job.upper);  // so it is only read
    Fd user;
    if (!job.ids.empty()) user = TRY(make_user_namespace(job.ids));
    return mount_overlay(overlay, folder_of(job), user);
}

Result<Fd> open_image(const Job& job) {
    if (job.lowers.empty()) return Fd();
    // Overlayfs wants two; one alone is what it would show.
    if (job.lowers.size() == 1) return open_folder(job.lowers[0]);
    return mount_overlay({job.lowers, {}, {}}, folder_of(job), Fd());
}

}  // namespace noded::files
