// See output.h.
#include "tools/nodectl/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

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
            return;
        }
    }
}

void Output::add(int fd, std::string_view text) {
    constexpr size_t buffer_bytes = 64 << 10;
    if (fd != fd_ || pending_.size() + text.size() > buffer_bytes) flush();
    fd_ = fd;
    pending_ += text;
}

void Output::flush() {
    write_all(fd_, pending_);
    pending_.clear();
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
