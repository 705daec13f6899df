// nodectl attach: the streams of a container that runs, from now on. Ends with it and with its exit
// code, or when the user leaves with the detach keys; the container then goes on.
#include "plugins/container/shim/attach_frames.h"
#include "tools/nodectl/attached.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/detach_keys.h"

namespace noded::nodectl {
namespace {

struct AttachOptions {
    bool no_stdin = false;
    bool sig_proxy = true;
    std::string detach_keys = kDetachKeysDefault;
};

/// Docker's sentences for what has no streams to be attached to.
Status check_runs(const schema::ContainerState::Reader& state) {
    if (state.getPaused()) return fail("You cannot attach to a paused container, unpause it first");
    switch (state.getPhase()) {
        case schema::Phase::STARTING:
        case schema::Phase::RUNNING: return {};
        case schema::Phase::RESTARTING:
            return fail("You cannot attach to a restarting container, wait until it is running");
        case schema::Phase::REQUESTED:
        case schema::Phase::CREATED:
        case schema::Phase::EXITED:
        case schema::Phase::REMOVING: break;
    }
    return fail("You cannot attach to a stopped container, start it first");
}

int attach_to(Invocation& call, const AttachOptions& options, RelayOptions relay) {
    const auto inspected = OR_FAIL(call, inspect_one(call.session, call.arguments[0]));
    const auto state = inspected.getState();
    OR_FAIL_STATUS(call, check_runs(state));
    if (const auto status = aim(state.getSpec(), !options.no_stdin, relay)) return *status;
    uint32_t flags = attach_stdout | attach_stderr;
    if (relay.open_stdin) flags |= attach_stdin;
    const Finished finished = OR_FAIL(
        call, follow(call.session, state, flags, options.sig_proxy, std::move(relay)));
    return finished.detached ? 0 : finished.ended.code;
}

}  // namespace

int attach(Invocation& call) {
    AttachOptions options;
    const Option table[] = {
        {0, "detach-keys", &options.detach_keys, "string",
         "Key sequence for detaching (default \"ctrl-p,ctrl-q\")"},
        {0, "no-stdin", &options.no_stdin, "", "Do not attach STDIN"},
        {0, "sig-proxy", &options.sig_proxy, "",
         "Proxy received signals to the process (default true)"},
    };
    if (const auto status = call.parse(table, {.min = 1, .max = 1})) return *status;
    RelayOptions relay;
    relay.detach_keys = OR_FAIL(call, parse_detach_keys(options.detach_keys));
    return attach_to(call, options, std::move(relay));
}

}  // namespace noded::nodectl
