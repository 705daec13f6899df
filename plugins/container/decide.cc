// One function per command and per proposed event, see decide.h.
#include "plugins/container/decide.h"

#include <algorithm>

#include "agent/base/check.h"
#include "plugins/container/limits.h"
#include "plugins/container/names.h"
#include "plugins/container/signals.h"
#include "plugins/container/types.h"

namespace noded::container {
namespace {

using sdk::Decision;
using sdk::Message;
using sdk::Reading;
using sdk::text;

CommandId id_of(const noded_command& command) {
    CommandId id;
    memcpy(id.bytes.data(), command.id, id.bytes.size());
    return id;
}

/// A rejection, or the code that an error carries already.
void reject(Decision& decision, const Error& error,
            noded_rejection otherwise = NODED_REJECT_INVALID) {
    decision.reject(error.code != 0 ? noded_rejection(error.code) : otherwise, error.message);
}

/// The container that a command names; after a rejection nullptr.
const Container* find(const State& state, Decision& decision, capnp::Text::Reader reference) {
    const auto found = state.find(to_string(reference));
    if (found) return *found;
    reject(decision, found.error());
    return nullptr;
}

void emit_start(const std::string& id, uint32_t run, Decision& decision) {
    Message<schema::ContainerStartRequested> event;
    event->setId(text(id));
    event->setRun(run);
    decision.emit(event);
}

void emit_removal(const std::string& id, Decision& decision) {
    Message<schema::ContainerRemovalRequested> event;
    event->setId(text(id));
    decision.emit(event);
}

// ---------------------------------------------------------------- create and run

const Image* find_image(const State& state, Decision& decision,
                        schema::ContainerSpec::Reader spec) {
    const std::string reference = to_string(spec.getImage());
    bool ambiguous = false;
    const Image* image = state.images.find(reference, ambiguous);
    if (image != nullptr) return image;
    const std::string said = reference.substr(0, limits::reference_bytes_max);
    if (reference.empty())
        decision.reject(NODED_REJECT_INVALID, "no image was named");
    else if (ambiguous)
        decision.reject(NODED_REJECT_INVALID, "Multiple IDs found with provided prefix: " + said);
    else if (const auto valid = check_image_reference(said); !valid)
        decision.reject(NODED_REJECT_INVALID, valid.error().message);
    else
        decision.reject(NODED_REJECT_NOT_FOUND, "No such image: " + said);
    return nullptr;
}

Result<std::string> choose_name(const State& state, const CommandId& id, const std::string& asked) {
    const auto taken = [&](const std::string& name) { return state.by_name.contains(name); };
    if (asked.empty()) return make_name(id, taken);
    std::string name = TRY(check_name(asked));
    const auto holder = state.by_name.find(name);
    if (holder == state.by_name.end()) return name;
    return std::unexpected(Error{
        NODED_REJECT_CONFLICT,
        "The container name \"/" + name + "\" is already in use by container \"" + holder->second +
            "\". You have to remove (or rename) that container to be able to reuse "
            "that name."});
}

/// Emits ContainerRequested and returns true, or rejects.
bool request_container(const State& state, const noded_command& command, Decision& decision,
                       schema::ContainerSpec::Reader asked) {
    const CommandId command_id = id_of(command);
    const std::string id = command_id.hex();
    // The core forgets ids after a while; the container is still there.
    if (state.by_id.contains(id)) {
        decision.reject(NODED_REJECT_CONFLICT,
                        "there is a container with the id " + id + " already");
        return false;
    }
    const Image* image = find_image(state, decision, asked);
    if (image == nullptr) return false;
    const auto name = choose_name(state, command_id, to_string(asked.getName()));
    if (!name) return reject(decision, name.error()), false;
    const auto spec = resolve(asked, *image, id);
    if (!spec) return reject(decision, spec.error()), false;
    if (state.by_id.size() >= limits::containers_max) {
        decision.reject(NODED_REJECT_LIMIT, "this node has " +
                                                std::to_string(limits::containers_max) +
                                                " containers, which is its limit: remove some");
        return false;
    }
    Message<schema::ContainerRequested> event;
    event->setId(text(id));
    event->setName(text(*name));
    spec->write(event->initSpec());
    decision.emit(event);
    return true;
}

void create_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::CreateContainer> in(command.payload);
    request_container(state, command, decision, in->getSpec());
}

void run_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::RunContainer> in(command.payload);
    if (!request_container(state, command, decision, in->getSpec())) return;
    emit_start(id_of(command).hex(), 1, decision);
}

