// The cgroups of containers: which hierarchies this machine has, and the folders of one container
// in them.
//
// Each v1 controller that is mounted is used on its own, and so is the v2 tree, alone or beside v1
// ("hybrid"). Ours is MOUNT/noded/NODE/ID, NODE being a number made from the state directory: two
// nodes on one machine do not meet. Each controller is looked for on its own; a limit whose
// controller is in neither hierarchy is an error that says so. Most containers ask for none and pay
// for none: cpuset and devices of their own are groups made on demand. A container with a parent of
// its own (--cgroup-parent) is named by "/PARENT/ID" instead of its id; the parent is made when it
// is missing and then stays, as docker's does. Called by the launch, by
// removals on the offload lane (all is const once it is made), and by reconcile.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/options.h"
#include "plugins/container/sys.h"

namespace noded::container {

struct Hierarchy {
    std::string name;   ///< "memory", "cpu,cpuacct"; empty for v2
    std::string mount;  ///< "/sys/fs/cgroup/memory"
    /// Only containers that ask for it have a folder here; then its parent is NODE with this
    /// ending.
    std::string on_demand = {};

    bool has(std::string_view controller) const;
};

/// What a container needs beyond the groups that all have.
struct Wanted {
    bool cpuset = false;
    bool devices = false;  ///< its own list instead of the one of all
};

/// A v1 group with such a name waits to be renamed to a container's.
constexpr std::string_view spare_group_prefix = "spare-";

/// What /proc/self/mountinfo (proc(5)) says: the v1 controllers that are ours to use, and v2. Pure.
std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo);

class Cgroups {
public:
    /// Reads the mounts and makes MOUNT/noded/NODE in each. The warnings are sentences on what will
    /// be missing.
    Cgroups(std::shared_ptr<Sys> sys, std::string_view state_dir,
            std::vector<std::string>& warnings);

    std::string folder(const Hierarchy& hierarchy, std::string_view id) const;

    /// Those in which a container that wants this has a folder.
    std::vector<Hierarchy> of(const Wanted& wanted) const;
    /// Makes the container's folders; out of the set `spare`, unless that is empty, what can be.
    /// True if all of v1 are.
    Result<bool> create(std::string_view id, const Wanted& wanted,
                        std::string_view spare = {}) const;
    /// Sets the limits of a container whose folders are there. cgroup_limits.cc.
    Status limit(std::string_view id, const Resources& resources) const;
    /// A list of devices of its own: the harmless ones and what the options give, or all; created
    /// with Wanted::devices. devices.cc.
    Status allow(std::string_view id, const Options& options) const;
    /// A v1 devices hierarchy, or a program in the v2 tree, keeps containers to the harmless
    /// devices.
    bool restricts_devices() const;
    /// Makes ahead what a create needs, as far as it can be; the name begins as spares' do.
    SpareGroups make_spare(std::string_view name) const;
    /// Names of those that are there.
    std::vector<std::string> spares() const;
    /// Removes them; an error if processes are still in one.
    Status remove(std::string_view id) const;
    /// Stops or lets go on all that is in there; it takes a moment, see frozen.
    Status freeze(std::string_view id, bool frozen) const;
    bool frozen(std::string_view id) const;
    /// Other limits for one that runs: what differs is written.
    Status update(std::string_view id, const Resources& now, const Resources& wanted) const;
    /// What somebody froze takes no SIGKILL in v1, unlike in v2: it is thawed, whoever froze it.
    void let_die(std::string_view id) const;
    /// SIGKILL to all that is in there. True if there was something.
    bool kill(std::string_view id) const;
    std::vector<uint32_t> processes(std::string_view id) const;
    bool oom_killed(std::string_view id) const;
    /// Ids of all that has a folder of this node.
    std::vector<std::string> ids() const;
    /// Removes the spare groups, and MOUNT/noded/NODE if it is empty; MOUNT/noded stays, another
    /// node may be about to use it.
    void remove_parents() const;

private:
    bool has_v1(std::string_view controller) const;
    std::string parent(const Hierarchy& hierarchy) const;
    Status prepare(const Hierarchy& hierarchy) const;
    void list_devices(std::vector<std::string>& warnings);
    Status list_harmless_devices(const std::string& folder) const;
    Status write_device_list(const std::string& folder,
                             const std::vector<std::string>& rules) const;
    Result<std::vector<std::string>> device_rules(const Options& options) const;
    Status prepare_on_demand(const Hierarchy& hierarchy) const;
    Status prepare_parents(const Hierarchy& hierarchy, std::string_view name) const;
    Status inherit_cpuset(const Hierarchy& hierarchy, const std::string& folder,
                          const std::string& from) const;
    Status set(std::string_view id, const std::string& controller, const std::string& v1_file,
               const std::string& v2_file, const std::string& value, bool optional = false) const;
    Status limit_memory(std::string_view id, const Resources& resources) const;
    Status limit_cpu(std::string_view id, const Resources& resources) const;
    Status limit_io(std::string_view id, const Resources& resources) const;
    Status limit_cpuset(std::string_view id, const std::string& what, const std::string& file,
                        const std::string& asked) const;

    std::shared_ptr<Sys> sys_;
    std::string node_;
    std::vector<Hierarchy> hierarchies_;
    bool device_program_ = false;  ///< the v2 group of this node has one
    Status devices_;  ///< why the devices hierarchy that is mounted cannot be used: nothing starts
};

}  // namespace noded::container
