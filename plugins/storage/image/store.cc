// The store on disk, see store.h for its layout and invariants.
#include "plugins/storage/image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <memory>

#include "agent/base/check.h"
#include "plugins/sdk/tree/tar_writer.h"
#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

Result<Fd> open_dir(const std::string& path) {
    Fd fd(open(path.c_str(), kOpenDir));
    if (!fd.valid()) return fail_errno(errno, "open directory " + path);
    return fd;
}

/// A stream over `name` in `dir`, from its start.
Result<Dir> list_dir(int dir, const char* name) {
    Fd fd(openat(dir, name, kOpenDir));
    if (!fd.valid()) return fail_errno(errno, std::string("open directory ") + name);
    Dir stream(fdopendir(fd.get()));
    if (stream == nullptr) return fail_errno(errno, std::string("list directory ") + name);
    fd.release();
    return stream;
}

bool is_dot(const char* name) {
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/// The next name in it that is not the directory itself or the one above; null at the end.
Result<dirent*> next_in(DIR* dir, const std::string& shown) {
    for (;;) {
        errno = 0;
        dirent* child = readdir(dir);
        if (child == nullptr && errno != 0) return fail_errno(errno, "list directory " + shown);
        if (child == nullptr || !is_dot(child->d_name)) return child;
    }
}

Status make_dir(const std::string& path, mode_t mode) {
    if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return fail_errno(errno, "create directory " + path);
    return {};
}

/// Each directory in `dir` gets a part of the disk of its own, if it is an ext4 (chattr(1), +T).
/// Otherwise all containers have their files where their parent has them, and ext4, when it looks
/// for an inode there, passes one by one over those that were removed in the last minutes: that was
/// two thirds of an overlay mount, which makes seven files. A file system without such a flag does
/// without.
void spread_apart(int dir) {
    int flags = 0;
    if (ioctl(dir, FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_TOPDIR_FL) != 0) return;
    flags |= FS_TOPDIR_FL;
    (void)ioctl(dir, FS_IOC_SETFLAGS, &flags);
}

Status sync_dir(const std::string& path) {
    Fd dir = TRY(open_dir(path));
    if (fsync(dir.get()) != 0) return fail_errno(errno, "sync directory " + path);
    return {};
}

/// False if it is a directory that is not empty.
Result<bool> try_remove(int dir, const char* name) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return fail_errno(errno, std::string("remove ") + name);
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno != ENOTEMPTY) return fail_errno(errno, std::string("remove directory ") + name);
    return false;
}

/// Moves `name` in `from` to a fresh name in `to`.
Status move_aside(int from, const char* name, int to, uint64_t& counter) {
    while (renameat2(from, name, to, std::to_string(counter).c_str(), RENAME_NOREPLACE) != 0) {
        if (errno != EEXIST) return fail_errno(errno, std::string("move aside ") + name);
        ++counter;
    }
    return {};
}

/// Empties the subdirectory `name` of `top` one level deep, lifting its own subdirectories up into
/// `top`.
Status lift_children(int top, const char* name, uint64_t& counter) {
    Dir sub = TRY(list_dir(top, name));
    while (dirent* child = TRY(next_in(sub.get(), name))) {
        if (!TRY(try_remove(dirfd(sub.get()), child->d_name)))
            TRY_STATUS(move_aside(dirfd(sub.get()), child->d_name, top, counter));
    }
    return {};
}

/// Takes `path` out of its place in one step; it dies with the workspace. Not synced: the file
/// system's journal keeps the rename before the removals, and a crash before both leaves the whole
/// thing, garbage as before.
Status discard(const StorePaths& paths, const std::string& path) {
    Workspace work = TRY(Workspace::make(paths));
    if (renameat(AT_FDCWD, path.c_str(), work.fd(), "gone") != 0 && errno != ENOENT)
        return fail_errno(errno, "move " + path + " to " + work.path());
    return {};
}

