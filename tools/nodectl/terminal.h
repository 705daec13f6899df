// The user's terminal: its size, and raw mode that is undone on every way out.
#pragma once

#include <termios.h>

#include <cstdint>

#include "agent/base/result.h"

namespace noded::nodectl {

struct TerminalSize {
    uint16_t rows = 0;
    uint16_t columns = 0;
};

/// Zeros if none of the standard streams is a terminal.
TerminalSize terminal_size();

/// Raw mode of standard input while it exists; also undone by exit().
class RawTerminal {
public:
    /// Does nothing if standard input is no terminal.
    Status enter();
    void leave();
    bool is_raw() const { return raw_; }
    ~RawTerminal() { leave(); }

private:
    bool raw_ = false;
};

}  // namespace noded::nodectl
