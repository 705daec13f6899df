// nodectl tag: another name for an image.
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int tag(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 2, .max = 2})) return *status;
    Payload<schema::TagImage> command;
    command.root.setSource(call.arguments[0]);
    command.root.setTarget(call.arguments[1]);
    OR_FAIL_STATUS(call,
                   call.session.wait_accepted(call.session.submit(mint_command_id(), command)));
    return 0;
}

}  // namespace noded::nodectl
