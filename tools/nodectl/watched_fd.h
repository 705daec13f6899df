// WatchedFd: waits until a descriptor can be read or written without blocking, and leaves it
// blocking.
//
// nodectl's standard streams are shared with other processes, so O_NONBLOCK must not be set on
// them; they may also be regular files, which epoll refuses and which are always ready. Called by
// the relay and by `logs -f`.
#pragma once

#include <kj/async-unix.h>

namespace noded::nodectl {

class WatchedFd {
public:
    WatchedFd(kj::UnixEventPort& port, int fd);

    int get() const { return fd_; }
    kj::Promise<void> readable();
    kj::Promise<void> writable();

    /// One write that does not block: as many bytes as fit, -1 with errno EAGAIN if none do.
    ssize_t write_some(const char* data, size_t size) const;

private:
    bool ready(short events) const;
    kj::UnixEventPort::FdObserver& observer();

    kj::UnixEventPort& port_;
    int fd_;
    bool can_wait_ = false;  ///< otherwise it is always ready
    bool bounded_ = false;   ///< a pipe or terminal: only so many bytes are sure not to block
    kj::Own<kj::UnixEventPort::FdObserver> observer_;  ///< made when there is something to wait for
    kj::Maybe<kj::ForkedPromise<void>> writable_;      ///< shared by all who wait
    bool writable_waiting_ = false;
};

}  // namespace noded::nodectl
