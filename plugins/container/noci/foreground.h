// A container or an exec in the foreground: noci waits for it, hands signals on, and serves its
// terminal. For create and detached processes nothing of this is used.
#pragma once

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::noci {

/// Made before the process, because signals that come early are not to be lost.
class Foreground {
public:
    /// `reaps_all`: orphans of the container become noci's children.
    static Result<Foreground> begin(bool reaps_all);

    /// A pair whose other end the process sends its terminal to; before launch.
    Result<int> make_console();
    /// Receives the terminal and makes noci's own raw, if it is one.
    Status take_terminal();
    /// Until the process ends, and its terminal is drained: its exit status as a shell's.
    int wait(int pid);

    ~Foreground();
    Foreground(Foreground&&) noexcept;
    Foreground& operator=(Foreground&&) = delete;

private:
    Foreground() = default;
    void on_signals(int pid, bool* ended, int* status);
    void copy_size() const;
    bool copy(int from, int to);

    Fd signals_;
    Fd console_ours_, console_theirs_;
    Fd master_;
    bool raw_ = false;
    bool input_open_ = false;
};

}  // namespace noded::noci
