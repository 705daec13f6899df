// The clock and the names of errors, for the programs without a C library and for what else
// includes sys.h.
#include "plugins/container/shim/sys.h"

#include <errno.h>
#include <time.h>

namespace noded::shim {

uint64_t wall_clock_ns() {
    timespec now;
    sys(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string_view error_name(long error) {
    switch (error < 0 ? -error : error) {
        case EPERM: return "EPERM";
        case ENOENT: return "ENOENT";
        case ESRCH: return "ESRCH";
        case EINTR: return "EINTR";
        case EIO: return "EIO";
        case ENXIO: return "ENXIO";
        case E2BIG: return "E2BIG";
        case ENOEXEC: return "ENOEXEC";
        case EBADF: return "EBADF";
        case ECHILD: return "ECHILD";
        case EAGAIN: return "EAGAIN";
        case ENOMEM: return "ENOMEM";
        case EACCES: return "EACCES";
        case EFAULT: return "EFAULT";
        case EBUSY: return "EBUSY";
        case EEXIST: return "EEXIST";
        case EXDEV: return "EXDEV";
        case ENODEV: return "ENODEV";
        case ENOTDIR: return "ENOTDIR";
        case EISDIR: return "EISDIR";
        case EINVAL: return "EINVAL";
        case ENFILE: return "ENFILE";
        case EMFILE: return "EMFILE";
        case ENOTTY: return "ENOTTY";
        case ETXTBSY: return "ETXTBSY";
        case EFBIG: return "EFBIG";
        case ENOSPC: return "ENOSPC";
        case ESPIPE: return "ESPIPE";
        case EROFS: return "EROFS";
        case EMLINK: return "EMLINK";
        case EPIPE: return "EPIPE";
        case ERANGE: return "ERANGE";
        case ENAMETOOLONG: return "ENAMETOOLONG";
        case ENOSYS: return "ENOSYS";
        case ENOTEMPTY: return "ENOTEMPTY";
        case ELOOP: return "ELOOP";
        case EOVERFLOW: return "EOVERFLOW";
        case EUSERS: return "EUSERS";
        case EOPNOTSUPP: return "EOPNOTSUPP";
        case EADDRINUSE: return "EADDRINUSE";
        case ESTALE: return "ESTALE";
        case EDQUOT: return "EDQUOT";
        default: return "an unusual error";
    }
}

std::string_view error_words(long error) {
    switch (error < 0 ? -error : error) {
        case EPERM: return "operation not permitted";
        case ENOENT: return "no such file or directory";
        case EACCES: return "permission denied";
        case EBUSY: return "device or resource busy";
        case ENODEV: return "no such device";
        case ENOTDIR: return "not a directory";
        case EISDIR: return "is a directory";
        case EINVAL: return "invalid argument";
        case EROFS: return "read-only file system";
        case ENOEXEC: return "exec format error";
        case ELOOP: return "too many levels of symbolic links";
        case ENAMETOOLONG: return "file name too long";
        default: return error_name(error);
    }
}

}  // namespace noded::shim