/// Adds what `dir` (path below `root`) holds to `bytes` and its subdirectories to `todo`.
Status add_sizes(int root, const std::string& dir, std::vector<std::string>& todo,
                 std::set<ino_t>& seen, uint64_t& bytes) {
    Dir stream = TRY(list_dir(root, dir.empty() ? "." : dir.c_str()));
    while (dirent* child = TRY(next_in(stream.get(), dir))) {
        if (child->d_type == DT_DIR) todo.push_back((dir.empty() ? "" : dir + "/") + child->d_name);
        if (child->d_type != DT_REG) continue;
        struct stat info;
        if (fstatat(dirfd(stream.get()), child->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno(errno, "stat " + dir + "/" + child->d_name);
        if (info.st_nlink == 1 || seen.insert(info.st_ino).second) bytes += uint64_t(info.st_size);
    }
    return {};
}

/// Container ids become path components.
Status check_container_id(std::string_view id) {
    auto allowed = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_' || c == '-' || c == '.';
    };
    if (id.empty() || id.size() > limits::container_id_bytes_max || id[0] == '.' ||
        !std::ranges::all_of(id, allowed))
        return fail("\"" + std::string(id.substr(0, 100)) + "\" is not a container id");
    return {};
}

bool is_opaque(const std::string& layer) {
    char value[2];
    return lgetxattr(layer.c_str(), "trusted.overlay.opaque", value, sizeof value) == 1 &&
           value[0] == 'y';
}

/// The lower directories, topmost first. overlayfs ignores an opaque mark on a lower's root (it
/// merges all roots), so a layer whose root is opaque ends the list here.
Result<std::vector<std::string>> lower_dirs(const StorePaths& paths,
                                            const std::vector<std::string>& diff_ids) {
    if (diff_ids.size() > limits::layers_per_image_max)
        return fail("an image of " + std::to_string(diff_ids.size()) + " layers has more than 127");
    std::vector<std::string> lower;
    bool hidden = false;
    for (size_t i = diff_ids.size(); i-- > 0;) {
        std::string hex = TRY(digest_hex(diff_ids[i]));
        if (!has_layer(paths, hex)) return fail("layer " + diff_ids[i] + " is not in the store");
        std::string path = paths.layer(hex);
        // The kernel refuses the same lower twice (ELOOP); the lower one of a pair hides nothing
        // more.
        if (hidden || std::ranges::find(lower, path) != lower.end()) continue;
        lower.push_back(path);
        hidden = is_opaque(path);
    }
    return lower;
}

/// The container's root directory looks like the image's.
Status make_upper(int dir, const std::vector<std::string>& lower, const std::string& shown) {
    struct stat info = {};
    info.st_mode = 0755;
    if (!lower.empty() && stat(lower[0].c_str(), &info) != 0)
        return fail_errno(errno, "stat " + lower[0]);
    if (mkdirat(dir, "upper", 0755) != 0) return fail_errno(errno, "create " + shown + "/upper");
    if (mkdirat(dir, "work", 0755) != 0) return fail_errno(errno, "create " + shown + "/work");
    if (fchownat(dir, "upper", info.st_uid, info.st_gid, 0) != 0)
        return fail_errno(errno, "change owner of " + shown + "/upper");
    if (fchmodat(dir, "upper", info.st_mode & 07777, 0) != 0)
        return fail_errno(errno, "change mode of " + shown + "/upper");
    return {};
}

/// Removes everything in `dir` whose name is not in `keep` (names are HEX, `keep` has
/// "sha256:HEX").
Result<size_t> sweep(const StorePaths& paths, const std::string& dir,
                     const std::set<std::string>& keep) {
    std::vector<std::string> dead;
    Dir stream = TRY(list_dir(AT_FDCWD, dir.c_str()));
    while (dirent* child = TRY(next_in(stream.get(), dir)))
        if (!keep.contains(std::string("sha256:") + child->d_name))
            dead.push_back(child->d_name);
    for (const std::string& name : dead) TRY_STATUS(discard(paths, dir + "/" + name));
    return dead.size();
}

}  // namespace

