// RestartPolicy and its rules, see restart.h.
#include "plugins/container/restart.h"

#include <algorithm>

#include "plugins/container/limits.h"

namespace noded::container {

using schema::RestartKind;

RestartPolicy RestartPolicy::read(schema::RestartPolicy::Reader in) {
    return {in.getKind(), in.getRetriesMax(), in.getDelayMs(), in.getDelayMaxMs()};
}

void RestartPolicy::write(schema::RestartPolicy::Builder out) const {
    out.setKind(kind);
    out.setRetriesMax(retries_max);
    out.setDelayMs(delay_ms);
    out.setDelayMaxMs(delay_max_ms);
}

Status RestartPolicy::check() const {
    if (kind > RestartKind::UNLESS_STOPPED)
        return fail("invalid restart policy: this node knows no, on-failure, always and "
                    "unless-stopped");
    if (retries_max > 0 && kind != RestartKind::ON_FAILURE)
        return fail("maximum retry count can only be used with 'on-failure'");
    if (delay_ms > limits::restart_delay_ms_max || delay_max_ms > limits::restart_delay_ms_max)
        return fail("a restart can be delayed by at most " +
                    std::to_string(limits::restart_delay_ms_max / 1000) + " seconds");
    if (delay_max_ms != 0 && delay_max_ms < delay_ms)
        return fail("the longest delay of a restart is shorter than the first one");
    return {};
}

namespace {

bool wants_restart(const RestartPolicy& policy, const RunEnd& end) {
    if (end.stopped_by_user) return false;
    switch (policy.kind) {
        case RestartKind::NO: return false;
        case RestartKind::ON_FAILURE:
            return end.exit_code != 0 &&
                   (policy.retries_max == 0 || end.restarts < policy.retries_max);
        case RestartKind::ALWAYS:
        case RestartKind::UNLESS_STOPPED: return true;
    }
    return false;
}

}  // namespace

std::optional<uint32_t> restart_delay_ms(const RestartPolicy& policy, const RunEnd& end) {
    if (!wants_restart(policy, end)) return std::nullopt;
    const uint64_t first = policy.delay_ms != 0 ? policy.delay_ms : limits::restart_delay_ms_first;
    const uint64_t longest = std::max<uint64_t>(
        first, policy.delay_max_ms != 0 ? policy.delay_max_ms : limits::restart_delay_ms_longest);
    const bool lasted = end.lasted_ns >= limits::restart_reset_ns;
    if (lasted || end.last_delay_ms == 0) return uint32_t(first);
    return uint32_t(std::min<uint64_t>(2 * uint64_t(end.last_delay_ms), longest));
}

}  // namespace noded::container
