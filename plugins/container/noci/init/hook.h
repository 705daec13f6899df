// One hook of an OCI configuration: a program that is given the container's state on its standard
// input. Run by noci in its own namespaces and by the first process in the container's, so it uses
// nothing but system calls.
#pragma once

#include "plugins/container/shim/sys.h"
#include "plugins/container/shim/text.h"

namespace noded::noci {

constexpr size_t hook_output_bytes_max = 512;

struct HookCall {
    const char* path;
    const char* const* arguments;    ///< ends with nullptr
    const char* const* environment;  ///< likewise
    uint32_t timeout_seconds;        ///< 0: as long as it takes
    int state_fd;                    ///< a memfd with the state
};

/// Ends when the hook has ended. False: it could not be run, did not end with 0, or was killed
/// because its time was over; the sentence says which, and what it wrote.
bool run_hook(const HookCall& call, shim::Text<1024>* error);

}  // namespace noded::noci
