// The walk of write_tree.h.
#include "plugins/sdk/tree/write_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>

#include "agent/base/fd.h"

namespace noded::tree {
namespace {

constexpr size_t kDepthMax = 2048;
constexpr size_t kXattrListBytes = 64 << 10;
constexpr size_t kXattrBytes = 64 << 10;
constexpr const char* kOpaqueAttribute = "trusted.overlay.opaque";
/// Set where the kernel's defaults for overlayfs let an upper directory refer to lower names or
/// contents; a layer has no words for that.
constexpr const char* kRedirectAttribute = "trusted.overlay.redirect";
constexpr const char* kMetacopyAttribute = "trusted.overlay.metacopy";

Status check_complete(int fd, const std::string& path) {
    if (fgetxattr(fd, kRedirectAttribute, nullptr, 0) < 0 &&
        fgetxattr(fd, kMetacopyAttribute, nullptr, 0) < 0)
        return {};
    return fail(path + " is not whole without the layers below it: turn off redirect_dir and "
                       "metacopy of the kernel module overlay");
}

/// The kernel's own file systems, whose files are no files.
bool is_made_up(int dir) {
    struct statfs info {};
    if (fstatfs(dir, &info) != 0) return false;
    const auto type = static_cast<unsigned long>(info.f_type);
    constexpr unsigned long kMadeUp[] = {
        PROC_SUPER_MAGIC,    SYSFS_MAGIC,     CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        DEVPTS_SUPER_MAGIC,  DEBUGFS_MAGIC,   TRACEFS_MAGIC,      SECURITYFS_MAGIC,
        BPF_FS_MAGIC,        NSFS_MAGIC,      0x19800202 /* mqueue */};
    return std::ranges::find(kMadeUp, type) != std::end(kMadeUp);
}

class Walk {
public:
    Walk(TarWriter& out, const WriteOptions& options) : out_(out), options_(options) {}

    Status object(int dir, const std::string& name, const std::string& path, size_t depth);
    Status seemingly_empty(int fd, TarEntry entry);

private:
    Status directory(Fd fd, TarEntry entry, size_t depth);
    Status regular(int fd, TarEntry entry);
    Result<TarEntry> describe(const struct stat& info, const std::string& path) const;
    void read_xattrs(int fd, TarEntry& entry) const;
    /// True if it was written as another name of an earlier entry.
    Result<bool> written_before(const struct stat& info, TarEntry& entry);
    Status whiteout(const std::string& path);

