// nodectl stop: the container's stop signal, then SIGKILL after the grace period. Returns when they
// have stopped.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int stop(Invocation& call) {
    StopOptions options;
    if (const auto status = options.parse(call)) return *status;
    Batch batch;
    for (const std::string& name : call.arguments) {
        Payload<schema::StopContainer> command;
        options.fill(command.root, name);
        // The wait goes first: a container that is removed when it ends is no longer known
        // afterwards.
        auto waited = send_wait(call.session, name, Until::EXITED);
        batch.all.push_back(
            {name, call.session.submit(mint_command_id(), command), std::move(waited)});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
