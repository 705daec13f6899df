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
    const auto spec = state.getSpec();
    const std::string id = state.getId().cStr();
    relay.tty = spec.getTty();
    relay.open_stdin = interactive && spec.getOpenStdin();
    // docker's rule: of one that was made to run in the background, input stays open for the next.
    relay.ends_input = spec.getStdinOnce();
    if (const auto status = check_terminal(relay.tty, relay.open_stdin)) return *status;
    SignalForwarder signals(call.session, id);
    if (sig_proxy && !relay.tty) relay.on_signal = signals.handler();

    // A stopped container can not be attached to, so that comes second; what was written meanwhile
    // is asked for.
    OR_FAIL_STATUS(call, call.session.wait_accepted(send_start(call.session, id)));
    Payload<schema::Container::AttachParams> params;
    params.root.setContainer(id);
    params.root.setFlags(attach_from_start);
    const auto attachment =
        OR_FAIL(call, Attachment::begin(call.session, "attach", params, std::move(relay)));
    auto waited =
        ended(send_wait(call.session, id, spec.getAutoRemove() ? Until::REMOVED : Until::EXITED));
    OR_FAIL_STATUS(call, attachment->relay().begin_input());
    const Finished finished = OR_FAIL(call, attachment->finish(kj::mv(waited)));
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
