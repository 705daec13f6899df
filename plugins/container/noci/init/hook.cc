// See hook.h. The child borrows this memory until its exec. What it writes goes to a memfd, so
// nobody has to read while it runs.
#include "plugins/container/noci/init/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

namespace noded::noci {
namespace {

using shim::sys;

struct Child {
    const HookCall* call;
    int output;
    int state;  ///< -1 until it executes something
    long error;
};

[[noreturn]] void hook_child(void* argument) {
    Child& child = *static_cast<Child*>(argument);
    const uint64_t none = 0;
    sys(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
    long result = sys(SYS_dup3, child.state, 0, 0);
    if (result >= 0) result = sys(SYS_dup3, child.output, 1, 0);
    if (result >= 0) result = sys(SYS_dup3, child.output, 2, 0);
    sys(SYS_close_range, 3, ~0u, 0);
    if (result >= 0)
        result = sys(SYS_execve, child.call->path, child.call->arguments, child.call->environment);
    child.error = result;
    shim::exit_group(127);
}

/// False if the time is over.
bool wait_for(int pidfd, uint32_t seconds) {
    if (seconds == 0) return true;
    for (uint64_t left_ms = uint64_t{seconds} * 1000;;) {
        pollfd ended = {pidfd, POLLIN, 0};
        const uint64_t before = shim::wall_clock_ns();
        const int step_ms = left_ms < 1'000'000'000 ? static_cast<int>(left_ms) : 1'000'000'000;
        const long count = sys(SYS_poll, &ended, 1, step_ms);
        if (count != -EINTR) return count != 0;
        const uint64_t passed = (shim::wall_clock_ns() - before) / 1'000'000;
        left_ms = passed < left_ms ? left_ms - passed : 0;
    }
}

/// In the words that runc's users know.
void add_signal(int number, shim::Text<1024>* error) {
    constexpr struct {
        int number;
        const char* words;
    } known[] = {{SIGHUP, "hangup"},
                 {SIGINT, "interrupt"},
                 {SIGQUIT, "quit"},
                 {SIGILL, "illegal instruction"},
                 {SIGABRT, "aborted"},
                 {SIGBUS, "bus error"},
                 {SIGFPE, "floating point exception"},
                 {SIGKILL, "killed"},
                 {SIGSEGV, "segmentation fault"},
                 {SIGPIPE, "broken pipe"},
                 {SIGTERM, "terminated"},
                 {SIGSYS, "bad system call"}};
    error->add("signal: ");
    for (const auto& signal : known)
        if (signal.number == number) {
            error->add(signal.words);
            return;
        }
    error->add(static_cast<uint32_t>(number));
}

void add_output(int output, shim::Text<1024>* error) {
    char text[hook_output_bytes_max];
    const long size = sys(SYS_pread64, output, text, sizeof text, 0);
    std::string_view view(text, size > 0 ? static_cast<size_t>(size) : 0);
    while (!view.empty() && view.back() == '\n') view.remove_suffix(1);
    error->add(", stdout and stderr: ").add(view);
}

}  // namespace

bool run_hook(const HookCall& call, shim::Text<1024>* error) {
    alignas(16) static char stack[16 << 10];
    int output = static_cast<int>(sys(SYS_memfd_create, "hook", 1 /* MFD_CLOEXEC */));
    sys(SYS_lseek, call.state_fd, 0, 0);
    Child child = {&call, output, call.state_fd, 0};
    int pidfd = -1;
    clone_args arguments = {};
    arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<uint64_t>(stack);
    arguments.stack_size = sizeof stack;
    const long pid = shim::clone_sharing_memory(arguments, hook_child, &child);
    long failure = pid < 0 ? pid : child.error;
    if (pid < 0) {
        shim::close_fd(output);
        error->add("fork ").add(call.path).add(": ").add(shim::error_words(failure));
        return false;
    }
    const bool in_time = failure != 0 || wait_for(pidfd, call.timeout_seconds);
    if (!in_time) sys(SYS_kill, pid, SIGKILL);
    int status = 0;
    while (sys(SYS_wait4, pid, &status, 0, nullptr) == -EINTR) {
    }
    shim::close_fd(pidfd);
    const bool good = failure == 0 && in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (failure != 0)
        error->add("fork/exec ").add(call.path).add(": ").add(shim::error_words(failure));
    else if (!in_time)
        error->add("hook ran past specified timeout of ")
            .add(call.timeout_seconds)
            .add(".0s");
    else if (WIFSIGNALED(status))
        add_signal(WTERMSIG(status), error);
    else if (!good)
        error->add("exit status ").add(static_cast<uint32_t>(WEXITSTATUS(status)));
    if (!good && failure == 0) add_output(output, error);
    shim::close_fd(output);
    return good;
}

}  // namespace noded::noci
