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

/// Whether the kernel can say when it is ready; /dev/null and regular files always are.
bool can_wait_for(int fd) {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    const bool can = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
    close(epoll);
    return can;
}

}  // namespace

WatchedFd::WatchedFd(kj::UnixEventPort& port, int fd) : fd_(fd) {
    struct stat status {};
    const bool exists = fstat(fd, &status) == 0;
    bounded_ = exists && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) || S_ISSOCK(status.st_mode));
    if (!exists || !can_wait_for(fd)) return;
    observer_ = kj::heap<kj::UnixEventPort::FdObserver>(port, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE);
}

bool WatchedFd::ready(short events) const {
    if (observer_.get() == nullptr) return true;
    pollfd state{.fd = fd_, .events = events, .revents = 0};
    return poll(&state, 1, 0) > 0;
}

kj::Promise<void> WatchedFd::readable() {
    if (ready(POLLIN)) return kj::READY_NOW;
    return observer_->whenBecomesReadable();
}

kj::Promise<void> WatchedFd::writable() {
    if (ready(POLLOUT)) return kj::READY_NOW;
    if (!writable_waiting_) {
        writable_waiting_ = true;
        writable_ = observer_->whenBecomesWritable().then([this] { writable_waiting_ = false; }).fork();
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
