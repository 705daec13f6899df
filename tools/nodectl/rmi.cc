// nodectl rmi: takes names from images; an image without names and containers goes.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int rmi(Invocation& call) {
    bool force = false;
    bool no_prune = false;
    const Option options[] = {
        {'f', "force", &force, "", "Force removal of the image, also with several names"},
        {0, "no-prune", &no_prune, "", nullptr},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    std::vector<Submitted> submitted;
    for (const std::string& name : call.arguments) {
        Payload<schema::RemoveImage> command;
        command.root.setReference(name);
        command.root.setForce(force);
        submitted.push_back(call.session.submit(mint_command_id(), command));
    }
    int status = 0;
    for (size_t i = 0; i < submitted.size(); i++) {
        const Status done = call.session.wait_accepted(std::move(submitted[i]));
        if (done) print("Removed: " + call.arguments[i] + "\n");
        if (!done) status = call.failed(done.error());
    }
    return status;
}

}  // namespace noded::nodectl
