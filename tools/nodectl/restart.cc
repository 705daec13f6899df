// nodectl restart: a stop and a start in one decision of the node. Returns when the new runs have
// begun.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int restart(Invocation& call) {
    StopOptions options;
    if (const auto status = options.parse(call)) return *status;
    std::vector<Submitted> submitted;
    for (const std::string& name : call.arguments) {
        Payload<schema::RestartContainer> command;
        options.fill(command.root, name);
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
