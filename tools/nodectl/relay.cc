// See relay.h.
#include "tools/nodectl/relay.h"

#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "tools/nodectl/attach_parser.h"
#include "tools/nodectl/detach_keys.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/terminal.h"
#include "tools/nodectl/watched_fd.h"

namespace noded::nodectl {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr int kProxied[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
// With a terminal these end nodectl, after the terminal is put back.
constexpr int kEnding[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

sigset_t held_signals(bool tty, bool proxied) {
    sigset_t set;
    sigemptyset(&set);
    if (tty) {
        sigaddset(&set, SIGWINCH);
        for (const int signal : kEnding) sigaddset(&set, signal);
    } else if (proxied) {
        for (const int signal : kProxied) sigaddset(&set, signal);
    }
    return set;
}

/// Dies of a signal as if nodectl had not caught it.
[[noreturn]] void die_of(int number) {
    signal(number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    raise(number);
    _exit(128 + number);
}

}  // namespace

Result<AttachPair> attach_pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno(errno, "create a pair of sockets");
    }
    return AttachPair{Fd(ends[0]), Fd(ends[1])};
}

struct Relay::State : private kj::TaskSet::ErrorHandler {
    State(Session& session, Fd attach_fd, RelayOptions wanted)
        : port(session.port()),
          attach_owned(std::move(attach_fd)),
          attach(port, attach_owned.get()),
          options(std::move(wanted)),
          detach_keys(options.detach_keys),
          tasks(*this) {
        auto end_pair = kj::newPromiseAndFulfiller<End>();
        end = kj::mv(end_pair.promise);
        end_fulfiller = kj::mv(end_pair.fulfiller);
        tasks.add(pump_output());
        begin_signals();
    }

    // ---- from the container

    kj::Promise<void> pump_output() {
        return attach.readable().then([this]() -> kj::Promise<void> {
            const ssize_t count = recv(attach.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) return pump_output();
            if (count <= 0) return finish(End::closed);
            bool exited = false;
            const auto fed = parser.feed({buffer, static_cast<size_t>(count)}, [&](AttachKind kind,
                                                                                   std::string_view
                                                                                       bytes) {
                if (kind == AttachKind::exit) {
                    AttachExit frame;
                    memcpy(&frame, bytes.data(), sizeof frame);
                    exit_code = frame.code;
                    exited = true;
                } else if (kind == AttachKind::lost) {
                    uint64_t count;
                    memcpy(&count, bytes.data(), sizeof count);
                    notes.push_back("[" + std::to_string(count) + " bytes of output were lost]\n");
                    writes.push_back({&errors, notes.back()});
                } else if (kind == AttachKind::stdout_data) {
                    if (options.show_stdout) writes.push_back({&output, bytes});
                } else if (options.show_stderr) {
                    writes.push_back({&errors, bytes});
                }
            });
            return write_out(0).then([this, exited, ok = fed.has_value()]() -> kj::Promise<void> {
                writes.clear();
                notes.clear();
                if (exited) return finish(End::exited);
                if (!ok) return finish(End::closed);
                return pump_output();
            });
        });
    }

    kj::Promise<void> write_out(size_t index) {
        while (index < writes.size()) {
            Write& write = writes[index];
            if (write.bytes.empty()) {
                index++;
                continue;
            }
            const ssize_t count = write.to->write_some(write.bytes.data(), write.bytes.size());
            if (count >= 0) {
                write.bytes.remove_prefix(static_cast<size_t>(count));
            } else if (errno == EAGAIN) {
                return write.to->writable().then([this, index] { return write_out(index); });
            } else if (errno == EPIPE) {
                terminal.leave();
                die_of_sigpipe();
            } else if (errno != EINTR) {
                index++;  // A closed or full target: the container must not hang for it.
            }
        }
        return kj::READY_NOW;
    }

    kj::Promise<void> finish(End how) {
        stop_input();
        if (end_fulfiller->isWaiting()) end_fulfiller->fulfill(kj::cp(how));
        return kj::READY_NOW;
    }

    // ---- to the container

    kj::Promise<void> pump_input() {
        return input->readable().then([this]() -> kj::Promise<void> {
            if (input_stopped) return kj::READY_NOW;
            char typed[32 << 10];
            const ssize_t count = read(input->get(), typed, sizeof typed);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) return pump_input();
            // In raw mode there is no key for the end of input: the terminal has gone away. What
            // runs on the container's own terminal is none of its business.
            if (count <= 0 && terminal.is_raw()) take_signal(SIGHUP);
            if (count <= 0 && !options.ends_input) return kj::READY_NOW;
            if (count <= 0) {
                to_send += attach_frame(AttachKind::stdin_end, {});
                return flush_sends().then([this]() -> kj::Promise<void> {
                    if (!options.leave_at_input_end) return kj::READY_NOW;
                    return finish(End::detached);
                });
            }
            std::string_view bytes(typed, static_cast<size_t>(count));
            std::string passed;
            if (options.tty && !options.detach_keys.empty()) {
                if (detach_keys.feed(bytes, passed)) {
                    to_send += attach_frame(AttachKind::stay, {});
                    return flush_sends().then([this] { return finish(End::detached); });
                }
                bytes = passed;
            }
            if (!bytes.empty()) to_send += attach_frame(AttachKind::stdin_data, bytes);
            return flush_sends().then([this] { return pump_input(); });
        });
    }

