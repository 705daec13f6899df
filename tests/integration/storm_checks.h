// What must hold after a storm of verbs (storm_test): the history is whole, state and kernel agree,
// and nothing is left.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/integration/test_node.h"

namespace noded::test {

/// Every intent has its outcome, once. `events` is `nodectl events -o json` of a node whose
/// containers were all removed. A sentence for each one that has not.
std::vector<std::string> history_faults(const std::string& events);

/// Of each container that runs the process is there, in its cgroup; of the others there is none.
/// Sentences; state moves, so a fault counts only when it stays.
std::vector<std::string> agreement_faults(const TestNode& node);

/// What a node had at some time, and what of it still is there.
class StormTraces {
public:
    explicit StormTraces(const TestNode& node) : node_(node) {}

    /// Notes the children of noded and the cgroups of the node. Before noded is killed.
    void note();
    /// All that should be gone and is not; the node must run, without a container.
    std::vector<std::string> left() const;
    /// The folders MOUNT/noded/NODE of the node that are there.
    std::vector<std::string> cgroup_parents() const;

private:
    const TestNode& node_;
    std::map<pid_t, std::string> children_;  ///< start times, for numbers are used again
    std::string group_;                      ///< NODE; empty before any container was seen
};

/// What the descriptors are that a process has open, sorted; without those of BPF, which a plugin
/// loads when somebody asks it for the first time.
std::vector<std::string> open_descriptors(pid_t pid);

}  // namespace noded::test
