// Builds the bytes of a launch spec (launch.h) from ordinary C++ values. Used by noded's container
// plugin and by the tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "plugins/container/shim/launch.h"

namespace noded {

/// What runs: of a container, or of an exec inside one.
struct ProcessSpec {
    std::string id;                      ///< container id or exec id
    std::vector<std::string> arguments;  ///< the first is looked up in PATH of `environment`
    /// complete; PATH, HOME, HOSTNAME and TERM are added when missing
    std::vector<std::string> environment;
    std::string cwd = "/";
    /// as docker's --user, resolved in the container's own /etc/passwd
    std::string user;
    bool tty = false;
    bool open_stdin = false;
    bool privileged = false;  ///< of an exec: all capabilities, not those of its container
    uint16_t rows = 0;  ///< of the terminal; 0 leaves the kernel's default
    uint16_t columns = 0;
};

struct LaunchMount {
    std::string type;    ///< "bind", "tmpfs" or "of"
    /// absolute path on the host, for bind; of a mount namespace, for "of": what it has at the
    /// target
    std::string source;
    std::string target;  ///< absolute path in the container, created when missing
    /// comma list: ro, rw, nosuid, nodev, noexec, bind, rbind, [r]private, [r]slave, [r]shared,
    /// toponly (the attributes are not for what is mounted below), idmap (seen with the ids of the
    /// container's user namespace); for tmpfs also size=, mode=, uid=, gid=
    std::string options;
};

struct LaunchCgroup {
    std::string folder;  ///< absolute folder in a v1 hierarchy
    std::string
        name;  ///< "memory": where it appears below /sys/fs/cgroup in the container; empty hides it
};

struct LaunchJoin {
    std::string kind;  ///< "pid", "ipc", "uts", "net", "cgroup" or "time"
    std::string path;  ///< "/proc/42/ns/pid"
};

struct LaunchSysctl {
    std::string path;  ///< "net/ipv4/ip_unprivileged_port_start"
    std::string value;
};

struct LaunchSpec : ProcessSpec {
    std::vector<std::string> lowers;  ///< topmost first
    std::string upper;
    std::string work;
    std::string rootfs;  ///< a plain folder instead of the three above
    std::string hostname;
    uint64_t capabilities = 0;
    Buffer seccomp;
    bool no_new_privs = false;
    bool read_only_rootfs = false;
    /// The upper folder is not used again: nothing in it is worth a sync. A second run on it fails.
    bool volatile_rootfs = false;
    /// Device nodes in the rootfs open nothing; those of /dev do.
    bool nodev_rootfs = false;
    /// The overlay without redirect_dir, metacopy and index, which this kernel has on by default:
    /// the upper folder is to be read by diff and commit, and mounted again on other layers'
    /// copies.
    bool plain_overlay = false;
    bool name_files = false;       ///< /etc/hosts, /etc/hostname, /etc/resolv.conf are the node's
    bool writable_kernel = false;  ///< /sys and the cgroups
    std::vector<std::string> groups;  ///< supplementary, by name or number
    std::string domainname;
    std::vector<std::string> masked_paths;
    std::vector<std::string> read_only_paths;
    std::vector<launch::Rlimit> rlimits;
    std::vector<LaunchMount> mounts;
    std::vector<LaunchSysctl> sysctls;
    uint32_t namespaces = 0;  ///< CLONE_NEW* bits
    /// path of a pinned network namespace to join; needs CLONE_NEWNET unset
    std::string netns;
    std::vector<launch::IdMap> id_maps;  ///< of a user namespace of its own; empty: the host's
    std::vector<LaunchJoin> joins;  ///< their kinds need to be unset in `namespaces`
    std::string cgroup_v2;
    std::vector<LaunchCgroup> cgroups_v1;
    bool spare_groups = false;  ///< these are the ones that the shim was spawned with, renamed
    std::string log_folder;
    launch::LogLimits log_limits = {0, 0, 0};
    std::string runtime_dir;
    uint32_t stop_signal = 15;
    int32_t oom_score_adj = 0;
    uint64_t shm_bytes = 64 << 20;
};

/// Errors are sentences that name what is over which limit.
Result<Buffer> launch_encode(const LaunchSpec& spec);

/// For EXEC: capabilities, seccomp, cgroups and the rest are the container's own.
Result<Buffer> exec_encode(const ProcessSpec& spec);

/// Docker's defaults, as a starting point: capabilities, masked and read-only paths, all six
/// namespaces.
uint64_t default_capabilities();
std::vector<std::string> default_masked_paths();
std::vector<std::string> default_read_only_paths();
uint32_t default_namespaces();

}  // namespace noded
