// init: the first process of a container that was created with --init. Starts the command as a
// child in a process group of its own, hands every signal on to it, reaps whatever ends, and ends
// as the command ends: with its exit code, or 128 + n after a signal. Mounted into the container,
// so it has no C library and needs no file of the image.
//
//     docker-init -- COMMAND [ARGUMENT...]
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "plugins/container/shim/sys.h"
#include "plugins/container/shim/text.h"

namespace noded::shim {
namespace {

constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t path_bytes = 4096;

/// As the kernel takes it.
struct KernelAction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    uint64_t mask;
};

constexpr uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }

/// Those that tell of an error of this program itself are not for the command.
constexpr uint64_t handed_on = ~(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) |
                                 bit(SIGABRT) | bit(SIGTRAP) | bit(SIGSYS));

/// The terminal's output must not stop it once the command has the foreground.
void ignore_terminal_stops(bool ignored) {
    const KernelAction action = {ignored ? SIG_IGN : SIG_DFL, 0, nullptr, 0};
    for (const int signal : {SIGTTIN, SIGTTOU})
        sys(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
}

std::string_view variable(char** environment, std::string_view name) {
    for (; *environment != nullptr; ++environment) {
        const std::string_view text = *environment;
        if (text.size() > name.size() && text[name.size()] == '=' && text.starts_with(name))
            return text.substr(name.size() + 1);
    }
    return {};
}

/// Returns why no file of the command's name could be executed.
long execute(char** arguments, char** environment) {
    const std::string_view command = arguments[0];
    if (command.find('/') != std::string_view::npos)
        return sys(SYS_execve, arguments[0], arguments, environment);
    std::string_view rest = variable(environment, "PATH");
    if (rest.empty()) rest = default_path;
    long why = -ENOENT;
    while (!rest.empty()) {
        const size_t colon = rest.find(':');
        const bool last = colon == std::string_view::npos;
        const std::string_view folder(rest.data(), last ? rest.size() : colon);
        rest.remove_prefix(last ? rest.size() : colon + 1);
        const Text<path_bytes> path(folder.empty() ? std::string_view(".") : folder, "/", command);
        if (path.cut()) continue;
        const long result = sys(SYS_execve, path.c_str(), arguments, environment);
        if (result != -ENOENT && result != -ENOTDIR) why = result;
    }
    return why;
}

void run_command(char** arguments, char** environment, uint64_t signals) {
    sys(SYS_setpgid, 0, 0);
    const int group = static_cast<int>(sys(SYS_getpid));
    // Fails where standard input is no terminal.
    sys(SYS_ioctl, 0, TIOCSPGRP, &group);
    ignore_terminal_stops(false);
    sys(SYS_rt_sigprocmask, SIG_SETMASK, &signals, nullptr, sizeof signals);
    const long error = execute(arguments, environment);
    const Text<512> sentence("docker-init: exec ", std::string_view(arguments[0]), ": ",
                             error == -ENOENT ? std::string_view("no such file or directory")
                                              : error_name(error),
                             "\n");
    sys(SYS_write, 2, sentence.c_str(), sentence.view().size());
    exit_group(error == -ENOENT || error == -ENOTDIR ? 127 : 126);
}

/// All that have ended. Ends with the command, after the others that ended with it.
void reap(int command) {
    int ended_with = -1;
    for (;;) {
        int status = 0;
        const long pid = sys(SYS_wait4, -1, &status, WNOHANG, nullptr);
        if (pid <= 0) break;
        if (pid != command) continue;
        ended_with = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (ended_with >= 0) exit_group(ended_with);
}

}  // namespace

[[noreturn]] void init_main(int count, char** arguments) {
    char** environment = arguments + count + 1;
    int first = 1;
    if (count > 1 && std::string_view(arguments[1]) == "--") ++first;
    if (first >= count) exit_group(1);
    // Where the PID namespace is somebody else's, orphans come here all the same.
    sys(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    uint64_t before = 0;
    sys(SYS_rt_sigprocmask, SIG_BLOCK, &handed_on, &before, sizeof before);
    ignore_terminal_stops(true);
    const int command = static_cast<int>(sys(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0));
    if (command < 0) exit_group(1);
    if (command == 0) run_command(arguments + first, environment, before);
    for (;;) {
        siginfo_t about;
        const long signal = sys(SYS_rt_sigtimedwait, &handed_on, &about, nullptr, sizeof handed_on);
        if (signal == SIGCHLD) reap(command);
        else if (signal > 0) sys(SYS_kill, command, signal);
    }
}

}  // namespace noded::shim

extern "C" {

[[noreturn]] __attribute__((used)) void init_start(long* stack) {
    noded::shim::init_main(static_cast<int>(stack[0]), reinterpret_cast<char**>(stack + 1));
}

// The kernel leaves the number of arguments and the arguments on the stack.
asm(".globl _start\n"
    "_start:\n"
    "    xor %ebp, %ebp\n"
    "    mov %rsp, %rdi\n"
    "    and $-16, %rsp\n"
    "    call init_start\n");

}  // extern "C"
