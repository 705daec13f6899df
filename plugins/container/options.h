// Options: what a container may use of the host (schema::HostOptions), as the plugin keeps it, and
// the rules that a request for it must obey.
//
// Pure. Read and written as part of a Spec; checked by resolve (spec.cc) and by updates. What only
// the host can know, whether it has the controller or the device, is found out by the launch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"

namespace noded::container {

struct DeviceRate {
    std::string device;
    schema::RateKind kind{};
    uint64_t rate = 0;
    bool operator==(const DeviceRate&) const = default;
};

/// First and last of each range in a list as the kernel has it (cputopology.rst): "0-2,4".
std::vector<std::pair<uint64_t, uint64_t>> ranges_of(std::string_view list);
/// All of `asked` is in `there`, whose ranges go up.
bool is_within(std::string_view asked, std::string_view there);

/// 0 and empty: not limited.
struct Resources {
    int64_t memory_bytes = 0;
    int64_t memory_reservation_bytes = 0;
    int64_t memory_swap_bytes = 0;  ///< with memory; -1: as much swap as there is
    bool oom_kill_disable = false;
    int64_t nano_cpus = 0;
    int64_t cpu_shares = 0;
    int64_t cpu_quota_us = 0;
    int64_t cpu_period_us = 0;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    int64_t pids_limit = 0;
    uint16_t blkio_weight = 0;
    std::vector<DeviceRate> rates;

    /// Something is to be written to a cgroup.
    bool any() const { return *this != Resources(); }
    bool wants_cpuset() const { return !cpuset_cpus.empty() || !cpuset_mems.empty(); }

    static Resources read(schema::Resources::Reader in);
    void write(schema::Resources::Builder out) const;
    /// A sentence in docker's words.
    Status check() const;
    /// With what is not 0 or empty in `more`; an error names what contradicts.
    Result<Resources> updated(const Resources& more) const;
    bool operator==(const Resources&) const = default;
};

struct Ulimit {
    std::string name;
    int64_t soft = 0;  ///< -1: unlimited
    int64_t hard = 0;
    bool operator==(const Ulimit&) const = default;
};

struct Device {
    std::string host_path;
    std::string container_path;
    std::string permissions;
    bool operator==(const Device&) const = default;
};

struct Mount {
    std::string type;
    std::string source;
    std::string target;
    std::string options;
    bool make_source = false;
    bool operator==(const Mount&) const = default;
};

/// `count` ids of a container from `container` on are those of the host from `host` on.
struct IdMap {
    bool gid = false;
    uint32_t container = 0;
    uint32_t host = 0;
    uint32_t count = 0;
    bool operator==(const IdMap&) const = default;
};

std::vector<IdMap> read_id_maps(capnp::List<schema::IdMap>::Reader in);
template <typename Init>
void write_id_maps(const std::vector<IdMap>& from, Init init) {
    auto list = init(unsigned(from.size()));
    for (unsigned i = 0; i < from.size(); ++i) {
        list[i].setGid(from[i].gid);
        list[i].setContainer(from[i].container);
        list[i].setHost(from[i].host);
        list[i].setCount(from[i].count);
    }
}

struct Options {
    Resources resources;
    int32_t oom_score_adj = 0;
    std::vector<std::string> cap_add;
    std::vector<std::string> cap_drop;
    bool read_only = false;
    bool no_new_privileges = false;
    bool system_paths_unconfined = false;  ///< nothing of /proc and /sys is covered
    bool seccomp_unconfined = false;
    std::vector<Ulimit> ulimits;
    int64_t shm_bytes = 0;
    std::vector<Device> devices;
    std::vector<Mount> mounts;
    std::vector<std::pair<std::string, std::string>> sysctls;
    std::string ipc_mode;
    std::string pid_mode;
    std::string uts_mode;
    std::string cgroupns_mode;
    std::string userns_mode;
    std::vector<IdMap> id_maps;  ///< empty: the host's user namespace
    std::string cgroup_parent;   ///< as it was asked for; empty: noded's own group
    std::string seccomp_profile;  ///< docker's JSON; empty: the default one
    std::vector<std::string> group_add;
    std::string domainname;
    bool privileged = false;
    bool init = false;
    std::vector<std::string> device_rules;  ///< "c 13:* rwm"
    int64_t log_file_bytes = 0;             ///< of one file of its log; 0: the default, as below
    int32_t log_files = 0;

    /// A list of devices of its own instead of the one of all containers.
    bool wants_devices() const {
        return privileged || !devices.empty() || !device_rules.empty() || !cgroup_parent.empty();
    }

    static Options read(schema::HostOptions::Reader in);
    void write(schema::HostOptions::Builder out) const;
    /// Of the lists, the mounts alone.
    void write_mounts(schema::HostOptions::Builder out) const;
    Status check() const;
    bool operator==(const Options&) const = default;
};

/// The RLIMIT_* of a name, or -1.
int rlimit_number(const std::string& name);
/// "net_admin" as "CAP_NET_ADMIN".
std::string capability_name(std::string name);
/// "CAP_NET_ADMIN" or "net_admin" as a bit, "ALL" as all of them; 0 if there is no such capability.
uint64_t capability_bits(std::string name);
/// The number of one capability.
std::optional<uint32_t> capability_number(const std::string& name);
/// Of a container with these options.
uint64_t capabilities_of(const Options& options);

}  // namespace noded::container
