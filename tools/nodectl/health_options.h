// The health check that run and create ask for, in docker's flags. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"
#include "tools/nodectl/json.h"
#include "tools/nodectl/options.h"

namespace noded::nodectl {

struct HealthOptions {
    std::string command;
    std::string interval;  ///< these four: Go durations
    std::string timeout;
    std::string start_period;
    std::string start_interval;
    std::optional<int64_t> retries;
    std::string on_failure;
    bool none = false;

    std::vector<Option> table();
    bool any() const;
    Status fill(schema::HealthCheck::Builder out) const;
};

const char* health_name(schema::HealthStatus status);
/// State.Health of inspect, and Config.Healthcheck.
Json health_json(const schema::HealthState::Reader& health);
Json health_check_json(const schema::HealthCheck::Reader& check);

}  // namespace noded::nodectl
