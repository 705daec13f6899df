// noded's side of the shim's sockets: spawn a shim, find one again, and put packets together and
// take them apart. Nothing here waits unless told to, and nothing remembers state: the container
// plugin does. Used by it and by the tests.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/shim/control.h"

namespace noded {

/// A group of v1 in which the spare of a shim waits, until it is renamed to a container's.
struct SpareGroup {
    std::string folder;  ///< absolute; empty: only a place for the one of v2
    std::string name;    ///< where it appears below /sys/fs/cgroup in the container
};
using SpareGroups = std::vector<SpareGroup>;

struct SpawnedShim {
    Fd control;  ///< SOCK_SEQPACKET, non-blocking
    int pid;     ///< our child: the caller reaps it
    Fd pidfd;
};

/// Starts shims that wait for their LAUNCH. Takes the time of a vfork, whatever the size of this
/// process and however many descriptors it has open: noded has some for each container, and a table
/// of thousands that is copied and closed again for each start would make every start slower.
/// Not for two threads at a time.
class ShimSpawner {
public:
    /// Takes four numbers for descriptors; the earlier it is made, the lower they are. Without
    /// `empties_mounts` each shim leaves the host's mounts by itself.
    explicit ShimSpawner(bool empties_mounts = true);
    Result<SpawnedShim> spawn(const std::string& shim_path, const SpareGroups& groups = {});

private:
    /// /dev/null: in these places a child finds its control socket and its program, all above them
    /// it closes without having copied it.
    Fd nothing_, control_, program_;
    Fd no_mounts_;  ///< the place of a mount namespace with nothing in it
    enum { not_yet, is_there, never } emptied_;
};

/// Connects to the shim of a runtime folder after a restart. ENOENT or ECONNREFUSED: there is none
/// any more; read its exit record.
Result<Fd> connect_shim(const std::string& runtime_dir);

/// Sends one packet. `fds` stay the caller's. EAGAIN when the shim has not yet taken earlier ones.
Status send_control(int socket, ControlType type, uint32_t flags, uint64_t tag, Bytes payload,
                    const std::vector<int>& fds = {});

/// LAUNCH or EXEC with a spec of any legal size; `attach_fd` may be -1, `flags` are those of the
/// attach socket.
Status send_spec(int socket, ControlType type, uint64_t tag, Bytes spec, int attach_fd = -1,
                 uint32_t flags = 0);

struct ControlPacket {
    ControlHeader header;
    Buffer payload;
};

/// Receives one packet. EAGAIN when there is none, an error with code 0 when the shim has gone.
Result<ControlPacket> receive_control(int socket);

/// Reads the fixed part at the beginning of a payload.
template <typename T>
Result<T> control_body(const ControlPacket& packet, size_t index = 0) {
    T body;
    if (packet.payload.size() < (index + 1) * sizeof body)
        return fail("the shim sent a packet that is too short");
    std::memcpy(&body, packet.payload.data() + index * sizeof body, sizeof body);
    return body;
}

/// What follows the fixed part.
inline std::string control_text(const ControlPacket& packet, size_t fixed_size) {
    if (packet.payload.size() <= fixed_size) return {};
    return std::string(
        as_text({packet.payload.data() + fixed_size, packet.payload.size() - fixed_size}));
}

/// The name of an exec in the form that requests carry; empty for the container itself.
ExecId exec_id(std::string_view text);

struct ShimExit {
    ExitRecord record;
    std::string message;  ///< why the start failed
};

/// An exit record from the content of its file, `path` for the message of an error: it is not one,
/// or a bit of it is wrong.
Result<ShimExit> parse_exit_record(const std::string& path, std::string_view content);

/// The exit record of a runtime folder; ENOENT when the container has not ended, or a shim died
/// with it.
Result<ShimExit> read_exit_record(const std::string& runtime_dir);

}  // namespace noded
