// Restart policies as docker writes them: "no", "on-failure", "on-failure:5", "always",
// "unless-stopped". Pure. Read by run, create and update, written by inspect.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"

namespace noded::nodectl {

struct RestartText {
    std::string policy;     ///< empty: not said
    std::string delay;      ///< Go durations; of the first wait, and of the longest
    std::string delay_max;

    bool any() const { return !policy.empty() || !delay.empty() || !delay_max.empty(); }
    Status fill(schema::RestartPolicy::Builder out) const;
};

const char* restart_name(schema::RestartKind kind);

}  // namespace noded::nodectl
