// Relay: between nodectl's own streams and the attach socket of a container or exec.
//
// What comes is written to stdout and stderr before the end counts as seen; what is typed goes the
// other way, window sizes too. No stream of ours becomes non-blocking, nothing here blocks, so
// signals are always heard. Called by run, start -a and exec.
#pragma once

#include <kj/async.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

struct RelayOptions {
    bool tty = false;
    bool open_stdin = false;
    bool show_stdout = true;
    bool show_stderr = true;
    bool ends_input = true;   ///< the end of ours is the end of the container's
    bool leave_at_input_end = false;  ///< as if the detach keys had been typed
    std::string detach_keys;  ///< bytes; empty: none
    /// What to do with a signal that nodectl got; empty: they do to nodectl what they always do.
    std::function<void(int)> on_signal;
};

/// Both ends of an attach stream; the far one goes to noded.
struct AttachPair {
    Fd near;
    Fd far;
};
Result<AttachPair> attach_pair();

class Relay {
public:
    enum class End { exited, closed, detached };

    Relay(Session& session, Fd attach, RelayOptions options);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Output flows as soon as the relay exists, and signals are taken. This begins input: raw mode
    /// on, stdin is read. Does nothing if the stream has ended already.
    Status begin_input();

    /// Answers when the last byte of output is written, or the user left with the detach keys.
    kj::Promise<End> end();

    /// From the exit frame, if one came.
    std::optional<int> exit_code() const;

    /// Puts the terminal back; further input is not read.
    void stop_input();

    /// Nobody can forward signals any more: says so once, and from now on they end nodectl as they
    /// do by default. Does nothing if the stream has ended already.
    void noded_is_gone();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace noded::nodectl
