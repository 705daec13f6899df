// Frames on an attach socket (SOCK_STREAM), between the shim and whoever shows or feeds a
// container's streams: nodectl holds the other end. The same for an exec. PROTOCOL.md has the
// rules. Header-only, no library.
#pragma once

#include <cstdint>

namespace noded {

enum class AttachKind : uint8_t {
    stdin_data = 0,   ///< to the shim
    stdout_data = 1,  ///< from the shim; a terminal's output is stdout
    stderr_data = 2,  ///< from the shim
    stdin_end = 3,    ///< to the shim, empty: half-close
    resize = 4,       ///< to the shim: AttachResize
    exit = 5,         ///< from the shim: AttachExit, the last frame
    lost = 6,         ///< from the shim: u64, bytes of output that this client will not get
    stay = 7,         ///< to the shim, empty: standard input does not end with this client
};

/// Little-endian, like everything here. Data frames are never empty. A receiver skips kinds that it
/// does not know.
struct AttachHeader {
    AttachKind kind;
    uint8_t zero[3];
    uint32_t length;  ///< of what follows
};
static_assert(sizeof(AttachHeader) == 8);

struct AttachResize {
    uint16_t rows;
    uint16_t columns;
};

struct AttachExit {
    int32_t code;  ///< as docker's exit status; 125 to 127 when it could not be started
};

/// How a socket is attached: flags of Container.attach and of the shim's control packets, where the
/// bits below are taken.
enum AttachFlag : uint32_t {
    attach_stdin = 16,
    attach_stdout = 32,
    attach_stderr = 64,
    /// everything since this start of the container, not only what comes from now on
    attach_from_start = 128,
    attach_stdin_once = 256,  ///< when this client goes away, standard input ends
};

constexpr uint32_t attach_frame_bytes_max = 1 << 20;  ///< a longer frame ends the connection

}  // namespace noded
