// nodectl rename: gives a container another name.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int rename_container(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 2, .max = 2})) return *status;
    Payload<schema::RenameContainer> command;
    command.root.setContainer(call.arguments[0]);
    command.root.setName(call.arguments[1]);
    OR_FAIL_STATUS(call, call.session.wait_accepted(
                             call.session.submit(mint_command_id(), command)));
    return 0;
}

}  // namespace noded::nodectl
