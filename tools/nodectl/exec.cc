// nodectl exec: runs a command in a running container. Sent at once, like run.
#include "tools/nodectl/attached.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/detach_keys.h"
#include "tools/nodectl/terminal.h"

namespace noded::nodectl {
namespace {

struct ExecOptions {
    bool detach = false;
    bool interactive = false;
    bool tty = false;
    std::vector<std::string> env;
    std::vector<std::string> env_files;
    std::string working_dir;
    std::string user;
    std::string detach_keys = kDetachKeysDefault;
    bool privileged = false;
};

Status fill(schema::ExecContainer::Builder command, const ExecOptions& options,
            const std::vector<std::string>& positional) {
    const std::vector<std::string> variables = TRY(collect_env(options.env, options.env_files));
    const std::vector<std::string> argv(positional.begin() + 1, positional.end());
    command.setContainer(positional[0]);
    set_texts(command.initArgv(static_cast<unsigned>(argv.size())), argv);
    set_texts(command.initEnv(static_cast<unsigned>(variables.size())), variables);
    command.setWorkingDir(options.working_dir);
    command.setUser(options.user);
    command.setTty(options.tty);
    command.setOpenStdin(options.interactive);
    command.setDetach(options.detach);
    command.setPrivileged(options.privileged);
    const TerminalSize size = options.tty ? terminal_size() : TerminalSize{};
    command.setTtyRows(size.rows);
    command.setTtyColumns(size.columns);
    return {};
}

kj::Promise<Ended> send_wait_exec(Session& session, const std::string& id, bool started) {
    auto request = session.container().waitExecRequest();
    request.setExecId(id);
    request.setStarted(started);
    return request.send().then([](capnp::Response<schema::Container::WaitExecResults>&& response) {
        const std::string error = response.getError().cStr();
        return Ended{static_cast<int>(response.getExitCode()), error, !error.empty()};
    });
}

int ended_status(Invocation& call, const Ended& how) {
    if (!how.start_failed) return how.code;
    call.failed(Error{how.code, how.error});
    return how.code != 0 ? how.code : kRunFailed;
}

}  // namespace

int exec(Invocation& call) {
    ExecOptions options;
    const Option table[] = {
        {'d', "detach", &options.detach, "", "Detached mode: run command in the background"},
        {0, "detach-keys", &options.detach_keys, "string",
         "Key sequence for detaching (default \"ctrl-p,ctrl-q\")"},
        {'e', "env", &options.env, "list", "Set environment variables"},
        {0, "env-file", &options.env_files, "list", "Read in a file of environment variables"},
        {'i', "interactive", &options.interactive, "", "Keep STDIN open even if not attached"},
        {0, "privileged", &options.privileged, "", "Give extended privileges to the command"},
        {'t', "tty", &options.tty, "", "Allocate a pseudo-TTY"},
        {'u', "user", &options.user, "string",
         "Username or UID (format: <name|uid>[:<group|gid>])"},
        {'w', "workdir", &options.working_dir, "string", "Working directory inside the container"},
    };
    if (const auto status = call.parse(table, {.min = 2})) return *status;
    if (!options.detach) {
        if (const auto status = check_terminal(options.tty, options.interactive)) return *status;
    }
    RelayOptions relay{
        .tty = options.tty, .open_stdin = options.interactive, .detach_keys = {}, .on_signal = {}};
    relay.detach_keys = OR_FAIL(call, parse_detach_keys(options.detach_keys));
    Payload<schema::ExecContainer> command;
    OR_FAIL_STATUS(call, fill(command.root, options, call.arguments));
    const CommandId id = mint_command_id();

    if (options.detach) {
        auto submitted = call.session.submit(id, command);
        auto waited = send_wait_exec(call.session, id.hex(), true);
        OR_FAIL_STATUS(call, call.session.wait_accepted(std::move(submitted)));
        const Ended how = OR_FAIL(call, call.session.wait<Ended>(kj::mv(waited)));
        return how.start_failed ? ended_status(call, how) : 0;
    }
    Payload<schema::Container::AttachExecParams> params;
    params.root.setExecId(id.hex());
    const auto attachment =
        OR_FAIL(call, Attachment::begin(call.session, "attachExec", params, std::move(relay)));
    auto submitted = call.session.submit(id, command);
    auto waited = send_wait_exec(call.session, id.hex(), false);
    OR_FAIL_STATUS(call, call.session.wait_accepted(std::move(submitted)));
    OR_FAIL_STATUS(call, attachment->relay().begin_input());
    const Finished finished = OR_FAIL(call, attachment->finish(kj::mv(waited)));
    return finished.detached ? 0 : ended_status(call, finished.ended);
}

}  // namespace noded::nodectl
