// linux.seccomp of a configuration: the filter, its flags, and the agent that is told of system
// calls (listenerPath). Profile and compiler are the same as of noded's containers.
#pragma once

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "plugins/container/noci/container.h"
#include "plugins/container/noci/init/plan.h"
#include "plugins/container/noci/json_view.h"

namespace noded::noci {

struct SeccompFilter {
    Buffer program;      ///< sock_filter array
    uint32_t flags = 0;  ///< SECCOMP_FILTER_FLAG_*
    /// Of a filter that notifies: what a process under it may wait in.
    FilteredWait wait = FilteredWait::none;
};

Result<SeccompFilter> compile_seccomp(const Json& seccomp, uint64_t capabilities);
/// Hands the descriptor of notifications to the agent, with the container's state and the metadata.
Status send_listener(const Json& seccomp, const Container& container, int listener);

std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_flags();
std::vector<std::string> seccomp_architectures();
std::string libseccomp_version();

}  // namespace noded::noci
