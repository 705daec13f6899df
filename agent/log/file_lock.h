// Taking a lock of which a killed process may be the last owner: the kernel lets go of its files
// only when it has taken its ring apart, a moment after its parent saw it end. For the log's
// directory (storage_file.cc) and the runtime directory (main.cc).
#pragma once

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace noded {

/// flock(2) for writing; waits two seconds at most. False and errno: EWOULDBLOCK if it is taken.
inline bool lock_exclusive(int fd) {
    constexpr int kTries = 200;
    constexpr unsigned kPauseUs = 10'000;
    for (int tries = 0;; ++tries) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        if (tries == kTries) return errno = EWOULDBLOCK, false;
        usleep(kPauseUs);
    }
}

}  // namespace noded
