// nodectl kill: a signal to running containers, SIGKILL if none is named. As in docker it returns
// after a SIGKILL when they have ended, so that `rm` may follow.
#include <algorithm>
#include <cctype>

#include "tools/nodectl/container_call.h"

namespace noded::nodectl {
namespace {

bool is_sigkill(std::string signal) {
    std::ranges::transform(signal, signal.begin(), [](unsigned char c) { return toupper(c); });
    return signal == "KILL" || signal == "SIGKILL" || signal == "9";
}

}  // namespace

int kill_container(Invocation& call) {
    std::string signal = "SIGKILL";
    const Option options[] = {
        {'s', "signal", &signal, "string", "Signal to send to the container"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (signal.empty()) signal = "SIGKILL";
    Batch batch;
    batch.trouble = "Cannot kill container: ";
    for (const std::string& name : call.arguments) {
        Payload<schema::KillContainer> command;
        command.root.setContainer(name);
        command.root.setSignal(signal);
        // The wait goes first: one with --rm is no longer known afterwards.
        std::optional<Waited> waited;
        if (is_sigkill(signal)) waited = send_wait(call.session, name, Until::EXITED);
        batch.all.push_back(
            {name, call.session.submit(mint_command_id(), command), std::move(waited)});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
