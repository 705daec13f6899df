// openat2(2) for paths that must stay inside a directory.
#pragma once

#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

namespace noded {

/// A file descriptor, or -1 and errno. `path` may be empty: the directory itself.
///
/// Where a ".." is resolved inside a directory, the kernel gives up with EAGAIN as soon as anything
/// on the machine was renamed or mounted meanwhile, so that the way back cannot lead outside; it is
/// for the caller to try again. Whoever renames for ever gets EAGAIN in the end.
inline int open_inside(int directory, const std::string& path, const open_how& how) {
    constexpr int tries_max = 1000;
    long fd = -1;
    for (int i = 0; i < tries_max; ++i) {
        fd = syscall(SYS_openat2, directory, path.empty() ? "." : path.c_str(), &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN) break;
    }
    return static_cast<int>(fd);
}

}  // namespace noded
