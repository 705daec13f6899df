// A container of noci's between two invocations: the folder ROOT/ID with `state.json`, the
// configuration it was made of, and, from create to start, the socket on which its first process
// waits. There is no daemon: what a container is doing is looked up in the kernel each time.
//
// Who makes or removes a container holds a lock on its folder, which ends with the process that
// holds it: a container that nobody makes any more is one that was given up. Its state is there
// before anything else of it, so whatever was made can be found and removed.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/noci/cgroups.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/resctrl.h"

namespace noded::noci {

enum class ContainerStatus { creating, created, running, paused, stopped };

const char* status_name(ContainerStatus status);

class Container {
public:
    /// Its folder, new and locked. "container with given ID already exists" if there is one.
    static Result<Container> create(const std::string& root, const std::string& id);
    /// "container does not exist" if there is none, or none with a process yet.
    static Result<Container> load(const std::string& root, const std::string& id);
    /// One whose state cannot be read: where its cgroups are is in its configuration, too. What was
    /// given up before it had a state has none. "container does not exist" if there is no folder.
    static Result<Container> salvage(const std::string& root, const std::string& id);
    /// Of all folders below the root, sorted.
    static Result<std::vector<std::string>> ids(const std::string& root);
    /// Those that an extended regular expression finds something in.
    static Result<std::vector<std::string>> ids_like(const std::string& root,
                                                     const std::string& expression);

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

    /// Alone from here on, and as it is now. ENOENT if it was removed meanwhile, another error if
    /// somebody else holds it for longer than that time.
    Status lock(int milliseconds);
    void unlock() { lock_.reset(); }
    bool holds_lock() const { return lock_.valid(); }

    /// The socket of the first process that waits for its start: made, connected to, taken away.
    Result<Fd> listen() const;
    Result<Fd> connect() const;
    void forget_socket() const;

    /// The whole folder.
    Status remove() const;
    Status signal(int number) const;
    /// Its first process may have been frozen in a group that is not the container's: it could not
    /// end there.
    void thaw() const;
    /// Empty if there is none of this name.
    std::string annotation(const std::string& name) const;
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
    std::string systemd_unit;  ///< that systemd made for it; empty: noci made its groups itself
    RdtGroup rdt;
    bool own_pids = false;  ///< a PID namespace of its own
    /// Of a container without mounts of its own: how many the host had on the rootfs before it. -1:
    /// it has its own.
    int root_mounts = -1;

private:
    static Result<Container> read(const std::string& folder, const std::string& id);
    bool alive() const;
    bool is_locked() const;

    std::string folder_;
    Fd lock_;
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
