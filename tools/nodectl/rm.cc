// nodectl rm: removes containers. Returns when nothing of them is left.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int rm(Invocation& call) {
    bool force = false;
    bool volumes = false;
    bool link = false;
    const Option options[] = {
        {'f', "force", &force, "", "Force the removal of a running container (uses SIGKILL)"},
        {'l', "link", &link, "", nullptr},
        {'v', "volumes", &volumes, "", "Remove anonymous volumes too (they always are)"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (link)
        return call.failed(Error{0, "--link: this node has no links: leave it away to remove the "
                                    "container itself"});
    Batch batch;
    batch.missing_is_fine = force;
    for (const std::string& name : call.arguments) {
        Payload<schema::RemoveContainer> command;
        command.root.setContainer(name);
        command.root.setForce(force);
        // The wait goes first: afterwards its name is no longer known.
        auto waited = send_wait(call.session, name, Until::REMOVED);
        batch.all.push_back(
            {name, call.session.submit(mint_command_id(), command), std::move(waited)});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
