// nodectl start: starts containers that were created or have exited; one of them can be attached
// to.
#include "plugins/container/shim/attach_frames.h"
#include "tools/nodectl/attached.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/detach_keys.h"

namespace noded::nodectl {
namespace {

Submitted send_start(Session& session, const std::string& container) {
    Payload<schema::StartContainer> command;
    command.root.setContainer(container);
    return session.submit(mint_command_id(), command);
}

int start_attached(Invocation& call, bool interactive, bool sig_proxy, RelayOptions relay) {
    const auto inspected = OR_FAIL(call, inspect_one(call.session, call.arguments[0]));
    const auto state = inspected.getState();
    if (const auto status = aim(state.getSpec(), interactive, relay)) return *status;
    // The stream goes first: some containers have ended before a second call could come.
    const auto start = [&] {
        return call.session.wait_accepted(send_start(call.session, state.getId().cStr()));
    };
    const Finished finished = OR_FAIL(
        call, follow(call.session, state, attach_from_start, sig_proxy, std::move(relay), start));
    if (finished.detached) return 0;
    if (finished.ended.start_failed) call.failed(Error{0, finished.ended.error});
    return finished.ended.code;
}

}  // namespace

int start(Invocation& call) {
    bool attach = false;
    bool interactive = false;
    bool sig_proxy = true;
    std::string detach_keys = kDetachKeysDefault;
    const Option options[] = {
        {'a', "attach", &attach, "", "Attach STDOUT/STDERR"},
        {0, "detach-keys", &detach_keys, "string",
         "Key sequence for detaching (default \"ctrl-p,ctrl-q\")"},
        {'i', "interactive", &interactive, "", "Attach container's STDIN"},
        {0, "sig-proxy", &sig_proxy, "", "Proxy received signals to the process (default true)"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (attach || interactive) {
        if (call.arguments.size() > 1)
            return call.failed(Error{0, "you cannot start and attach multiple containers at once"});
        RelayOptions relay;
        relay.detach_keys = OR_FAIL(call, parse_detach_keys(detach_keys));
        return start_attached(call, interactive, sig_proxy, std::move(relay));
    }
    std::vector<Submitted> submitted;
    for (const std::string& name : call.arguments)
        submitted.push_back(send_start(call.session, name));
    std::string failures;
    for (size_t i = 0; i < submitted.size(); i++) {
        const Status started =
            wait_started(call.session, call.arguments[i], std::move(submitted[i]));
        if (started) continue;
        call.failed(started.error());
        failures += (failures.empty() ? "" : ", ") + call.arguments[i];
    }
    return failures.empty() ? 0 : call.failed({0, "failed to start containers: " + failures});
}

}  // namespace noded::nodectl
