// nodectl create: a container that is not started yet. Prints its id.
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int create(Invocation& call) {
    ContainerOptions container;
    if (const auto status = call.parse(container.table({}), {.min = 1})) return *status;
    OR_FAIL_STATUS(call, container.make_cid_file());
    Payload<schema::CreateContainer> command;
    auto spec = command.root.initSpec();
    OR_FAIL_STATUS(call, container.take_host_name(call.session));
    OR_FAIL_STATUS(call, container.fill(spec, call.arguments));
    spec.setStdinOnce(container.interactive);
    const CommandId id = mint_command_id();
    OR_FAIL_STATUS(call, call.session.wait_accepted(call.session.submit(id, command)));
    container.write_cid_file(id.hex());
    print(id.hex() + "\n");
    return 0;
}

}  // namespace noded::nodectl
