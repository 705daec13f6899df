// The cgroups of one container of noci's: where they are in each hierarchy of this machine, v1, v2
// or both ("hybrid"), their limits in the words of an OCI configuration, freezing, killing and what
// they count. The path is the configuration's, so unlike noded's (container/cgroup.h) they may lie
// below anybody's group. Called by every command that has to do with processes.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/json_view.h"

namespace noded::noci {

struct CgroupPlace {
    std::string name;  ///< "memory", "cpu,cpuacct", "systemd"; empty for v2
    std::vector<std::string> controllers;  ///< of v1; a named hierarchy has none
    std::string mount;                     ///< "/sys/fs/cgroup/memory"
    std::string folder;                    ///< of this container
};

class Cgroups {
public:
    Cgroups() = default;
    /// Where a container's are by its configuration: an absolute path counts from the top of each
    /// hierarchy, a relative one from where noci itself is, on v2 alone from the group above;
    /// without one it is the id.
    static Result<Cgroups> of(const std::string& path, const std::string& id);
    static Cgroups read(const JsonView& in);
    Json write() const;

    const std::vector<CgroupPlace>& places() const { return places_; }
    /// nullptr if this machine has no v2 tree.
    const CgroupPlace* unified() const;
    /// Only v2, no v1 controller.
    bool pure_v2() const;

    Status create() const;
    /// v2 only: the group and what it is run by belong to that user, who may make groups below.
    Status give_to(uint32_t uid) const;
    /// Of a caller without root's rights: hierarchies in which it cannot make the group are left
    /// out, if `may_lack` them; else create() says what is wrong.
    void forget_forbidden(bool may_lack);
    /// `resources` as in linux.resources; what is absent stays as it is.
    Status limit(const Json& resources) const;
    Status limit_devices(const JsonView& rules) const;
    /// An error if what is used already is more, where the configuration asks for that look.
    Status check_memory(const JsonView& memory) const;
    /// A quota without its period, or the other way round, gets what is in force.
    void complete_bandwidth(Json& resources) const;
    /// Waits a moment for processes that are about to be gone.
    Status remove() const;
    bool exist() const;
    Status freeze(bool frozen) const;
    bool frozen() const;
    /// Of v1, where even SIGKILL waits for it: the freezer group in which that process is.
    void thaw(int pid) const;
    std::vector<int> processes() const;
    /// Of all processes in there; SIGKILL reaches also what forks meanwhile.
    void kill(int signal) const;
    bool oom_killed() const;
    /// The "data" of `events --stats`.
    Json stats() const;

private:
    const CgroupPlace* place_of(const std::string& controller) const;
    std::string read_file(const std::string& controller, const char* v1_file,
                          const char* v2_file) const;
    Status set(const std::string& controller, const std::string& v1_file,
               const std::string& v2_file, const std::string& v1_value,
               const std::string& v2_value) const;
    Status set(const std::string& controller, const std::string& v1_file,
               const std::string& v2_file, const std::string& value) const {
        return set(controller, v1_file, v2_file, value, value);
    }
    Status limit_memory(const JsonView& memory) const;
    Status set_memory_limit(int64_t limit, int64_t both) const;
    Status limit_cpu(const JsonView& cpu) const;
    Status limit_shares(const JsonView& cpu) const;
    Status limit_bandwidth(const JsonView& cpu) const;
    Status limit_realtime(const JsonView& cpu) const;
    Status limit_block(const JsonView& block) const;
    /// `device` is "8:0 ", or empty for all.
    Status set_weight(const std::string& device, uint64_t weight) const;
    Status limit_rest(const JsonView& in) const;
    Status limit_unified(const JsonView& unified) const;

    void add_pressure(Json& data) const;
    Json huge_pages() const;

    std::vector<CgroupPlace> places_;
};

/// Where systemd's scope or slice for a cgroupsPath "slice:prefix:name" is: "/a.slice/a-b.slice/
/// prefix-name.scope". Empty parts and an empty path have runc's defaults.
Result<std::string> systemd_cgroup_path(const std::string& path, const std::string& id);

}  // namespace noded::noci
