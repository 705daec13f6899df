// nodectl rmi: takes names from images; an image without names and containers goes.
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/image_call.h"

namespace noded::nodectl {
namespace {

/// What the command did, in docker's words.
Status print_removed(Session& session, const Caused& caused) {
    const ImagesGone gone = TRY(images_gone(session, caused));
    for (const std::string& name : gone.untagged) print("Untagged: " + name + "\n");
    for (const std::string& id : gone.deleted) print("Deleted: " + id + "\n");
    return {};
}

}  // namespace

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
        const auto caused = call.session.wait_caused(std::move(submitted[i]));
        const Status done =
            caused ? print_removed(call.session, *caused) : std::unexpected(caused.error());
        if (!done) status = call.failed(done.error());
    }
    return status;
}

}  // namespace noded::nodectl
