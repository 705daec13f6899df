// nodectl rename: gives a container another name.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int rename_container(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 2, .max = 2})) return *status;
    Payload<schema::RenameContainer> command;
    command.root.setContainer(call.arguments[0]);
    command.root.setName(call.arguments[1]);
    const Status renamed =
        call.session.wait_accepted(call.session.submit(mint_command_id(), command));
    if (renamed) return 0;
    call.failed(renamed.error());
    return call.failed(Error{0, "failed to rename container named " + call.arguments[0]});
}

}  // namespace noded::nodectl
