// What this machine gives noded: descriptors, processes, memory, namespaces, keyrings, terminals
// and watches, as limits of the process, of its cgroups and of the kernel bound them. Looked at
// once, at the start; what is too little for a full node is a sentence that says what to do.
//
// Reads /proc and cgroup files below `root`, which is "" but in tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace noded {

struct MachineLimits {
    /// descriptors of noded; UINT64_MAX: not limited, of all of these
    uint64_t files_max = 0;
    uint64_t processes_max = 0;   ///< beside it: shims are in its cgroup, containers are not
    uint64_t shims_max = 0;
    uint64_t memory_max = 0;      ///< bytes
    uint64_t namespaces_max = 0;  ///< of each kind
    std::vector<std::string> warnings;
};

/// What 1,000 running containers need.
struct FullNode {
    static constexpr uint64_t containers = 1000;
    static constexpr uint64_t files = 8 * containers;         ///< sockets, pidfds, clients, logs
    static constexpr uint64_t shims = containers + 256;       ///< with helpers and spares
    static constexpr uint64_t processes = 8 * containers;     ///< and theirs
    static constexpr uint64_t memory_bytes = 512ull << 20;    ///< noded and shims alone
    static constexpr uint64_t namespaces = containers + 256;
    static constexpr uint64_t keyrings = containers + 256;
    static constexpr uint64_t terminals = containers;         ///< if all were begun with -t
    static constexpr uint64_t watches = containers + 64;      ///< of logs that are followed
    static constexpr uint64_t watchers = 8;                   ///< with other programs of root's
};

MachineLimits look_at_machine(const std::string& root = "");

}  // namespace noded
