// RestartPolicy: whether a run that ended is followed by another one, and when.
//
// Pure. Part of a Spec; asked by decide when a run ends. The waiting doubles from one restart to
// the next, so that a container that cannot run costs next to nothing, and begins anew after a run
// that lasted.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"

namespace noded::container {

struct RestartPolicy {
    schema::RestartKind kind = schema::RestartKind::NO;
    uint32_t retries_max = 0;   ///< of on-failure; 0: no limit
    uint32_t delay_ms = 0;      ///< before the first restart; 0: the default
    uint32_t delay_max_ms = 0;  ///< likewise

    static RestartPolicy read(schema::RestartPolicy::Reader in);
    void write(schema::RestartPolicy::Builder out) const;
    /// A sentence in docker's words.
    Status check() const;
    bool operator==(const RestartPolicy&) const = default;
};

/// A run that ended.
struct RunEnd {
    uint32_t exit_code = 0;
    int64_t lasted_ns = 0;
    uint32_t restarts = 0;          ///< by policy, before this run
    uint32_t last_delay_ms = 0;     ///< before this run; 0 if it was not a restart by policy
    bool stopped_by_user = false;
};

/// How long to wait before the next run; nothing if there shall be none.
std::optional<uint32_t> restart_delay_ms(const RestartPolicy& policy, const RunEnd& end);

}  // namespace noded::container
