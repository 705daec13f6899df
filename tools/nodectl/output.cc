// See output.h.
#include "tools/nodectl/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/result.h"

namespace noded::nodectl {

void die_of_sigpipe() {
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    _exit(128 + SIGPIPE);
}

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = write(fd, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<size_t>(written));
        } else if (errno == EAGAIN) {
            // Somebody else made the descriptor non-blocking.
            pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
            poll(&ready, 1, -1);
        } else if (errno == EPIPE) {
            die_of_sigpipe();
        } else if (errno != EINTR) {
            // What nobody can be told is lost; of the output somebody will believe that it is all.
            if (fd == STDERR_FILENO) return;
            print_error(fail_errno(errno, "write the output").error().message);
            _exit(1);
        }
    }
}

void Output::add(int fd, std::string_view text) {
    // What is long goes out from where it lies: a call is cheaper than a copy to fresh pages.
    constexpr size_t long_bytes = 4 << 10;
    if (fd != fd_ || pending_ + text.size() > kBufferBytes || text.size() >= long_bytes) flush();
    fd_ = fd;
    if (text.size() >= long_bytes) return write_all(fd, text);
    if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<char[]>(kBufferBytes);
    memcpy(buffer_.get() + pending_, text.data(), text.size());
    pending_ += text.size();
}

void Output::flush() {
    write_all(fd_, {buffer_.get(), pending_});
    pending_ = 0;
}

void print(std::string_view text) {
    write_all(STDOUT_FILENO, text);
}

void print_error(std::string_view message) {
    std::string line = "Error: ";
    line += message;
    line += '\n';
    write_all(STDERR_FILENO, line);
}

}  // namespace noded::nodectl
