// Counters: what eBPF programs count in the kernel for each container, and what they read of its
// own figures (bpf/containers.bpf.c).
//
// Loaded when noded starts, so that they count from a container's first moment. Gone with the
// process: nothing is pinned, the kernel takes back programs whose descriptors are closed. Used on
// the offload lane, by one job at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "agent/base/result.h"
#include "plugins/stats/sample.h"

namespace noded::stats {

/// Where a container is in the kernel. Of the paths those may be empty that it does not have.
struct Watch {
    uint64_t cgroup_id = 0;            ///< of the v2 tree
    uint64_t blkio_id = 0;             ///< in a hierarchy of blkio; 0: it is the v2 tree
    int level = 0;                     ///< depth in the v2 tree
    std::string v2, cpu, memory, pids; ///< folders of its groups
    std::string network;               ///< of its namespace; empty: it is in the node's
};

class Counters {
public:
    using Table = std::unordered_map<uint64_t, Counted>;

    virtual ~Counters() = default;
    /// Begins to count for a container; harmless if it does already.
    virtual Status watch(const Watch& watch) = 0;
    virtual void forget(uint64_t cgroup_id) = 0;
    /// Attaches what costs on a hot path, or takes it away.
    virtual void follow_scheduler(bool follow) = 0;
    /// All that is watched, by cgroup id; valid until the next call. An entry stays where it is
    /// until its container is forgotten. `updated`: somebody has just brought up to date what
    /// reads_groups() speaks of. Then those who used no CPU since the last time are not looked at
    /// again.
    virtual const Table& read(bool updated = false) = 0;
    /// Whether read() fills Counted::group. The kernel brings what it tells up to date when
    /// somebody reads such files of a group above.
    virtual bool reads_groups() const = 0;
    /// What is counted, and what this kernel does not let be counted.
    virtual KernelState state() const = 0;
};

/// The kernel counts time used in user and system mode by ticks, and all of it exactly: the exact
/// sum is divided in this proportion, and neither part ever shrinks. As its own files do.
Cpu divide_cpu(uint64_t total_ns, uint64_t user_ticks_ns, uint64_t system_ticks_ns,
               const Cpu& before);

/// One program that the kernel refuses is left out, and the verifier's words are in the state.
/// `mount` is that of the v2 tree.
Result<std::unique_ptr<Counters>> load_bpf_counters(const std::string& mount);

/// Whether programs of packets read the kernel's structs without a call, which kernels before 6.2
/// do not let them. These have no program of figures either, and files are read instead.
enum class Casts : uint8_t { where_known, never };

/// The same of another object file or as on an older kernel, for tests.
Result<std::unique_ptr<Counters>> load_bpf_counters(std::span<const unsigned char> object,
                                                    const std::string& mount,
                                                    Casts casts = Casts::where_known);

}  // namespace noded::stats