    kj::Promise<void> flush_sends() {
        while (!to_send.empty()) {
            const ssize_t count =
                send(attach.get(), to_send.data(), to_send.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (count >= 0) {
                to_send.erase(0, static_cast<size_t>(count));
            } else if (errno == EAGAIN) {
                return attach.writable().then([this] { return flush_sends(); });
            } else if (errno != EINTR) {
                to_send.clear();  // Nobody listens any more; the output says how it ended.
            }
        }
        return kj::READY_NOW;
    }

    void send_size() {
        const TerminalSize size = terminal_size();
        const AttachResize resize{.rows = size.rows, .columns = size.columns};
        to_send += attach_frame(AttachKind::resize,
                                {reinterpret_cast<const char*>(&resize), sizeof resize});
        tasks.add(flush_sends());
    }

    // ---- signals

    /// Before there is a container: what comes once it runs is for it, and is not to find nodectl
    /// unprepared.
    void begin_signals() {
        const sigset_t set = held_signals(options.tty, static_cast<bool>(options.on_signal));
        sigprocmask(SIG_BLOCK, &set, nullptr);
        signals_owned = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!signals_owned.valid()) {
            signals_error = errno;
            return;
        }
        signals.emplace(port, signals_owned.get());
        tasks.add(pump_signals());
    }

    kj::Promise<void> pump_signals() {
        return signals->readable().then([this]() -> kj::Promise<void> {
            if (input_stopped) return kj::READY_NOW;
            signalfd_siginfo info;
            if (read(signals->get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
                take_signal(static_cast<int>(info.ssi_signo));
            }
            return pump_signals();
        });
    }

    void take_signal(int number) {
        if (number == SIGWINCH) {
            send_size();
        } else if (options.tty) {
            terminal.leave();
            die_of(number);
        } else if (options.on_signal) {
            // A node that does not answer is not waited for twice.
            if (!input_begun && std::exchange(signalled, true)) die_of(number);
            options.on_signal(number);
        }
    }

    Status begin_input() {
        if (input_stopped) return {};
        if (!signals_owned.valid()) return fail_errno(signals_error, "create a signalfd");
        input_begun = true;
        if (options.tty && options.open_stdin) TRY_STATUS(terminal.enter());
        if (options.tty) send_size();
        if (options.open_stdin) {
            input.emplace(port, STDIN_FILENO);
            tasks.add(pump_input());
        }
        return {};
    }

    void stop_input() {
        input_stopped = true;
        terminal.leave();
    }

    void noded_is_gone() {
        if (input_stopped) return;
        // Raw mode does not turn a line feed into the beginning of a line.
        print_error(std::string("noded is gone: the container goes on without it, and a signal now "
                                "ends only nodectl") +
                    (options.tty ? "\r" : ""));
        if (options.on_signal) options.on_signal = die_of;
    }

    void taskFailed(kj::Exception&&) override {
        finish(End::closed).detach([](kj::Exception&&) {});
    }

    struct Write {
        WatchedFd* to;
        std::string_view bytes;  ///< into `buffer` or `notes`
    };

    kj::UnixEventPort& port;
    Fd attach_owned;
    WatchedFd attach;
    Fd signals_owned;
    int signals_error = 0;  ///< why there is none
    std::optional<WatchedFd> signals;
    std::optional<WatchedFd> input;
    WatchedFd output{port, STDOUT_FILENO};
    WatchedFd errors{port, STDERR_FILENO};
    RelayOptions options;
    RawTerminal terminal;
    AttachParser parser;
    DetachMatcher detach_keys;
    std::vector<Write> writes;
    std::deque<std::string> notes;  ///< of ours, that `writes` point to
    std::string to_send;
    std::optional<int> exit_code;
    bool input_begun = false;
    bool input_stopped = false;
    bool signalled = false;  ///< before the input began
    kj::Promise<End> end = nullptr;
    kj::Own<kj::PromiseFulfiller<End>> end_fulfiller;
    char buffer[kBufferBytes];
    kj::TaskSet tasks;  ///< last: its tasks use all of the above
};

Relay::Relay(Session& session, Fd attach, RelayOptions options)
    : state_(std::make_unique<State>(session, std::move(attach), std::move(options))) {}

Relay::~Relay() = default;

Status Relay::begin_input() { return state_->begin_input(); }
kj::Promise<Relay::End> Relay::end() { return kj::mv(state_->end); }
std::optional<int> Relay::exit_code() const { return state_->exit_code; }
void Relay::stop_input() { state_->stop_input(); }
void Relay::noded_is_gone() { state_->noded_is_gone(); }

}  // namespace noded::nodectl
