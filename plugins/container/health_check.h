// HealthCheck: how the health of a container is found out, what its results mean, and what an
// unhealthy container brings upon itself.
//
// Pure. Part of a Spec, joined with the image's; the probes themselves are in health.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"

namespace noded::container {

using HealthStatus = schema::HealthStatus;

struct HealthCheck {
    /// "CMD" and an argument vector, "CMD-SHELL" and a line, or "NONE"; empty: not said
    std::vector<std::string> test;
    uint32_t interval_ms = 0;  ///< these five: 0 is the default
    uint32_t timeout_ms = 0;
    uint32_t start_period_ms = 0;
    uint32_t start_interval_ms = 0;
    uint32_t retries = 0;
    schema::HealthAction action = schema::HealthAction::NONE;

    static HealthCheck read(schema::HealthCheck::Reader in);
    void write(schema::HealthCheck::Builder out) const;
    Status check() const;
    bool enabled() const { return !test.empty() && test[0] != "NONE"; }
    /// What the container's first process would have to be to find out.
    std::vector<std::string> argv() const;
    /// What is not said is taken from the image.
    HealthCheck over(const HealthCheck& image) const;
    int64_t interval_ns(bool starting) const;
    int64_t timeout_ns() const;
    bool operator==(const HealthCheck&) const = default;
};

/// Where a container stands with its probes.
struct Health {
    HealthStatus status = HealthStatus::NONE;
    uint32_t failing_streak = 0;
    bool operator==(const Health&) const = default;
};

/// After one more probe; `age_ns` is the time since the start.
Health judge(const HealthCheck& check, Health before, bool passed, int64_t age_ns);

}  // namespace noded::container
