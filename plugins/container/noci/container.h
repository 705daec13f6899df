// A container of noci's between two invocations: the folder ROOT/ID with `state.json`, the
// configuration it was made of, and, from create to start, the socket on which its first process
// waits. There is no daemon: what a container is doing is looked up in the kernel each time.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/noci/cgroups.h"
#include "plugins/container/noci/config.h"

namespace noded::noci {

enum class ContainerStatus { creating, created, running, paused, stopped };

const char* status_name(ContainerStatus status);

class Container {
public:
    /// Its folder, new. "container with given ID already exists" if there is one.
    static Result<Container> create(const std::string& root, const std::string& id);
    /// "container does not exist" if there is none.
    static Result<Container> load(const std::string& root, const std::string& id);
    /// Of all folders below the root.
    static Result<std::vector<std::string>> ids(const std::string& root);

    const std::string& folder() const { return folder_; }
    Status save() const;
    ContainerStatus status() const;
    /// The configuration as it was at create.
    Result<Config> config() const;
    Status save_config(const std::string& text) const;
    /// As `noci state` prints it and hooks are given it; a runtime adds `rootfs`, `created`,
    /// `owner`.
    Json state(const std::string& status) const;
    Json full_state() const;
    /// A memfd with it, for hooks.
    Result<Fd> state_file(const std::string& status) const;

    /// The socket of the first process that waits for its start: made, connected to, taken away.
    Result<Fd> listen() const;
    Result<Fd> connect() const;
    void forget_socket() const;

    /// The whole folder.
    Status remove() const;
    Status signal(int number) const;
    /// Waits until the first process is gone. False if it is still there after that time.
    bool wait_until_gone(int milliseconds) const;

    std::string id;
    int pid = 0;
    uint64_t start_time = 0;  ///< of the pid, proc(5): together they name a process
    std::string created;      ///< RFC 3339, UTC
    std::string version;
    std::string bundle;
    std::string rootfs;
    std::string owner;
    std::vector<std::pair<std::string, std::string>> annotations;
    Cgroups cgroups;
    bool own_pids = false;  ///< a PID namespace of its own
    /// Of a container without mounts of its own: how many the host had on the rootfs before it. -1:
    /// it has its own.
    int root_mounts = -1;

private:
    bool alive() const;

    std::string folder_;
};

/// Mounts of this process's namespace that stand on exactly this path.
int count_mounts_on(const std::string& path);
/// Letters, digits, "_", "+", "-" and ".".
Status check_id(const std::string& id);
/// Field 22 of /proc/PID/stat; 0 if there is no such process, or only a zombie of it.
uint64_t process_start_time(int pid);
std::string now_text();
/// Paths of its namespaces by kind, as runc's state.json names them.
Json namespace_paths(int pid);

}  // namespace noded::noci
