// Executing a command in a running container: one packet to its shim, whose answers come back as
// outcomes; so does a refusal.
#include "plugins/container/effects.h"

namespace noded::container {

void Effects::execute(LiveExec& exec, schema::ExecRequested::Reader event) {
    const Live* live = find_live(exec.container_id);
    const Container* container = state_.get(exec.container_id);
    if (live == nullptr || !live->link || container == nullptr)
        return propose_exec_failed(exec, 126, "container " + exec.container_id + " is not running");
    ProcessSpec spec;
    spec.id = exec.id;
    spec.arguments = to_strings(event.getArgv());
    spec.environment = merge_env(container->spec.env, to_strings(event.getEnv()));
    if (event.getWorkingDir().size() > 0) spec.cwd = to_string(event.getWorkingDir());
    spec.user = to_string(event.getUser());
    spec.tty = event.getTty();
    spec.open_stdin = event.getOpenStdin();
    spec.rows = event.getTtyRows();
    spec.columns = event.getTtyColumns();
    spec.privileged = event.getPrivileged();
    exec.stream.flags = attach_stdout | attach_stderr | attach_from_start;
    if (spec.open_stdin) exec.stream.flags |= attach_stdin | attach_stdin_once;
    const auto encoded = exec_encode(spec);
    if (!encoded) return propose_exec_failed(exec, 126, encoded.error().message);
    exec.tag = ++tags_;
    const auto sent =
        send_spec(*live->link, ControlType::exec, exec.tag, *encoded, std::move(exec.stream));
    if (!sent) propose_exec_failed(exec, 126, sent.error().message);
}

/// A shim of an earlier version may know less than this one asks for.
void Effects::exec_refused(const Live& live, uint64_t tag, const std::string& why) {
    for (const auto& [id, exec] : execs_)
        if (exec->tag == tag && exec->container_id == live.id)
            return propose_exec_failed(*exec, 126, why);
}

void Effects::end_exec(const std::string& id, const Ended& end) {
    LiveExec* exec = find_exec(id);
    if (exec == nullptr) return;
    for (const Waiter& waiter : exec->waiters) answer_exec(waiter.token, end);
    exec->waiters.clear();
    drop_exec(id);
}

}  // namespace noded::container