// ---------------------------------------------------------------- start, stop, kill, remove

void start_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::StartContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr || container->live()) return;
    if (container->phase == Phase::REMOVING)
        return decision.reject(
            NODED_REJECT_CONFLICT,
            "container " + container->name + " is marked for removal and cannot be started");
    if (!container->rootfs.error.empty())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "container " + container->name +
                                   " has no root file system: " + container->rootfs.error);
    emit_start(container->id, container->run + 1, decision);
}

/// What the command says, else what the container says, else ten seconds.
int32_t stop_timeout(int32_t asked, const Container& container) {
    if (asked >= 0) return asked;
    if (container.spec.stop_timeout_seconds >= 0) return container.spec.stop_timeout_seconds;
    return limits::stop_timeout_seconds_default;
}

void stop_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::StopContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const std::string asked = to_string(in->getSignal());
    const auto signal =
        asked.empty() ? Result<int>(container->spec.stop_signal) : parse_signal(asked);
    if (!signal) return reject(decision, signal.error());
    const int32_t timeout = in->getTimeoutSeconds();
    if (timeout < -1 || timeout > limits::stop_timeout_seconds_max)
        return decision.reject(NODED_REJECT_INVALID,
                               "the stop timeout must be between -1 and " +
                                   std::to_string(limits::stop_timeout_seconds_max) + " seconds");
    if (!container->live()) return;
    Message<schema::ContainerStopRequested> event;
    event->setId(text(container->id));
    event->setRun(container->run);
    event->setSignal(uint32_t(*signal));
    event->setTimeoutSeconds(stop_timeout(timeout, *container));
    decision.emit(event);
}

void emit_kill(const Container& container, int signal, bool remove, Decision& decision) {
    Message<schema::ContainerKillRequested> event;
    event->setId(text(container.id));
    event->setRun(container.run);
    event->setSignal(uint32_t(signal));
    event->setRemove(remove);
    decision.emit(event);
}

void kill_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::KillContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const std::string asked = to_string(in->getSignal());
    const auto signal = asked.empty() ? Result<int>(9) : parse_signal(asked);
    if (!signal) return reject(decision, signal.error());
    if (container->phase != Phase::RUNNING)
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + to_string(in->getContainer()) + " is not running");
    emit_kill(*container, *signal, false, decision);
}

void remove_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::RemoveContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (container->phase == Phase::REMOVING)
        return decision.reject(NODED_REJECT_CONFLICT, "removal of container " + container->name +
                                                          " is already in progress");
    if (!container->live()) return emit_removal(container->id, decision);
    if (!in->getForce())
        return decision.reject(
            NODED_REJECT_CONFLICT,
            "You cannot remove a running container " + container->id +
                ". Stop the container before attempting removal or force remove");
    emit_kill(*container, 9, true, decision);
}

// ---------------------------------------------------------------- exec

Status check_exec(const std::vector<std::string>& argv, const std::vector<std::string>& env,
                  std::string_view user) {
    if (argv.empty()) return fail("No exec command specified");
    if (argv[0].empty()) return fail("the command to execute is an empty string");
    TRY_STATUS(
        check_strings(argv, limits::argv_count_max, limits::argv_bytes_max, "the command line"));
    TRY_STATUS(check_strings(env, limits::env_count_max, limits::env_bytes_max, "the environment"));
    for (const std::string& item : env)
        if (item.empty() || item.front() == '=')
            return fail("invalid environment variable: " + item);
    return check_text(user, limits::user_bytes_max, "the user");
}

/// The event says all that was resolved but for the container's own env, which the log has already.
void emit_exec(const Container& container, const noded_command& command, Decision& decision) {
    Reading<schema::ExecContainer> in(command.payload);
    Message<schema::ExecRequested> event;
    event->setExecId(text(id_of(command).hex()));
    event->setContainerId(text(container.id));
    event->setArgv(in->getArgv());
    event->setEnv(in->getEnv());
    event->setWorkingDir(in->getWorkingDir() != ""
                             ? in->getWorkingDir()
                             : capnp::Text::Reader(text(container.spec.working_dir)));
    event->setUser(in->getUser() != "" ? in->getUser()
                                       : capnp::Text::Reader(text(container.spec.user)));
    event->setTty(in->getTty());
    event->setOpenStdin(in->getOpenStdin());
    event->setDetach(in->getDetach());
    event->setTtyRows(in->getTtyRows());
    event->setTtyColumns(in->getTtyColumns());
    decision.emit(event);
}

