// nodectl rmi: takes names from images; an image without names and containers goes.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {
namespace {

/// What the command did, in docker's words, from the events that it caused.
Status print_removed(Session& session, const Caused& caused) {
    if (caused.last == 0) return {};
    auto request = session.node().eventsRequest();
    request.setSince(caused.first);
    request.setMax(static_cast<uint32_t>(caused.last - caused.first + 1));
    const auto response = TRY(session.wait(request.send()));
    for (const auto event : response.getPage().getEvents()) {
        if (event.getSeq() > caused.last) break;
        const auto bytes = event.getPayload();
        capnp::FlatArrayMessageReader reader(
            words_of(bytes));
        if (event.getType() == capnp::typeId<schema::ImageUntagged>()) {
            print(std::string("Untagged: ") +
                  reader.getRoot<schema::ImageUntagged>().getName().cStr() + "\n");
        } else if (event.getType() == capnp::typeId<schema::ImageRemoved>()) {
            print(std::string("Deleted: ") + reader.getRoot<schema::ImageRemoved>().getId().cStr() +
                  "\n");
        }
    }
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
