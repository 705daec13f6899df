// See foreground.h.
#include "plugins/container/noci/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace noded::noci {
namespace {

termios saved;  // of standard input, while it is raw

}  // namespace

Foreground::Foreground(Foreground&& other) noexcept
    : signals_(std::move(other.signals_)),
      console_ours_(std::move(other.console_ours_)),
      console_theirs_(std::move(other.console_theirs_)),
      master_(std::move(other.master_)),
      raw_(std::exchange(other.raw_, false)),
      input_open_(other.input_open_) {}

Foreground::~Foreground() {
    if (raw_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

Result<Foreground> Foreground::begin(bool reaps_all) {
    Foreground out;
    if (reaps_all) prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t all;
    sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) sigdelset(&all, own);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    out.signals_.reset(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!out.signals_.valid()) return fail_errno(errno, "listen to signals");
    return out;
}

Result<int> Foreground::make_console() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    console_ours_.reset(ends[0]);
    console_theirs_.reset(ends[1]);
    return console_theirs_.get();
}

Status Foreground::take_terminal() {
    console_theirs_.reset();
    char text[64];
    iovec part = {text, sizeof text};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size;
    do {
        size = recvmsg(console_ours_.get(), &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS)
        return fail("the container sent no terminal");
    int fd;
    memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    master_.reset(fd);
    console_ours_.reset();
    // The caller's own terminal adds the carriage returns, and a file wants none.
    termios lines{};
    if (tcgetattr(fd, &lines) == 0) {
        lines.c_oflag &= ~tcflag_t{ONLCR};
        (void)tcsetattr(fd, TCSANOW, &lines);
    }
    input_open_ = true;
    copy_size();
    if (tcgetattr(STDIN_FILENO, &saved) != 0) return {};
    termios mode = saved;
    cfmakeraw(&mode);
    raw_ = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
    return {};
}

void Foreground::copy_size() const {
    winsize size{};
    if (master_.valid() && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(master_.get(), TIOCSWINSZ, &size);
}

/// False at the end, or if nobody takes it any more.
bool Foreground::copy(int from, int to) {
    char buffer[16 << 10];
    const ssize_t size = read(from, buffer, sizeof buffer);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    for (ssize_t at = 0; at < size;) {
        const ssize_t count = write(to, buffer + at, size_t(size - at));
        if (count < 0 && errno == EAGAIN) {
            pollfd room = {to, POLLOUT, 0};
            poll(&room, 1, -1);
            continue;
        }
        if (count < 0 && errno != EINTR) return false;
        if (count > 0) at += count;
    }
    return true;
}

void Foreground::on_signals(int pid, bool* ended, int* status) {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD || info.ssi_signo == SIGURG) continue;
        if (info.ssi_signo == SIGWINCH) copy_size();
        else if (info.ssi_signo != SIGPIPE && info.ssi_signo != SIGTTIN &&
                 info.ssi_signo != SIGTTOU)
            kill(pid, int(info.ssi_signo));
    }
    int ended_status = 0;
    for (pid_t one; (one = waitpid(-1, &ended_status, WNOHANG)) > 0;) {
        if (one != pid) continue;
        *ended = true;
        *status = WIFSIGNALED(ended_status) ? 128 + WTERMSIG(ended_status)
                                            : WEXITSTATUS(ended_status);
    }
}

int Foreground::wait(int pid) {
    bool ended = false;
    int status = 0;
    on_signals(pid, &ended, &status);
    while (!ended || master_.valid()) {
        pollfd watched[3] = {{signals_.get(), POLLIN, 0},
                             {master_.get(), POLLIN, 0},
                             {input_open_ && !ended ? STDIN_FILENO : -1, POLLIN, 0}};
        // What an ended process left in its terminal is there already; who still holds the other
        // side is not waited for.
        const int ready = poll(watched, 3, ended ? 0 : -1);
        if (ready < 0 && errno != EINTR) break;
        if (ready == 0 && ended) break;
        if (ready < 0) continue;
        if (watched[1].revents != 0 && !copy(master_.get(), STDOUT_FILENO)) master_.reset();
        if (watched[2].revents != 0 && master_.valid() && !copy(STDIN_FILENO, master_.get())) {
            // The end of input is a character of the terminal.
            input_open_ = false;
            const char end = 4;
            (void)!write(master_.get(), &end, 1);
        }
        if (watched[0].revents != 0 && !ended) on_signals(pid, &ended, &status);
    }
    return status;
}

}  // namespace noded::noci
