// Counters: what eBPF programs count in the kernel for each container (bpf/containers.bpf.c).
//
// Loaded with the first container, since only then it is known at which depth of the cgroup tree
// containers are. Gone with the process: nothing is pinned, the kernel takes back programs whose
// descriptors are closed. Used on the offload lane, by one job at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "agent/base/result.h"
#include "plugins/stats/sample.h"

namespace noded::stats {

class Counters {
public:
    virtual ~Counters() = default;
    /// Begins to count for a cgroup of the v2 tree; harmless if it does already.
    virtual Status watch(uint64_t cgroup_id) = 0;
    virtual void forget(uint64_t cgroup_id) = 0;
    /// Attaches what costs on a hot path, or takes it away.
    virtual void follow_scheduler(bool follow) = 0;
    /// All that is watched, by cgroup id.
    virtual std::map<uint64_t, Kernel> read() = 0;
    /// What is counted, and what this kernel does not let be counted.
    virtual KernelState state() const = 0;
};

/// `mount` is that of the v2 tree, `level` the depth of containers below its root.
Result<std::unique_ptr<Counters>> load_bpf_counters(const std::string& mount, int level);

}  // namespace noded::stats
