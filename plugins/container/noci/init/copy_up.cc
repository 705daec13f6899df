// See copy_up.h. The tree is an image's: no link in it is followed, and it may not be deeper than
// the stack is long.
#include "plugins/container/noci/init/copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <string_view>

#include "plugins/container/shim/sys.h"

namespace noded::noci {
namespace {

using shim::sys;

constexpr int depth_max = 64;

struct Entry {  // getdents64(2)
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[1];
};

long copy_bytes(int from, int to, long size) {
    while (size > 0) {
        const long count = sys(SYS_sendfile, to, from, nullptr, size);
        if (count <= 0) return count;
        size -= count;
    }
    return 0;
}

long copy_folder(int from, int to, int depth);

long copy_file(int from, int to, const char* name, const struct stat& info) {
    int source = static_cast<int>(
        sys(SYS_openat, from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (source < 0) return source;
    int copy = static_cast<int>(sys(SYS_openat, to, name,
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    long result = copy < 0 ? copy : copy_bytes(source, copy, info.st_size);
    if (result == 0) result = sys(SYS_fchown, copy, info.st_uid, info.st_gid);
    if (result == 0) result = sys(SYS_fchmod, copy, info.st_mode & 07777);
    shim::close_fd(copy);
    shim::close_fd(source);
    return result;
}

long copy_link(int from, int to, const char* name, const struct stat& info) {
    char content[4096];
    const long size = sys(SYS_readlinkat, from, name, content, sizeof content - 1);
    if (size < 0) return size;
    content[size] = 0;
    long result = sys(SYS_symlinkat, content, to, name);
    if (result == 0)
        result = sys(SYS_fchownat, to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW);
    return result;
}

long copy_entry(int from, int to, const char* name, int depth) {
    struct stat info;
    long result = sys(SYS_newfstatat, from, name, &info, AT_SYMLINK_NOFOLLOW);
    if (result < 0) return result;
    if (S_ISREG(info.st_mode)) return copy_file(from, to, name, info);
    if (S_ISLNK(info.st_mode)) return copy_link(from, to, name, info);
    if (!S_ISDIR(info.st_mode)) return 0;
    result = sys(SYS_mkdirat, to, name, 0700);
    if (result < 0) return result;
    int below = static_cast<int>(sys(SYS_openat, from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    int copy = static_cast<int>(sys(SYS_openat, to, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    result = below < 0 ? below : copy < 0 ? copy : copy_folder(below, copy, depth + 1);
    if (result == 0) result = sys(SYS_fchownat, to, name, info.st_uid, info.st_gid, 0);
    if (result == 0) result = sys(SYS_fchmodat, to, name, info.st_mode & 07777);
    shim::close_fd(below);
    shim::close_fd(copy);
    return result;
}

long copy_folder(int from, int to, int depth) {
    if (depth > depth_max) return -ELOOP;
    int folder =
        static_cast<int>(sys(SYS_openat, from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder < 0) return folder;
    alignas(8) char buffer[2048];
    long result = 0;
    while (result == 0) {
        const long size = sys(SYS_getdents64, folder, buffer, sizeof buffer);
        if (size <= 0) {
            result = size;
            break;
        }
        for (long at = 0; at < size && result == 0;) {
            const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
            at += entry->length;
            const std::string_view name(entry->name);
            if (name != "." && name != "..") result = copy_entry(from, to, entry->name, depth);
        }
    }
    shim::close_fd(folder);
    return result;
}

}  // namespace

long copy_up(int from, int to) { return copy_folder(from, to, 0); }

}  // namespace noded::noci
