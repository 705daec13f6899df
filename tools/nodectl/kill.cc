// nodectl kill: a signal to running containers, SIGKILL if none is named.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int kill_container(Invocation& call) {
    std::string signal = "SIGKILL";
    const Option options[] = {
        {'s', "signal", &signal, "string", "Signal to send to the container"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    Batch batch;
    for (const std::string& name : call.arguments) {
        Payload<schema::KillContainer> command;
        command.root.setContainer(name);
        command.root.setSignal(signal);
        batch.all.push_back({name, call.session.submit(mint_command_id(), command), std::nullopt});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
