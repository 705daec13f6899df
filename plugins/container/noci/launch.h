// From a configuration to a running process: the plan, the first process, and the conversation with
// it until its exec. Shared by create, run, start and exec.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/container.h"
#include "plugins/container/noci/init_process.h"
#include "plugins/container/noci/log.h"

namespace noded::noci {

/// What the command line adds to a configuration.
struct LaunchOptions {
    bool no_pivot = false;
    bool no_new_keyring = false;
    uint32_t preserve_fds = 0;
    std::string console_socket;
    int console_fd = -1;  ///< noci keeps the terminal itself; console_socket is empty then
    std::string pidfd_socket;
    bool no_cgroups = false;
    bool systemd = false;  ///< the groups are a unit's of systemd
    bool waits_for_start = false;  ///< create: the process waits on the container's socket
};

/// A process that is made and waits for its go.
struct Launched {
    int pid = 0;
    Fd sync;
};

/// Makes the container's first process, with its cgroups. What it made is the caller's to remove if
/// there is an error; `container` knows the pid and the cgroups as soon as they are there.
Result<Launched> launch_container(Container& container, const Config& config,
                                  const LaunchOptions& options, const Log& log);
/// Another process inside; `sub_cgroups` as `exec --cgroup` gives them.
struct ExecRequest {
    ProcessConfig process;
    std::vector<std::string> sub_cgroups;
};
Result<Launched> launch_exec(const Container& container, const Config& config,
                             const ExecRequest& request, const LaunchOptions& options,
                             const Log& log);

/// Says go and hears until the exec: a sentence if it did not come to it.
Status release(const Container& container, const Config& config, int socket, const char* status,
               const Log& log);

void kill_processes(const Container& container);
/// Kills what is left, removes cgroups and the folder, runs the poststop hooks. ENOENT: somebody
/// else has.
Status destroy(Container& container, const Log& log);

/// Writes the pid, complete or not at all.
Status write_pid_file(const std::string& path, int pid);

}  // namespace noded::noci
