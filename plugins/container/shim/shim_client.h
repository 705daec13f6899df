// noded's side of the shim's sockets: spawn a shim, find one again, send it packets, and read what
// it left behind. Nothing here waits, and nothing remembers state: the container plugin does.
#pragma once

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

/// The name of an exec in the form that requests carry; empty for the container itself.
ExecId exec_id(std::string_view text);

struct ShimExit {
    ExitRecord record;
    std::string message;  ///< why the start failed
};

/// An exit record from the content of its file, `path` for the message of an error: it is not one,
/// or a bit of it is wrong.
Result<ShimExit> parse_exit_record(const std::string& path, std::string_view content);

}  // namespace noded
