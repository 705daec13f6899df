// Counters: what eBPF programs count in the kernel for each container (bpf/containers.bpf.c).
//
// Loaded with the first container, since only then it is known at which depth of the cgroup tree
// containers are. Gone with the process: nothing is pinned, the kernel takes back programs whose
// descriptors are closed. Used on the offload lane, by one job at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "agent/base/result.h"
#include "plugins/stats/sample.h"

namespace noded::stats {

class Counters {
public:
    virtual ~Counters() = default;
    /// Begins to count for a cgroup of the v2 tree; harmless if it does already. `blkio_id` is its
    /// group in the hierarchy of blkio where that is another one; 0: it is not.
    virtual Status watch(uint64_t cgroup_id, uint64_t blkio_id = 0) = 0;
    virtual void forget(uint64_t cgroup_id) = 0;
    /// Attaches what costs on a hot path, or takes it away.
    virtual void follow_scheduler(bool follow) = 0;
    /// All that is watched, by cgroup id.
    virtual std::map<uint64_t, Kernel> read() = 0;
    /// What is counted, and what this kernel does not let be counted.
    virtual KernelState state() const = 0;
};

/// One program that the kernel refuses is left out, and the verifier's words are in the state.
/// `mount` is that of the v2 tree, `level` the depth of containers below its root.
Result<std::unique_ptr<Counters>> load_bpf_counters(const std::string& mount, int level);

/// The same of another object file, which a test has.
Result<std::unique_ptr<Counters>> load_bpf_counters(std::span<const unsigned char> object,
                                                    const std::string& mount, int level);

}  // namespace noded::stats
