// HealthCheck and its rules, see health_check.h. The defaults are docker's.
#include "plugins/container/health_check.h"

#include "plugins/container/limits.h"
#include "plugins/container/spec.h"

namespace noded::container {

namespace {

constexpr uint32_t kIntervalMs = 30'000;
constexpr uint32_t kStartIntervalMs = 5'000;
constexpr uint32_t kTimeoutMs = 30'000;
constexpr uint32_t kRetries = 3;

int64_t ns_of(uint32_t milliseconds, uint32_t otherwise) {
    return int64_t(milliseconds != 0 ? milliseconds : otherwise) * 1'000'000;
}

}  // namespace

HealthCheck HealthCheck::read(schema::HealthCheck::Reader in) {
    HealthCheck out;
    out.test = to_strings(in.getTest());
    out.interval_ms = in.getIntervalMs();
    out.timeout_ms = in.getTimeoutMs();
    out.start_period_ms = in.getStartPeriodMs();
    out.start_interval_ms = in.getStartIntervalMs();
    out.retries = in.getRetries();
    out.action = in.getAction();
    return out;
}

void HealthCheck::write(schema::HealthCheck::Builder out) const {
    write_strings(test, [&](unsigned n) { return out.initTest(n); });
    out.setIntervalMs(interval_ms);
    out.setTimeoutMs(timeout_ms);
    out.setStartPeriodMs(start_period_ms);
    out.setStartIntervalMs(start_interval_ms);
    out.setRetries(retries);
    out.setAction(action);
}

Status HealthCheck::check() const {
    TRY_STATUS(check_strings(test, limits::argv_count_max, limits::health_test_bytes_max,
                             "the health check"));
    if (!test.empty() && test[0] != "CMD" && test[0] != "CMD-SHELL" && test[0] != "NONE")
        return fail("Unknown healthcheck type '" + test[0] + "' (expected 'CMD')");
    if (!test.empty() && test[0] != "NONE" && (test.size() < 2 || test[1].empty()))
        return fail("the health check names no command");
    for (const uint32_t time : {interval_ms, timeout_ms, start_period_ms, start_interval_ms})
        if (time > limits::health_time_ms_max)
            return fail("a time of the health check is longer than a day");
    if (action > schema::HealthAction::STOP)
        return fail("invalid health-on-failure: this node knows none, kill, restart and stop");
    return {};
}

std::vector<std::string> HealthCheck::argv() const {
    if (test[0] == "CMD-SHELL") return {"/bin/sh", "-c", test[1]};
    return {test.begin() + 1, test.end()};
}

HealthCheck HealthCheck::over(const HealthCheck& image) const {
    HealthCheck out = *this;
    if (out.test.empty()) out.test = image.test;
    if (out.interval_ms == 0) out.interval_ms = image.interval_ms;
    if (out.timeout_ms == 0) out.timeout_ms = image.timeout_ms;
    if (out.start_period_ms == 0) out.start_period_ms = image.start_period_ms;
    if (out.start_interval_ms == 0) out.start_interval_ms = image.start_interval_ms;
    if (out.retries == 0) out.retries = image.retries;
    return out.enabled() ? out : HealthCheck{};
}

int64_t HealthCheck::interval_ns(bool starting) const {
    if (starting && start_period_ms != 0) return ns_of(start_interval_ms, kStartIntervalMs);
    return ns_of(interval_ms, kIntervalMs);
}

int64_t HealthCheck::timeout_ns() const { return ns_of(timeout_ms, kTimeoutMs); }

/// A container that was never healthy is given its start period.
Health judge(const HealthCheck& check, Health before, bool passed, int64_t age_ns) {
    if (passed) return {HealthStatus::HEALTHY, 0};
    const bool excused = before.status == HealthStatus::STARTING &&
                         age_ns < int64_t(check.start_period_ms) * 1'000'000;
    if (excused) return before;
    Health after = before;
    after.failing_streak += 1;
    if (after.failing_streak >= (check.retries != 0 ? check.retries : kRetries))
        after.status = HealthStatus::UNHEALTHY;
    return after;
}

}  // namespace noded::container