Status empty_directory(int fd) {
    uint64_t counter = 0;
    for (bool found = true; found;) {
        found = false;
        Dir stream = TRY(list_dir(fd, "."));
        while (dirent* child = TRY(next_in(stream.get(), "."))) {
            found = true;
            if (TRY(try_remove(fd, child->d_name))) continue;
            TRY_STATUS(lift_children(fd, child->d_name, counter));
            TRY(try_remove(fd, child->d_name));
        }
    }
    return {};
}

Status open_store(const StorePaths& paths) {
    CHECK(paths.root.starts_with('/') && !paths.root.ends_with('/'));
    // Closed to everybody: an overlay mount reads its layers with the rights of whoever mounted it,
    // and setuid programs of images must not be reachable by the node's own users.
    TRY_STATUS(make_dir(paths.root, 0700));
    TRY_STATUS(make_dir(paths.layers(), 0700));
    TRY_STATUS(make_dir(paths.skeletons(), 0700));
    TRY_STATUS(make_dir(paths.root + "/blobs", 0700));
    TRY_STATUS(make_dir(paths.blobs(), 0700));
    TRY_STATUS(make_dir(paths.rootfs(), 0700));
    TRY_STATUS(make_dir(paths.tmp(), 0700));
    Fd tmp = TRY(open_dir(paths.tmp()));
    if (auto emptied = empty_directory(tmp.get()); !emptied)
        return context(emptied.error(), "empty " + paths.tmp());
    spread_apart(tmp.get());
    return sync_dir(paths.root);
}

Result<Workspace> Workspace::make(const StorePaths& paths) {
    std::string path = paths.tmp() + "/work-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return fail_errno(errno, "create directory " + path);
    auto dir = open_dir(path);
    if (!dir) {
        rmdir(path.c_str());
        return std::unexpected(dir.error());
    }
    return Workspace(std::move(path), std::move(*dir));
}

// What cannot be removed now is removed by open_store at the next start, so the result is not
// needed.
Workspace::~Workspace() {
    if (!dir_.valid()) return;
    (void)empty_directory(dir_.get());
    rmdir(path_.c_str());
}