void exec_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::ExecContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const auto checked =
        check_exec(to_strings(in->getArgv()), to_strings(in->getEnv()), to_string(in->getUser()));
    if (!checked) return reject(decision, checked.error());
    if (const std::string dir = to_string(in->getWorkingDir()); !dir.empty())
        if (const auto valid = check_working_dir(dir); !valid)
            return reject(decision, valid.error());
    if (container->phase != Phase::RUNNING)
        return decision.reject(NODED_REJECT_CONFLICT,
                               "container " + container->name + " is not running");
    if (container->execs_running() >= limits::execs_running_max)
        return decision.reject(NODED_REJECT_LIMIT, "container " + container->name + " executes " +
                                                       std::to_string(limits::execs_running_max) +
                                                       " commands already, which is the limit");
    emit_exec(*container, command, decision);
}

// ---------------------------------------------------------------- outcomes

/// The container that a proposal is about, if it is in that phase of that run; else the proposal is
/// stale.
template <typename Reader>
const Container* fitting(const State& state, Reader in, Phase phase) {
    const Container* container = state.get(to_string(in.getId()));
    const bool fits =
        container != nullptr && container->phase == phase && container->run == in.getRun();
    return fits ? container : nullptr;
}

void remove_if_wanted(const Container& container, Decision& decision) {
    if (container.spec.auto_remove || container.remove_after_exit)
        emit_removal(container.id, decision);
}

void container_started(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerStarted> in(proposal.payload);
    if (fitting(state, *in, Phase::STARTING) != nullptr) decision.emit_proposed(proposal);
}

void container_start_failed(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerStartFailed> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::STARTING);
    if (container == nullptr) return;
    decision.emit_proposed(proposal);
    remove_if_wanted(*container, decision);
}

/// The end of a container is the end of what was executed in it.
void container_exited(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerExited> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::RUNNING);
    if (container == nullptr) return;
    for (const Exec& exec : container->execs) {
        if (exec.done) continue;
        Message<schema::ExecExited> event;
        event->setExecId(text(exec.id));
        event->setContainerId(text(container->id));
        event->setExitCode(137);
        decision.emit(event);
    }
    decision.emit_proposed(proposal);
    remove_if_wanted(*container, decision);
}

void container_removed(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerRemoved> in(proposal.payload);
    const Container* container = state.get(to_string(in->getId()));
    if (container != nullptr && container->phase == Phase::REMOVING)
        decision.emit_proposed(proposal);
}

template <typename Event>
void exec_ended(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<Event> in(proposal.payload);
    const Container* container = state.get(to_string(in->getContainerId()));
    const Exec* exec =
        container != nullptr ? container->find_exec(to_string(in->getExecId())) : nullptr;
    if (exec != nullptr && !exec->done) decision.emit_proposed(proposal);
}

void decide_proposal(const State& state, const noded_command& proposal, Decision& decision) {
    switch (ProposalType(proposal.type)) {
        case ProposalType::container_started: return container_started(state, proposal, decision);
        case ProposalType::container_start_failed:
            return container_start_failed(state, proposal, decision);
        case ProposalType::container_exited: return container_exited(state, proposal, decision);
        case ProposalType::container_removed: return container_removed(state, proposal, decision);
        case ProposalType::exec_exited:
            return exec_ended<schema::ExecExited>(state, proposal, decision);
        case ProposalType::exec_failed:
            return exec_ended<schema::ExecFailed>(state, proposal, decision);
    }
    CHECK_MSG(false, "an event was proposed that is no outcome");
}

void decide_request(const State& state, const noded_command& command, Decision& decision) {
    switch (CommandType(command.type)) {
        case CommandType::create_container: return create_container(state, command, decision);
        case CommandType::run_container: return run_container(state, command, decision);
        case CommandType::start_container: return start_container(state, command, decision);
        case CommandType::stop_container: return stop_container(state, command, decision);
        case CommandType::kill_container: return kill_container(state, command, decision);
        case CommandType::remove_container: return remove_container(state, command, decision);
        case CommandType::exec_container: return exec_container(state, command, decision);
    }
    CHECK_MSG(false, "a command came that the descriptor does not name");
}

}  // namespace

void decide(const State& state, const noded_command& command, Decision& decision) {
    if (command.origin == NODED_ORIGIN_PROPOSAL)
        decide_proposal(state, command, decision);
    else
        decide_request(state, command, decision);
}

}  // namespace noded::container
