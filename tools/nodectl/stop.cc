// nodectl stop: the container's stop signal, then SIGKILL after the grace period. Returns when they
// have stopped.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int stop(Invocation& call) {
    std::optional<int64_t> seconds;
    std::string signal;
    const Option options[] = {
        {'s', "signal", &signal, "string", "Signal to send to the container"},
        {'t', "time", &seconds, "int", "Seconds to wait before killing the container"},
        {0, "timeout", &seconds, "int", nullptr},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    OR_FAIL_STATUS(call, check_stop_seconds(seconds, "--time"));
    Batch batch;
    for (const std::string& name : call.arguments) {
        Payload<schema::StopContainer> command;
        command.root.setContainer(name);
        command.root.setSignal(signal);
        command.root.setTimeoutSeconds(static_cast<int32_t>(seconds.value_or(-1)));
        // The wait goes first: a container that is removed when it ends is no longer known
        // afterwards.
        auto waited = send_wait(call.session, name, Until::EXITED);
        batch.all.push_back(
            {name, call.session.submit(mint_command_id(), command), std::move(waited)});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