bool has_layer(const StorePaths& paths, std::string_view hex) {
    CHECK(is_sha256_hex(hex));
    struct stat info;
    return lstat(paths.layer(hex).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Status install_skeleton(const StorePaths& paths, const Workspace& work, const char* name,
                        std::string_view hex) {
    CHECK(is_sha256_hex(hex));
    const std::string target = paths.skeleton(hex);
    if (renameat(work.fd(), name, AT_FDCWD, target.c_str()) != 0)
        return fail_errno(errno, "install skeleton " + target);
    return {};
}

// syncfs and not one fsync per file: a layer has thousands of files, an fsync waits for a journal
// commit each (about 0.1 ms), and syncfs waits for one. It also reports write-back errors of any of
// them.
Result<bool> install_layer(const StorePaths& paths, Workspace& work, const char* name,
                           std::string_view hex) {
    CHECK(is_sha256_hex(hex));
    if (syncfs(work.fd()) != 0) return fail_errno(errno, "sync the file system of " + paths.root);
    std::string target = paths.layer(hex);
    if (renameat2(work.fd(), name, AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
        if (errno == EEXIST) return false;
        return fail_errno(errno, "install layer " + target);
    }
    TRY_STATUS(sync_dir(paths.layers()));
    return true;
}

Result<uint64_t> layer_size(const StorePaths& paths, std::string_view hex) {
    CHECK(is_sha256_hex(hex));
    Fd root = TRY(open_dir(paths.layer(hex)));
    uint64_t bytes = 0;
    std::set<ino_t> seen;
    std::vector<std::string> todo{""};
    while (!todo.empty()) {
        std::string dir = std::move(todo.back());
        todo.pop_back();
        TRY_STATUS(add_sizes(root.get(), dir, todo, seen, bytes));
    }
    return bytes;
}

bool has_blob(const StorePaths& paths, std::string_view hex) {
    CHECK(is_sha256_hex(hex));
    return access(paths.blob(hex).c_str(), F_OK) == 0;
}

Result<std::string> write_blob(const StorePaths& paths, Bytes content) {
    std::string digest = sha256_digest(content);
    std::string target = paths.blob(TRY(digest_hex(digest)));
    Workspace work = TRY(Workspace::make(paths));
    Fd file(openat(work.fd(), "blob", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file.valid()) return fail_errno(errno, "create " + work.path() + "/blob");
    TRY_STATUS(tree::write_fully(file.get(), content, "write " + target));
    if (fsync(file.get()) != 0) return fail_errno(errno, "sync " + target);
    if (renameat(work.fd(), "blob", AT_FDCWD, target.c_str()) != 0)
        return fail_errno(errno, "install blob " + target);
    TRY_STATUS(sync_dir(paths.blobs()));
    return digest;
}

Result<std::string> read_blob(const StorePaths& paths, std::string_view digest) {
    std::string path = paths.blob(TRY(digest_hex(digest)));
    Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open blob " + path);
    std::string content;
    char buffer[65536];
    ssize_t count;
    while ((count = read(file.get(), buffer, sizeof buffer)) > 0) {
        content.append(buffer, size_t(count));
        if (content.size() > limits::manifest_bytes_max)
            return fail("blob " + path + " is too large");
    }
    if (count < 0) return fail_errno(errno, "read blob " + path);
    if (std::string got = sha256_digest(as_bytes(content)); got != digest)
        return fail("blob " + path + " has digest " + got + " instead of " + std::string(digest));
    return content;
}

Status remove_layer(const StorePaths& paths, std::string_view diff_id) {
    const std::string hex = TRY(digest_hex(diff_id));
    TRY_STATUS(discard(paths, paths.layer(hex)));
    return discard(paths, paths.skeleton(hex));
}

Status remove_blob(const StorePaths& paths, std::string_view digest) {
    return discard(paths, paths.blob(TRY(digest_hex(digest))));
}

Result<size_t> collect_garbage(const StorePaths& paths, const std::set<std::string>& diff_ids,
                               const std::set<std::string>& blobs) {
    size_t layers_gone = TRY(sweep(paths, paths.layers(), diff_ids));
    TRY(sweep(paths, paths.skeletons(), diff_ids));
    return layers_gone + TRY(sweep(paths, paths.blobs(), blobs));
}

Result<RootfsDirs> prepare_rootfs(const StorePaths& paths, std::string_view container_id,
                                  const std::vector<std::string>& diff_ids) {
    TRY_STATUS(check_container_id(container_id));
    std::string path = paths.rootfs(container_id);
    RootfsDirs dirs{TRY(lower_dirs(paths, diff_ids)), path + "/upper", path + "/work"};
    struct stat info;
    if (lstat(path.c_str(), &info) == 0) return dirs;
    if (errno != ENOENT) return fail_errno(errno, "stat " + path);
    Workspace work = TRY(Workspace::make(paths));
    if (mkdirat(work.fd(), "rootfs", 0700) != 0) return fail_errno(errno, "create " + path);
    Fd dir(openat(work.fd(), "rootfs", kOpenDir));
    if (!dir.valid()) return fail_errno(errno, "open " + path);
    TRY_STATUS(make_upper(dir.get(), dirs.lower, path));
    if (renameat(work.fd(), "rootfs", AT_FDCWD, path.c_str()) != 0)
        return fail_errno(errno, "install " + path);
    return dirs;
}

Status remove_rootfs(const StorePaths& paths, std::string_view container_id) {
    TRY_STATUS(check_container_id(container_id));
    return discard(paths, paths.rootfs(container_id));
}

}  // namespace noded::image
