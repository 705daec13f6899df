// nodectl update: other limits or another restart policy for containers. Returns when running ones
// have them.
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/host_options.h"
#include "tools/nodectl/restart_policy.h"

namespace noded::nodectl {

int update(Invocation& call) {
    HostOptions host;
    RestartText restart;
    std::vector<Option> options = host.update_table();
    options.push_back({0, "restart", &restart.policy, "string",
                       "Restart policy to apply when a container exits"});
    std::string kernel_memory, real_time;   // docker's
    options.push_back({0, "kernel-memory", &kernel_memory, "bytes", nullptr});
    options.push_back({0, "cpu-rt-period", &real_time, "int", nullptr});
    options.push_back({0, "cpu-rt-runtime", &real_time, "int", nullptr});
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (!kernel_memory.empty() || !real_time.empty())
        return call.failed({0, "this node sets no kernel memory and no real-time CPU time: use "
                               "--memory and --cpus"});
    if (!host.any() && !restart.any())
        return call.failed({0, "You must provide one or more flags when using this command."});
    // As in docker; and nothing, for noded, is what stays as it is.
    if (host.pids_limit && *host.pids_limit == 0) host.pids_limit = -1;
    Batch batch;
    for (const std::string& name : call.arguments) {
        Payload<schema::UpdateContainer> command;
        command.root.setContainer(name);
        OR_FAIL_STATUS(call, host.fill_resources(command.root.initResources()));
        if (restart.any()) OR_FAIL_STATUS(call, restart.fill(command.root.initRestart()));
        auto waited = send_wait(call.session, name, Until::UPDATED);
        batch.all.push_back({name, call.session.submit(mint_command_id(), command),
                             std::move(waited), true});
    }
    return batch.finish(call);
}

}  // namespace noded::nodectl
