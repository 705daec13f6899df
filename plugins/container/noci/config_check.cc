// What is wrong with a configuration that is well formed: conflicts in it, and what this host does
// not have. Called before anything is made. See config.h.
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "plugins/container/noci/config.h"
#include "plugins/container/noci/resctrl.h"

namespace noded::noci {
namespace {

bool same_namespace(const std::string& path, const char* own) {
    struct stat theirs, ours;
    return stat(path.c_str(), &theirs) == 0 && stat(own, &ours) == 0 &&
           theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

Status check_rootfs(const Config& config) {
    char resolved[PATH_MAX];
    struct stat info;
    if (stat(config.rootfs.c_str(), &info) != 0)
        return fail("invalid rootfs: stat " + config.rootfs + ": " +
                    (errno == ENOENT ? "no such file or directory" : strerror(errno)));
    if (!S_ISDIR(info.st_mode))
        return fail("invalid rootfs: " + config.rootfs + " is no directory");
    if (realpath(config.rootfs.c_str(), resolved) == nullptr || config.rootfs != resolved)
        return fail("invalid rootfs: not an absolute path, or a symlink");
    return {};
}

/// runc's list: what a private namespace holds may be set in it.
Status check_sysctl(const Config& config, const std::string& path, const std::string& value) {
    constexpr const char* ipc[] = {"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni",
                                   "kernel/sem",    "kernel/shmall", "kernel/shmmax",
                                   "kernel/shmmni", "kernel/shm_rmid_forced"};
    std::string name = path;
    for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
    if (std::ranges::find(ipc, path) != std::end(ipc) || path.starts_with("fs/mqueue/")) {
        if (config.find(CLONE_NEWIPC) != nullptr) return {};
        return fail("sysctl \"" + name + "\" is not allowed in the hosts ipc namespace");
    }
    if (path.starts_with("net/")) {
        const NamespaceConfig* net = config.find(CLONE_NEWNET);
        if (net == nullptr ||
            (!net->path.empty() && same_namespace(net->path, "/proc/self/ns/net")))
            return fail("sysctl \"" + name + "\" not allowed in host network namespace");
        return {};
    }
    if (path == "kernel/domainname" && config.find(CLONE_NEWUTS) != nullptr) {
        if (config.domainname.empty() || config.domainname == value) return {};
        return fail("sysctl \"" + name +
                    "\" is not allowed as it conflicts with the OCI \"domainname\" field");
    }
    if (path == "kernel/hostname" && config.find(CLONE_NEWUTS) != nullptr)
        return fail("sysctl \"" + name +
                    "\" is not allowed as it conflicts with the OCI \"hostname\" field");
    if (path.starts_with("user/")) {
        if (config.find(CLONE_NEWUSER) != nullptr) return {};
        return fail("setting ucounts without a user namespace not allowed: " + name);
    }
    return fail("sysctl \"" + name + "\" is not in a separate kernel namespace");
}

Status check_namespaces(const Config& config) {
    const bool own_mounts = config.find(CLONE_NEWNS) != nullptr;
    if (!config.hostname.empty() && config.find(CLONE_NEWUTS) == nullptr)
        return fail("unable to set hostname without a private UTS namespace");
    if (!config.domainname.empty() && config.find(CLONE_NEWUTS) == nullptr)
        return fail("unable to set domainname without a private UTS namespace");
    if (!own_mounts && (!config.masked_paths.empty() || !config.read_only_paths.empty()))
        return fail("unable to restrict sys entries without a private MNT namespace");
    const NamespaceConfig* user = config.find(CLONE_NEWUSER);
    const bool maps = !config.uid_maps.empty() || !config.gid_maps.empty();
    if (user == nullptr && maps)
        return fail("user namespace mappings specified, but user namespace isn't enabled in the "
                    "config");
    if (user != nullptr && user->path.empty() && !maps)
        return fail("user namespaces enabled, but no namespace path to join nor mappings to apply "
                    "specified");
    const NamespaceConfig* net = config.find(CLONE_NEWNET);
    const bool own_network =
        net != nullptr && (net->path.empty() || !same_namespace(net->path, "/proc/self/ns/net"));
    if (!config.net_devices.empty() && !own_network)
        return fail("unable to move network devices without a private NET namespace");
    const NamespaceConfig* time = config.find(CLONE_NEWTIME);
    if (time == nullptr && !config.time_offsets.empty())
        return fail("time namespace offsets specified, but time namespace isn't enabled in the "
                    "config");
    if (time != nullptr && !time->path.empty() && !config.time_offsets.empty())
        return fail("time namespace enabled, but both namespace path and time offsets specified -- "
                    "you may only provide one");
    return {};
}

}  // namespace

Status check_process(const ProcessConfig& process) {
    if (process.cwd.empty()) return fail("Cwd property must not be empty");
    if (process.cwd[0] != '/') return fail("Cwd must be an absolute path");
    if (process.args.empty()) return fail("args must not be empty");
    if (!process.selinux.empty() && access("/sys/fs/selinux/enforce", F_OK) != 0)
        return fail(
            "selinux label is specified in config, but selinux is disabled or not supported");
    if (!process.apparmor.empty() && access("/sys/kernel/security/apparmor", F_OK) != 0)
        return fail("apparmor profile " + process.apparmor +
                    " is specified in config, but apparmor is disabled or not supported");
    return {};
}

std::optional<uint32_t> host_id(const std::vector<IdMap>& maps, uint32_t id) {
    for (const IdMap& map : maps)
        if (id >= map.container && id - map.container < map.size)
            return map.host + (id - map.container);
    return std::nullopt;
}

namespace {

bool is_mapped(const std::vector<IdMap>& maps, uint32_t id) {
    return host_id(maps, id).has_value();
}

/// "gid=5" of a mount must be somebody.
Status check_mount_owners(const Config& config) {
    for (const MountConfig& mount : config.mounts)
        for (const std::string& option : mount.options) {
            const bool group = option.starts_with("gid=");
            if (!group && !option.starts_with("uid=")) continue;
            const uint32_t id = uint32_t(strtoul(option.c_str() + 4, nullptr, 10));
            if (!is_mapped(group ? config.gid_maps : config.uid_maps, id))
                return fail("cannot specify " + option + " mount option for unmapped " +
                            (group ? "gid" : "uid") + " in rootless containers");
        }
    return {};
}

/// What an unprivileged caller's container must be.
Status check_unprivileged(const Config& config) {
    const NamespaceConfig* user = config.find(CLONE_NEWUSER);
    if (user == nullptr) return fail("rootless container requires user namespaces");
    if (!config.net_devices.empty())
        return fail("network devices are not supported for rootless containers");
    if (config.find(CLONE_NEWNS) == nullptr)
        return fail("rootless container requires a mount namespace");
    if (!user->path.empty()) return {};
    for (const auto& [maps, kind] :
         {std::pair(&config.uid_maps, "UID"), std::pair(&config.gid_maps, "GID")})
        if (maps->empty())
            return fail(std::string("rootless containers requires at least one ") + kind +
                        " mapping");
    if (!is_mapped(config.uid_maps, config.process.uid) ||
        !is_mapped(config.gid_maps, config.process.gid))
        return fail("the process's user is not in the mappings of linux.uidMappings and "
                    "linux.gidMappings");
    if (!config.process.groups.empty() && maps_only_caller(config))
        return fail("cannot set any additional groups in a rootless container");
    return check_mount_owners(config);
}

}  // namespace

bool maps_only_caller(const Config& config) {
    const auto only = [](const std::vector<IdMap>& maps, uint32_t own) {
        return maps.size() == 1 && maps[0].size == 1 && maps[0].host == own;
    };
    return only(config.uid_maps, geteuid()) && only(config.gid_maps, getegid());
}

Status check_config(const Config& config) {
    if (!config.has_process) return fail("process property must not be empty");
    TRY_STATUS(check_rootfs(config));
    if (geteuid() != 0) TRY_STATUS(check_unprivileged(config));
    TRY_STATUS(check_namespaces(config));
    for (const auto& [path, value] : config.sysctls) TRY_STATUS(check_sysctl(config, path, value));
    TRY_STATUS(check_rdt(config.intel_rdt));
    if (config.rootfs == "/") return fail("invalid rootfs: the host's own root cannot be one");
    return {};
}

}  // namespace noded::noci
