// See watched_fd.h.
#include "tools/nodectl/watched_fd.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace noded::nodectl {
namespace {

/// Whether the kernel can say when it is ready; regular files and /dev/null always are.
bool can_wait_for(int fd, mode_t mode) {
    if (S_ISFIFO(mode) || S_ISSOCK(mode)) return true;
    if (S_ISREG(mode) || S_ISDIR(mode)) return false;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    const bool can = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
    close(epoll);
    return can;
}

}  // namespace

WatchedFd::WatchedFd(kj::UnixEventPort& port, int fd) : port_(port), fd_(fd) {
    struct stat status {};
    const mode_t mode = fstat(fd, &status) == 0 ? status.st_mode : S_IFREG;
    can_wait_ = can_wait_for(fd, mode);
    bounded_ = S_ISFIFO(mode) || S_ISCHR(mode) || S_ISSOCK(mode);
}

bool WatchedFd::ready(short events) const {
    if (!can_wait_) return true;
    pollfd state{.fd = fd_, .events = events, .revents = 0};
    return poll(&state, 1, 0) > 0;
}

kj::UnixEventPort::FdObserver& WatchedFd::observer() {
    if (observer_.get() == nullptr) {
        observer_ = kj::heap<kj::UnixEventPort::FdObserver>(
            port_, fd_, kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE);
    }
    return *observer_;
}

kj::Promise<void> WatchedFd::readable() {
    if (ready(POLLIN)) return kj::READY_NOW;
    return observer().whenBecomesReadable();
}

kj::Promise<void> WatchedFd::writable() {
    if (ready(POLLOUT)) return kj::READY_NOW;
    if (!writable_waiting_) {
        writable_waiting_ = true;
        writable_ =
            observer().whenBecomesWritable().then([this] { writable_waiting_ = false; }).fork();
    }
    KJ_IF_MAYBE(shared, writable_) return shared->addBranch();
    return kj::READY_NOW;
}

ssize_t WatchedFd::write_some(const char* data, size_t size) const {
    if (!ready(POLLOUT)) {
        errno = EAGAIN;
        return -1;
    }
    // A pipe that is writable takes PIPE_BUF bytes without blocking.
    return write(fd_, data, bounded_ ? std::min<size_t>(size, PIPE_BUF) : size);
}

}  // namespace noded::nodectl
