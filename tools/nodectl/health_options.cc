// See health_options.h. The sentences are docker's.
#include "tools/nodectl/health_options.h"

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;

Result<uint32_t> milliseconds(const std::string& text, const char* flag, const char* name) {
    if (text.empty()) return 0;
    if (text.starts_with('-') && parse_duration(text.substr(1)))
        return fail("--" + std::string(flag) + " cannot be negative");
    const auto ns = parse_duration(text);
    if (!ns || *ns / kMillisecondNs > UINT32_MAX)
        return fail("invalid argument \"" + text + "\" for \"--" + flag +
                    "\" flag: time: invalid duration \"" + text + "\"");
    if (*ns < 0) return fail("--" + std::string(flag) + " cannot be negative");
    if (*ns > 0 && *ns < kMillisecondNs)
        return fail(std::string(name) + " in Healthcheck cannot be less than 1ms");
    return static_cast<uint32_t>(*ns / kMillisecondNs);
}

Result<schema::HealthAction> action_of(const std::string& text) {
    using schema::HealthAction;
    if (text.empty() || text == "none") return HealthAction::NONE;
    if (text == "kill") return HealthAction::KILL;
    if (text == "restart") return HealthAction::RESTART;
    if (text == "stop") return HealthAction::STOP;
    return fail("invalid argument \"" + text +
                "\" for \"--health-on-failure\" flag: it is none, kill, restart or stop");
}

const char* action_name(schema::HealthAction action) {
    switch (action) {
        case schema::HealthAction::NONE: return "none";
        case schema::HealthAction::KILL: return "kill";
        case schema::HealthAction::RESTART: return "restart";
        case schema::HealthAction::STOP: return "stop";
    }
    return "none";
}

}  // namespace

std::vector<Option> HealthOptions::table() {
    return {
        {0, "health-cmd", &command, "string", "Command to run to check health"},
        {0, "health-interval", &interval, "duration",
         "Time between running the check (ms|s|m|h) (default 30s)"},
        {0, "health-on-failure", &on_failure, "string",
         "What to do when it becomes unhealthy: none, kill, restart, stop (default \"none\")"},
        {0, "health-retries", &retries, "int", "Consecutive failures needed to report unhealthy"},
        {0, "health-start-interval", &start_interval, "duration",
         "Time between running the check during the start period (default 5s)"},
        {0, "health-start-period", &start_period, "duration",
         "Start period for the container to initialize before failures count"},
        {0, "health-timeout", &timeout, "duration",
         "Maximum time to allow one check to run (default 30s)"},
        {0, "no-healthcheck", &none, "", "Disable any container-specified HEALTHCHECK"},
    };
}

bool HealthOptions::any() const {
    return !command.empty() || !interval.empty() || !timeout.empty() || !start_period.empty() ||
           !start_interval.empty() || retries || !on_failure.empty() || none;
}

Status HealthOptions::fill(schema::HealthCheck::Builder out) const {
    if (none) {
        HealthOptions others = *this;
        others.none = false;
        if (others.any()) return fail("--no-healthcheck conflicts with --health-* options");
        out.initTest(1).set(0, "NONE");
        return {};
    }
    if (!command.empty()) {
        auto test = out.initTest(2);
        test.set(0, "CMD-SHELL");
        test.set(1, command);
    }
    out.setIntervalMs(TRY(milliseconds(interval, "health-interval", "Interval")));
    out.setTimeoutMs(TRY(milliseconds(timeout, "health-timeout", "Timeout")));
    out.setStartPeriodMs(TRY(milliseconds(start_period, "health-start-period", "StartPeriod")));
    out.setStartIntervalMs(
        TRY(milliseconds(start_interval, "health-start-interval", "StartInterval")));
    if (retries.value_or(0) < 0) return fail("--health-retries cannot be negative");
    if (retries.value_or(0) > INT32_MAX) return fail("--health-retries is too large");
    out.setRetries(static_cast<uint32_t>(retries.value_or(0)));
    out.setAction(TRY(action_of(on_failure)));
    return {};
}

const char* health_name(schema::HealthStatus status) {
    switch (status) {
        case schema::HealthStatus::NONE: return "none";
        case schema::HealthStatus::STARTING: return "starting";
        case schema::HealthStatus::HEALTHY: return "healthy";
        case schema::HealthStatus::UNHEALTHY: return "unhealthy";
    }
    return "none";
}

Json health_json(const schema::HealthState::Reader& health) {
    Json log = Json::array();
    for (const auto probe : health.getLog())
        log.push_back({{"Start", rfc3339_short(probe.getStartNs())},
                       {"End", rfc3339_short(probe.getEndNs())},
                       {"ExitCode", probe.getExitCode()},
                       {"Output", probe.getOutput().cStr()}});
    return {{"Status", health_name(health.getStatus())},
            {"FailingStreak", health.getFailingStreak()},
            {"Log", std::move(log)}};
}

Json health_check_json(const schema::HealthCheck::Reader& check) {
    Json test = Json::array();
    for (const auto text : check.getTest()) test.push_back(text.cStr());
    Json out = {{"Test", std::move(test)}};
    const auto add = [&](const char* name, uint32_t milliseconds) {
        if (milliseconds != 0) out[name] = int64_t(milliseconds) * kMillisecondNs;
    };
    add("Interval", check.getIntervalMs());
    add("Timeout", check.getTimeoutMs());
    add("StartPeriod", check.getStartPeriodMs());
    add("StartInterval", check.getStartIntervalMs());
    if (check.getRetries() != 0) out["Retries"] = check.getRetries();
    if (check.getAction() != schema::HealthAction::NONE)
        out["OnFailure"] = action_name(check.getAction());
    return out;
}

}  // namespace noded::nodectl
