// See restart_policy.h. The sentences are docker's.
#include "tools/nodectl/restart_policy.h"

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

using schema::RestartKind;

constexpr RestartKind kKinds[] = {RestartKind::NO, RestartKind::ON_FAILURE, RestartKind::ALWAYS,
                                  RestartKind::UNLESS_STOPPED};

Result<uint32_t> milliseconds(const std::string& text, const char* flag) {
    constexpr int64_t kMillisecondNs = 1'000'000;
    const auto ns = parse_duration(text);
    if (!ns || *ns < kMillisecondNs || *ns / kMillisecondNs > INT32_MAX)
        return fail("invalid argument \"" + text + "\" for \"--" + flag +
                    "\" flag: it is a duration of at least 1ms, such as 100ms or 1m30s");
    return static_cast<uint32_t>(*ns / kMillisecondNs);
}

}  // namespace

const char* restart_name(RestartKind kind) {
    switch (kind) {
        case RestartKind::NO: return "no";
        case RestartKind::ON_FAILURE: return "on-failure";
        case RestartKind::ALWAYS: return "always";
        case RestartKind::UNLESS_STOPPED: return "unless-stopped";
    }
    return "no";
}

Status RestartText::fill(schema::RestartPolicy::Builder out) const {
    const size_t colon = std::min(policy.find(':'), policy.size());
    const std::string name = policy.substr(0, colon);
    if (name.empty() && colon < policy.size())
        return fail("invalid restart policy format: no policy provided before colon");
    bool known = name.empty();
    for (const RestartKind kind : kKinds) {
        if (name != restart_name(kind)) continue;
        out.setKind(kind);
        known = true;
    }
    if (!known) return fail("invalid restart policy '" + name + "'");
    if (colon < policy.size()) {
        const auto count = parse_number(policy.substr(colon + 1));
        if (!count || *count > INT32_MAX)
            return fail("invalid restart policy format: maximum retry count must be an integer");
        if (out.getKind() != RestartKind::ON_FAILURE)
            return fail("maximum retry count cannot be used with restart policy '" + name + "'");
        out.setRetriesMax(static_cast<uint32_t>(*count));
    }
    if (!delay.empty()) out.setDelayMs(TRY(milliseconds(delay, "restart-delay")));
    if (!delay_max.empty()) out.setDelayMaxMs(TRY(milliseconds(delay_max, "restart-delay-max")));
    return {};
}

}  // namespace noded::nodectl