    TarWriter& out_;
    const WriteOptions& options_;
    std::map<std::pair<dev_t, ino_t>, std::string> names_;  ///< of what has several names
};

Result<TarEntry> Walk::describe(const struct stat& info, const std::string& path) const {
    TarEntry entry;
    entry.path = path;
    entry.mode = info.st_mode;
    entry.uid = options_.owners ? to_container(options_.ids, false, info.st_uid) : 0;
    entry.gid = options_.owners ? to_container(options_.ids, true, info.st_gid) : 0;
    entry.mtime = info.st_mtim;
    entry.device = info.st_rdev;
    if (S_ISREG(info.st_mode)) entry.size = uint64_t(info.st_size);
    return entry;
}

void Walk::read_xattrs(int fd, TarEntry& entry) const {
    if (!options_.xattrs) return;
    char list[kXattrListBytes];
    const ssize_t bytes = flistxattr(fd, list, sizeof list);
    if (bytes <= 0) return;
    std::string value(kXattrBytes, '\0');
    for (const char* name = list; name < list + bytes; name += strlen(name) + 1) {
        if (!is_kept_xattr(name)) continue;
        const ssize_t size = fgetxattr(fd, name, value.data(), value.size());
        if (size >= 0) entry.xattrs.emplace_back(name, value.substr(0, size_t(size)));
    }
    std::ranges::sort(entry.xattrs);
}

Result<bool> Walk::written_before(const struct stat& info, TarEntry& entry) {
    if (info.st_nlink < 2) return false;
    const auto [at, first] = names_.emplace(std::pair(info.st_dev, info.st_ino), entry.path);
    if (first) return false;
    entry.hard_link = true;
    entry.link = at->second;
    TRY_STATUS(out_.entry(entry));
    return true;
}

Status Walk::whiteout(const std::string& path) {
    const size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
    TarEntry entry;
    entry.path = path.substr(0, name) + ".wh." + path.substr(name);
    entry.mode = S_IFREG | 0600;
    return out_.entry(entry);
}

Status Walk::regular(int fd, TarEntry entry) {
    if (options_.layer) TRY_STATUS(check_complete(fd, entry.path));
    read_xattrs(fd, entry);
    TRY_STATUS(out_.entry(entry));
    return out_.content(fd, entry.size, entry.path);
}

/// The kernel's own files say that they are empty. What this one tells, in memory; invalid: it is
/// as empty as it says.
[[gnu::noinline]] static Result<Fd> told_by_kernel(int fd, const std::string& path) {
    constexpr size_t kBytesMax = 16 << 20;
    Fd memory;
    size_t size = 0;
    char chunk[64 << 10];
    for (ssize_t got = 0; (got = read(fd, chunk, sizeof chunk)) > 0; size += size_t(got)) {
        if (!memory.valid()) memory.reset(memfd_create("tar", MFD_CLOEXEC));
        if (size + size_t(got) > kBytesMax) return fail(path + " tells more than 16 MiB");
        if (!memory.valid() || write(memory.get(), chunk, size_t(got)) != got)
            return fail_errno(errno, "keep what is told by " + path);
    }
    return memory;
}

Status Walk::seemingly_empty(int fd, TarEntry entry) {
    const Fd told = TRY(told_by_kernel(fd, entry.path));
    struct stat info {};
    if (!told.valid() || fstat(told.get(), &info) != 0) return regular(fd, std::move(entry));
    entry.size = uint64_t(info.st_size);
    TRY_STATUS(out_.entry(entry));
    if (lseek(told.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "read " + entry.path);
    return out_.content(told.get(), entry.size, entry.path);
}

/// Apart from object(), which calls itself for every level of a stranger's tree: its frame stays
/// small.
[[gnu::noinline]] static Result<std::string> link_target(int dir, const std::string& name,
                                                         const std::string& path) {
    char target[PATH_MAX];
    const ssize_t size = readlinkat(dir, name.c_str(), target, sizeof target);
    if (size < 0) return fail_errno(errno, "read the link " + path);
    return std::string(target, size_t(size));
}

Status Walk::directory(Fd fd, TarEntry entry, size_t depth) {
    if (depth > kDepthMax)
        return fail("read " + entry.path.substr(0, 256) + "…: it is nested deeper than 2048");
    const std::string path = entry.path;
    const bool root = depth == 0;
    if (options_.layer) TRY_STATUS(check_complete(fd.get(), path));
    read_xattrs(fd.get(), entry);
    const bool plain = root && (options_.layer || options_.bare);
    if (!plain) TRY_STATUS(out_.entry(entry));
    if (options_.layer && is_opaque(fd.get())) {
        TarEntry opaque;
        opaque.path = path + "/.wh..wh..opq";
        opaque.mode = S_IFREG | 0600;
        TRY_STATUS(out_.entry(opaque));
    }
    if (options_.skip_kernel_mounts && is_made_up(fd.get())) return {};
    for (const std::string& name : TRY(names_in(fd.get(), path))) {
        TRY_STATUS(object(fd.get(), name, plain ? name : path + "/" + name, depth + 1));
    }
    return {};
}

Status Walk::object(int dir, const std::string& name, const std::string& path, size_t depth) {
    if (options_.go_on != nullptr) TRY_STATUS((*options_.go_on)());
    struct stat info {};
    if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        // It was removed since its directory was read.
        if (errno == ENOENT && depth > 0) return {};
        return fail_errno(errno, "look at " + path);
    }
    if (options_.layer && is_whiteout(info)) return whiteout(path);
    if (S_ISSOCK(info.st_mode)) return {};
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
        const int kind = S_ISDIR(info.st_mode) ? O_DIRECTORY : O_NONBLOCK;
        Fd fd(openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | kind));
        if (!fd.valid() && errno == ENOENT && depth > 0) return {};
        // What it is now may not be what it was.
        if (!fd.valid() || fstat(fd.get(), &info) != 0) return fail_errno(errno, "open " + path);
        TarEntry entry = TRY(describe(info, path));
        if (S_ISDIR(info.st_mode)) return directory(std::move(fd), std::move(entry), depth);
        if (!S_ISREG(info.st_mode)) return fail(path + " changed while it was read");
        if (TRY(written_before(info, entry))) return {};
        // Of a whole folder of the kernel's nobody wants that each file is read.
        if (depth == 0 && info.st_size == 0) return seemingly_empty(fd.get(), std::move(entry));
        return regular(fd.get(), std::move(entry));
    }
    TarEntry entry = TRY(describe(info, path));
    if (S_ISLNK(info.st_mode)) entry.link = TRY(link_target(dir, name, path));
    if (TRY(written_before(info, entry))) return {};
    return out_.entry(entry);
}

}  // namespace

Status write_tree(TarWriter& out, int dir, const std::string& name, const WriteOptions& options) {
    return Walk(out, options).object(dir, name, options.root_name, 0);
}

Result<std::vector<std::string>> names_in(int dir, const std::string& shown) {
    // A description of its own: reading moves its position.
    const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* stream = copy >= 0 ? fdopendir(copy) : nullptr;
    if (stream == nullptr) return fail_errno(errno, "list " + shown);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* member = readdir(stream)) {
        const std::string_view name = member->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return fail_errno(error, "list " + shown);
    std::ranges::sort(names);
    return names;
}

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

bool is_kept_xattr(std::string_view name) {
    if (name == "security.capability") return true;
    return name.starts_with("user.") && !name.starts_with("user.overlay.");
}

bool is_opaque(int dir) {
    char value[2];
    return fgetxattr(dir, kOpaqueAttribute, value, sizeof value) == 1 && value[0] == 'y';
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace noded::tree
