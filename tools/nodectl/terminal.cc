// See terminal.h.
#include "tools/nodectl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace noded::nodectl {
namespace {

// What exit() has to put back. A process has one standard input, so one of these is enough.
termios g_saved;
bool g_raw = false;

void restore() {
    if (!g_raw) return;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &g_saved);
    g_raw = false;
}

}  // namespace

TerminalSize terminal_size() {
    for (const int fd : {STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO}) {
        winsize size{};
        if (ioctl(fd, TIOCGWINSZ, &size) == 0) return {size.ws_row, size.ws_col};
    }
    return {};
}

Status RawTerminal::enter() {
    if (isatty(STDIN_FILENO) == 0) return {};
    if (tcgetattr(STDIN_FILENO, &g_saved) != 0)
        return fail_errno(errno, "read the mode of the terminal");
    static bool registered = false;
    if (!registered) atexit(restore);
    registered = true;
    termios raw = g_saved;
    cfmakeraw(&raw);
    g_raw = true;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0) {
        g_raw = false;
        return fail_errno(errno, "set the terminal to raw mode");
    }
    raw_ = true;
    return {};
}

void RawTerminal::leave() {
    if (raw_) restore();
    raw_ = false;
}

}  // namespace noded::nodectl
