// Where the kernel keeps the figures of one container: the cgroup hierarchies of this machine, and
// a process's folders in them. Pure.
//
// A container is found by its first process: /proc/PID/cgroup (cgroups(7)) names its group in each
// hierarchy. A process may have moved on to a group of its own below, so the path ends at the part
// that is the container's id.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace noded::stats {

struct Mount {
    std::string controllers;  ///< "cpu,cpuacct", among other options; "" for v2
    std::string root;         ///< what of the hierarchy is mounted, "/" for all
    std::string path;

    bool has(std::string_view controller) const;
};

/// The cgroup mounts in /proc/self/mountinfo (proc(5)), each hierarchy once.
std::vector<Mount> parse_mounts(std::string_view mountinfo);

/// The folders of one container; empty where it has none.
struct Places {
    std::string v2;
    std::string cpu, cpuacct, memory, pids, blkio;  ///< of v1
};

Places places_of(const std::vector<Mount>& mounts, std::string_view proc_cgroup,
                 std::string_view id);

}  // namespace noded::stats
