// nodectl pause and unpause: stop all processes of running containers where they are, and let them
// go on. Return when it is so.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {
namespace {

template <typename Command>
int change(Invocation& call, Until until) {
    if (const auto status = call.parse({}, {.min = 1})) return *status;
    Batch batch;
    for (const std::string& name : call.arguments) {
        Payload<Command> command;
        command.root.setContainer(name);
        // The wait goes first, so that a failure cannot be over before it is waited for.
        auto waited = send_wait(call.session, name, until);
        batch.all.push_back({name, call.session.submit(mint_command_id(), command),
                             std::move(waited), true});
    }
    return batch.finish(call);
}

}  // namespace

int pause_container(Invocation& call) {
    return change<schema::PauseContainer>(call, Until::PAUSED);
}

int unpause_container(Invocation& call) {
    return change<schema::UnpauseContainer>(call, Until::UNPAUSED);
}

}  // namespace noded::nodectl
