// What the programs without a C library share: the clock, names of errors, and the handful of
// functions that a compiler expects to find in every program.
#include <errno.h>
#include <time.h>

#include "plugins/container/shim/sys.h"

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

}  // namespace noded::shim

extern "C" {

// The compiler may call these for plain assignments and loops, so they must not themselves become
// such calls.
__attribute__((used)) void* memcpy(void* to, const void* from, size_t size) {
    void* const start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return start;
}

__attribute__((used)) void* memset(void* to, int byte, size_t size) {
    void* const start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return start;
}

__attribute__((used)) void* memmove(void* to, const void* from, size_t size) {
    if (to <= from || static_cast<char*>(to) >= static_cast<const char*>(from) + size)
        return memcpy(to, from, size);
    auto* last_to = static_cast<char*>(to) + size - 1;
    auto* last_from = static_cast<const char*>(from) + size - 1;
    asm volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(size) : : "memory");
    return to;
}

__attribute__((used)) int memcmp(const void* left, const void* right, size_t size) {
    const auto* a = static_cast<const unsigned char*>(left);
    const auto* b = static_cast<const unsigned char*>(right);
    for (size_t i = 0; i < size; ++i)
        if (a[i] != b[i]) return a[i] - b[i];
    return 0;
}

__attribute__((used)) void* memchr(const void* bytes, int byte, size_t size) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (size_t i = 0; i < size; ++i)
        if (at[i] == static_cast<unsigned char>(byte)) return const_cast<unsigned char*>(at + i);
    return nullptr;
}

__attribute__((used)) size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length] != 0) {
        asm volatile("" : "+r"(length));
        ++length;
    }
    return length;
}

}  // extern "C"
