// nodectl restart: a stop and a start in one decision of the node. Returns when the new runs have
// begun.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int restart(Invocation& call) {
    std::optional<int64_t> seconds;
    std::string signal;
    const Option options[] = {
        {'s', "signal", &signal, "string", "Signal to send to the container"},
        {'t', "time", &seconds, "int", "Seconds to wait before killing the container"},
        {0, "timeout", &seconds, "int", nullptr},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    OR_FAIL_STATUS(call, check_stop_seconds(seconds, "--time"));
    std::vector<Submitted> submitted;
    for (const std::string& name : call.arguments) {
        Payload<schema::RestartContainer> command;
        command.root.setContainer(name);
        command.root.setSignal(signal);
        command.root.setTimeoutSeconds(static_cast<int32_t>(seconds.value_or(-1)));
        submitted.push_back(call.session.submit(mint_command_id(), command));
    }
    int status = 0;
    for (size_t i = 0; i < submitted.size(); i++) {
        const Status started =
            wait_started(call.session, call.arguments[i], std::move(submitted[i]));
        if (!started) status = call.failed(started.error());
    }
    return status;
}

}  // namespace noded::nodectl
