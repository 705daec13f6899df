// nodectl run: creates a container and starts it. Everything is sent at once: the attach stream,
// the command, and the wait for its outcome, all under the id that is minted here; so a run costs
// one way there and one back.
#include "tools/nodectl/attached.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/detach_keys.h"

namespace noded::nodectl {
namespace {

struct RunOptions {
    ContainerOptions container;
    bool detach = false;
    bool sig_proxy = true;
    std::string detach_keys = kDetachKeysDefault;
};

/// With -a stdin alone the input is handed over, and what becomes of it is not waited for.
RelayOptions relay_options(const ContainerOptions& container) {
    RelayOptions relay;
    relay.tty = container.tty;
    relay.open_stdin = container.interactive;
    relay.show_stdout = container.attaches("stdout");
    relay.show_stderr = container.attaches("stderr");
    relay.leave_at_input_end = relay.open_stdin && !relay.show_stdout && !relay.show_stderr;
    return relay;
}

int start_failed(Invocation& call, const Ended& how) {
    call.failed(Error{how.code, how.error});
    return how.code != 0 ? how.code : kRunFailed;
}

int run_detached(Invocation& call, ContainerOptions& container, const std::string& id,
                 Submitted submitted) {
    auto waited = ended(send_wait(call.session, id, Until::STARTED));
    OR_FAIL_STATUS(call, call.session.wait_accepted(std::move(submitted)));
    container.write_cid_file(id);
    const Ended how = OR_FAIL(call, call.session.wait<Ended>(kj::mv(waited)));
    if (how.start_failed) return start_failed(call, how);
    print(id + "\n");
    return 0;
}

int run_attached(Invocation& call, RunOptions& options, const CommandId& id,
                 Payload<schema::RunContainer>& command, RelayOptions relay) {
    ContainerOptions& container = options.container;
    const std::string hex = id.hex();
    const bool silent = !relay.show_stdout && !relay.show_stderr;
    SignalForwarder signals(call.session, hex);
    if (options.sig_proxy && !container.tty) relay.on_signal = signals.handler();

    Payload<schema::Container::AttachParams> params;
    params.root.setContainer(hex);
    const auto attachment = OR_FAIL(
        call, Attachment::begin(call.session, "attach", params, std::move(relay)));
    auto submitted = call.session.submit(id, command);
    auto waited =
        ended(send_wait(call.session, hex, container.auto_remove ? Until::REMOVED : Until::EXITED));
    OR_FAIL_STATUS(call, call.session.wait_accepted(std::move(submitted)));
    container.write_cid_file(hex);
    if (silent) print(hex + "\n");
    OR_FAIL_STATUS(call, attachment->relay().begin_input());

    const Finished finished = OR_FAIL(call, attachment->finish(kj::mv(waited)));
    if (finished.detached) return 0;
    if (finished.ended.start_failed) return start_failed(call, finished.ended);
    return silent ? 0 : finished.ended.code;   // as docker's: of what is not shown nothing is told
}

}  // namespace

int run(Invocation& call) {
    RunOptions options;
    const auto table = options.container.table({
        {'d', "detach", &options.detach, "", "Run container in background and print container ID"},
        {0, "detach-keys", &options.detach_keys, "string",
         "Key sequence for detaching (default \"ctrl-p,ctrl-q\")"},
        {0, "sig-proxy", &options.sig_proxy, "",
         "Proxy received signals to the process (default true)"},
    });
    if (const auto status = call.parse(table, {.min = 1})) return *status;
    ContainerOptions& container = options.container;
    RelayOptions relay = relay_options(container);
    relay.detach_keys = OR_FAIL(call, parse_detach_keys(options.detach_keys));
    if (options.detach && !container.attach.empty())
        return print_error("Conflicting options: -a and -d"), kFailed;   // not the 125 of a run
    if (!options.detach) {
        if (const auto status = check_terminal(container.tty, container.interactive))
            return *status;
    }
    OR_FAIL_STATUS(call, container.make_cid_file());

    Payload<schema::RunContainer> command;
    auto spec = command.root.initSpec();
    OR_FAIL_STATUS(call, container.take_host_name(call.session));
    OR_FAIL_STATUS(call, container.fill(spec, call.arguments));
    spec.setStdinOnce(container.interactive && !options.detach);
    if (options.detach) spec.setUnattached(1 | 2 | 4);
    const CommandId id = mint_command_id();
    if (options.detach)
        return run_detached(call, container, id.hex(), call.session.submit(id, command));
    return run_attached(call, options, id, command, std::move(relay));
}

}  // namespace noded::nodectl
