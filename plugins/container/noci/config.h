// Config: an OCI bundle's config.json as noci keeps it, read by type and checked as far as it can
// be without the kernel, so that what is wrong is told before anything is made. runtime-spec 1.0,
// 1.1 and the parts of 1.2 that are named here. Sentences are runc's where runc has one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/json_view.h"

namespace noded::noci {

struct IdMap {
    uint32_t container = 0;
    uint32_t host = 0;
    uint32_t size = 0;
};

struct NamespaceConfig {
    uint32_t type = 0;  ///< CLONE_NEW*
    std::string path;   ///< empty: a new one
};

struct MountConfig {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
    std::vector<IdMap> uid_maps;
    std::vector<IdMap> gid_maps;
};

struct HookConfig {
    std::string path;
    std::vector<std::string> args;
    /// Nothing: that of whoever runs it, noci or the container's process.
    std::optional<std::vector<std::string>> env;
    uint32_t timeout_seconds = 0;
};

struct HooksConfig {
    std::vector<HookConfig> prestart, create_runtime, create_container, start_container, poststart,
        poststop;
};

struct RlimitConfig {
    uint32_t resource = 0;
    uint64_t soft = 0;
    uint64_t hard = 0;
};

struct SchedulerConfig {
    uint32_t policy = 0;
    int32_t nice = 0;
    uint32_t priority = 0;
    uint64_t flags = 0;
    uint64_t runtime = 0, deadline = 0, period = 0;
};

struct CapabilitySets {
    uint64_t bounding = 0, effective = 0, permitted = 0, inheritable = 0, ambient = 0;
};

struct ProcessConfig {
    bool terminal = false;
    uint16_t rows = 0, columns = 0;
    uint32_t uid = 0, gid = 0;
    std::vector<uint32_t> groups;
    std::optional<uint32_t> umask;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd;
    std::optional<CapabilitySets> capabilities;
    std::vector<std::string> unknown_capabilities;
    std::vector<RlimitConfig> rlimits;
    bool no_new_privs = false;
    std::string apparmor;
    std::string selinux;
    std::optional<int32_t> oom_score_adj;
    std::optional<SchedulerConfig> scheduler;
    std::optional<uint32_t> io_priority;
    std::vector<uint64_t> affinity_first, affinity;  ///< execCPUAffinity: bit n is CPU n
};

struct DeviceConfig {
    std::string path;
    char type = 'c';  ///< 'b', 'p'
    uint32_t major = 0, minor = 0;
    uint32_t mode = 0666;
    uint32_t uid = 0, gid = 0;
};

struct MemoryPolicyConfig {
    int32_t mode = 0;             ///< of set_mempolicy(2), with its flags
    std::vector<uint64_t> nodes;  ///< bit n is node n
};

/// A network device of the host, and what it is called in the container.
struct NetDeviceConfig {
    std::string host_name;
    std::string name;
};

/// Shares of the processor's caches and of the way to memory, by resctrl.
struct IntelRdtConfig {
    std::string clos_id;  ///< empty: a class of the container's own; "/": the one of all others
    std::string l3_cache, bandwidth;    ///< "L3:0=f", "MB:0=20"
    std::vector<std::string> schemata;  ///< more lines of this kind
    bool monitors = false;
};

struct Config {
    std::string version;
    ProcessConfig process;
    bool has_process = false;
    std::string rootfs;  ///< absolute, without links
    bool read_only = false;
    std::string hostname;
    std::string domainname;
    std::vector<MountConfig> mounts;
    std::vector<std::pair<std::string, std::string>> annotations;
    HooksConfig hooks;
    std::vector<NamespaceConfig> namespaces;
    std::vector<IdMap> uid_maps, gid_maps;
    std::string time_offsets;  ///< as /proc/PID/timens_offsets takes them
    std::vector<std::pair<std::string, std::string>> sysctls;  ///< path, value
    std::vector<NetDeviceConfig> net_devices;
    std::string cgroups_path;
    Json resources;
    std::vector<DeviceConfig> devices;
    Json seccomp;
    uint64_t rootfs_propagation = 0;  ///< MS_*
    std::vector<std::string> masked_paths, read_only_paths;
    std::optional<uint32_t> personality;
    std::optional<MemoryPolicyConfig> memory_policy;
    std::optional<IntelRdtConfig> intel_rdt;

    /// nullptr if the container shares the host's.
    const NamespaceConfig* find(uint32_t type) const;
};

/// `text` is the content of the config.json in `bundle`.
Result<Config> parse_config(const std::string& text, const std::string& bundle);
/// A process.json, for exec.
Result<ProcessConfig> parse_process(const std::string& text, const std::string& name);
/// The types of linux.resources, before the first limit of it is set; `name` begins the sentence.
Status check_resources(const Json& resources, const std::string& name);
/// What every process must say.
Status check_process(const ProcessConfig& process);
/// Nothing if the maps do not speak of it.
std::optional<uint32_t> host_id(const std::vector<IdMap>& maps, uint32_t id);
/// One user and one group, the caller's own: what the kernel lets everybody map.
bool maps_only_caller(const Config& config);
/// What the kernel and the host have to say to a configuration that is well formed.
Status check_config(const Config& config);

/// Of "0-3,7": bit n is set for each n. Nothing if it is no such list, or one of too large numbers.
std::optional<std::vector<uint64_t>> parse_bits(const std::string& text);

/// "CAP_KILL" or "KILL"; nothing if there is none of this name.
std::optional<uint32_t> capability_number(const std::string& name);
std::string capability_name(uint32_t number);
constexpr uint32_t capabilities_known = 41;
/// "kill", "SIGKILL" or "9"; nothing if there is none.
std::optional<int> signal_number(const std::string& name);

/// Names of the modes and flags of memory policies, sorted.
std::vector<std::string> memory_policy_modes();
std::vector<std::string> memory_policy_flags();

/// Without ".", ".." and doubled slashes; absolute.
std::string clean_path(const std::string& path);

}  // namespace noded::noci
