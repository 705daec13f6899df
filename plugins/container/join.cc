// What a container shares with another one: --pid container:ID and --ipc container:ID. The other
// one must run when this one starts, at each start anew; its namespaces are named by the /proc of
// its first process, and the shim opens them. Called by the launch.
#include "plugins/container/effects.h"
#include "plugins/container/modes.h"

namespace noded::container {
namespace {

/// Docker's sentence.
std::unexpected<Error> not_running(const std::string& id) {
    return fail("container " + id + " is not running");
}

}  // namespace

/// Facts of the other one that are durable: whether it runs is not read from the state alone.
Result<const Container*> Effects::running_container(const std::string& id) {
    const Container* other = state_.get(id);
    if (other == nullptr) return fail("No such container: " + id);
    if (other->phase == Phase::RESTARTING)
        return fail("Container " + id + " is restarting, wait until the container is running");
    const Live* live = find_live(id);
    if (live == nullptr || !live->running || other->pid == 0) return not_running(id);
    // Its end may be known to the kernel alone.
    if (process_start_time(*sys_, other->pid) != other->pid_start_time) return not_running(id);
    return other;
}

Status Effects::join_ipc(const std::string& id, LaunchSpec& spec) {
    const auto failed = [&](const std::string& why) {
        return fail("can't join IPC of container " + id + ": " + why);
    };
    const auto other = running_container(id);
    if (!other) return failed(other.error().message);
    const std::string& mode = (*other)->spec.options.ipc_mode;
    if (mode != "shareable" && mode != "host" && !joins_container(mode))
        return failed("non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
    const std::string namespaces = "/proc/" + std::to_string((*other)->pid) + "/ns/";
    spec.joins.push_back({"ipc", namespaces + "ipc"});
    // What programs share by name lies in a file system, which is of no namespace but the mounts'.
    spec.mounts.insert(spec.mounts.begin(), {"of", namespaces + "mnt", "/dev/shm", ""});
    return {};
}

Status Effects::add_joins(const Options& options, LaunchSpec& spec) {
    if (const std::string id(joined_container(options.ipc_mode)); !id.empty())
        TRY_STATUS(join_ipc(id, spec));
    if (const std::string id(joined_container(options.pid_mode)); !id.empty()) {
        const Container* other = TRY(running_container(id));
        spec.joins.push_back({"pid", "/proc/" + std::to_string(other->pid) + "/ns/pid"});
    }
    return {};
}

}  // namespace noded::container
