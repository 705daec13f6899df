// What run and create say of the host's resources: limits, rights, devices, mounts, namespaces. The
// texts are docker's; what they mean together is decided by the node.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"
#include "tools/nodectl/options.h"

namespace noded::nodectl {

struct HostOptions {
    std::string memory;
    std::string memory_reservation;
    std::string memory_swap;
    bool oom_kill_disable = false;
    std::optional<int64_t> oom_score_adj;
    std::string cpus;
    std::optional<int64_t> cpu_shares;
    std::optional<int64_t> cpu_quota;
    std::optional<int64_t> cpu_period;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<int64_t> pids_limit;
    std::optional<int64_t> blkio_weight;
    std::vector<std::string> device_read_bps;
    std::vector<std::string> device_write_bps;
    std::vector<std::string> device_read_iops;
    std::vector<std::string> device_write_iops;
    std::vector<std::string> ulimits;
    std::string shm_size;
    std::vector<std::string> devices;
    std::vector<std::string> cap_add;
    std::vector<std::string> cap_drop;
    std::vector<std::string> security_opt;
    bool read_only = false;
    std::vector<std::string> tmpfs;
    std::vector<std::string> volumes;
    std::vector<std::string> mounts;
    std::vector<std::string> sysctls;
    std::string ipc;
    std::string pid;
    std::string uts;
    std::string cgroupns;
    std::string userns;
    std::string cgroup_parent;
    std::string seccomp_profile;  ///< what the file of --security-opt seccomp=FILE has
    std::vector<std::string> groups;
    std::string domainname;
    bool privileged = false;
    bool init = false;
    std::vector<std::string> device_rules;
    std::vector<std::string> log_opts;

    std::vector<Option> table();
    /// Those that a container can be given while it runs.
    std::vector<Option> update_table();
    /// The file that a --security-opt names; empty: none.
    static std::string seccomp_file(const std::string& option);
    bool any() const;
    /// Sets the spec's options only if one was given.
    Status fill(schema::ContainerSpec::Builder spec) const;
    Status fill_resources(schema::Resources::Builder out) const;

private:
    Status fill_rates(schema::Resources::Builder out) const;
    Status fill_rights(schema::HostOptions::Builder out) const;
    Status fill_devices(schema::HostOptions::Builder out) const;
    Status fill_mounts(schema::HostOptions::Builder out) const;
    Status fill_log(schema::HostOptions::Builder out) const;
};

/// Of every tmpfs, before its own options.
constexpr const char* tmpfs_options_default = "noexec,nosuid,nodev";

struct MountText {
    std::string type;
    std::string source;
    std::string target;
    std::string options;
    bool make_source = false;
};

/// "512m", "1.5g", "100": bytes; docker's units are 1024, but for those of logs.
Result<int64_t> parse_bytes(const std::string& text, int kilo = 1024);
/// "SOURCE:TARGET[:ro,...]".
Result<MountText> parse_volume(const std::string& text);
/// "type=bind,source=/a,target=/b,readonly".
Result<MountText> parse_mount(const std::string& text);

}  // namespace noded::nodectl
