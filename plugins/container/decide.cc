// One function per command and per proposed event, see decide.h.
#include "plugins/container/decide.h"

#include <algorithm>
#include <csignal>

#include "agent/base/check.h"
#include "plugins/container/limits.h"
#include "plugins/container/modes.h"
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

void emit_start(const std::string& id, uint32_t run, Decision& decision, bool restart = false) {
    Message<schema::ContainerStartRequested> event;
    event->setId(text(id));
    event->setRun(run);
    event->setRestart(restart);
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
    return std::unexpected(
        Error{NODED_REJECT_CONFLICT,
              "Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                  holder->second +
                  "\". You have to remove (or rename) that container to be able to reuse "
                  "that name."});
}

/// Docker's sentence; a node that did not count its CPUs lets the kernel decide how many are too
/// many.
Status check_cpus(const State& state, const Resources& asked) {
    constexpr int64_t kNanoCpusMin = 10'000'000;
    const int64_t cpus = state.host.cpus;
    const bool too_many = cpus != 0 && asked.nano_cpus > cpus * 1'000'000'000;
    if (asked.nano_cpus == 0 || (asked.nano_cpus >= kNanoCpusMin && !too_many)) return {};
    const std::string count = std::to_string(cpus);
    if (cpus == 0) return fail("Range of CPUs begins with 0.01");
    return fail("Range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
                " CPUs available");
}

/// Docker's sentence, which the kernel's refusal becomes where the node did not look.
Status check_cpuset(const State& state, const Resources& asked) {
    struct List {
        const char* what;
        const std::string& asked;
        const std::string& available;
    };
    for (const List& list : {List{"CPUs", asked.cpuset_cpus, state.host.cpu_list},
                             List{"memory nodes", asked.cpuset_mems, state.host.memory_nodes}})
        if (!list.available.empty() && !is_within(list.asked, list.available))
            return fail(std::string("Requested ") + list.what + " are not available - requested " +
                        list.asked + ", available: " + list.available);
    return {};
}

/// What the machine that this node runs on has.
Status check_host(const State& state, const Resources& asked) {
    TRY_STATUS(check_cpus(state, asked));
    return check_cpuset(state, asked);
}

/// Containers that are joined are known by their ids from here on: names may change.
Status find_joined(const State& state, Options& options) {
    for (std::string* mode : {&options.ipc_mode, &options.pid_mode}) {
        if (!joins_container(*mode)) continue;
        const std::string reference(joined_container(*mode));
        const auto other = state.find(reference);
        if (!other) return std::unexpected(other.error());
        *mode = "container:" + (*other)->id;
    }
    return {};
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
    auto spec = resolve(asked, *image, id);
    if (!spec) return reject(decision, spec.error()), false;
    if (const auto there = find_joined(state, spec->options); !there)
        return reject(decision, there.error()), false;
    if (const auto mapped = apply_userns(state.host.userns, *spec); !mapped)
        return reject(decision, mapped.error()), false;
    if (const auto fits = check_host(state, spec->options.resources); !fits)
        return reject(decision, fits.error()), false;
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

/// One that is not live, or a rejection.
void start_again(const Container& container, bool restart, Decision& decision) {
    if (container.phase == Phase::REMOVING)
        return decision.reject(
            NODED_REJECT_CONFLICT,
            "container " + container.name + " is marked for removal and cannot be started");
    if (!container.rootfs.error.empty())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "container " + container.name +
                                   " has no root file system: " + container.rootfs.error);
    emit_start(container.id, container.run + 1, decision, restart);
}

void start_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::StartContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (container->freezes())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "cannot start a paused container, try unpause instead");
    if (container->live()) return;
    start_again(*container, false, decision);
}

/// What the command says, else what the container says, else ten seconds.
int32_t stop_timeout(int32_t asked, const Container& container) {
    if (asked != -1) return asked;
    if (container.spec.stop_timeout_seconds != -1) return container.spec.stop_timeout_seconds;
    return limits::stop_timeout_seconds_default;
}

/// What a stop and a restart say alike.
template <typename Command>
Result<StopRequest> stop_request(const Container& container, Command in) {
    const std::string asked = to_string(in.getSignal());
    StopRequest stop;
    stop.signal = uint32_t(asked.empty() ? container.spec.stop_signal : TRY(parse_signal(asked)));
    const int32_t timeout = in.getTimeoutSeconds();
    if (timeout < limits::stop_timeout_never || timeout > limits::stop_timeout_seconds_max)
        return fail("the stop timeout must be between 0 and " +
                    std::to_string(limits::stop_timeout_seconds_max) +
                    " seconds, or -1 to wait for ever");
    stop.timeout_seconds = stop_timeout(timeout, container);
    return stop;
}

/// Processes that are frozen take no signal: what shall end a container ends its pause first.
void emit_unpause(const Container& container, Decision& decision) {
    if (!container.freezes()) return;
    Message<schema::ContainerUnpauseRequested> event;
    event->setId(text(container.id));
    event->setRun(container.run);
    decision.emit(event);
}

void emit_stop(const Container& container, const StopRequest& stop, bool restart,
               Decision& decision, bool unhealthy = false) {
    Message<schema::ContainerStopRequested> event;
    event->setId(text(container.id));
    event->setRun(container.run);
    event->setSignal(stop.signal);
    event->setTimeoutSeconds(stop.timeout_seconds);
    event->setRestart(restart);
    event->setUnhealthy(unhealthy);
    decision.emit(event);
    emit_unpause(container, decision);
}

/// Of one that waits for its next run, the waiting ends.
void stop_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::StopContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const auto stop = stop_request(*container, *in);
    if (!stop) return reject(decision, stop.error());
    if (!container->live() && container->phase != Phase::RESTARTING) return;
    emit_stop(*container, *stop, false, decision);
}

void restart_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::RestartContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const auto stop = stop_request(*container, *in);
    if (!stop) return reject(decision, stop.error());
    if (!container->live()) return start_again(*container, true, decision);
    emit_stop(*container, *stop, true, decision);
}

void emit_kill(const Container& container, int signal, bool remove, Decision& decision,
               bool unhealthy = false) {
    Message<schema::ContainerKillRequested> event;
    event->setId(text(container.id));
    event->setRun(container.run);
    event->setSignal(uint32_t(signal));
    event->setRemove(remove);
    event->setUnhealthy(unhealthy);
    decision.emit(event);
}

void kill_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::KillContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const std::string asked = to_string(in->getSignal());
    const auto signal = asked.empty() ? Result<int>(SIGKILL) : parse_signal(asked);
    if (!signal) return reject(decision, signal.error());
    const bool ends = *signal == SIGKILL || *signal == container->spec.stop_signal;
    if (container->phase == Phase::RESTARTING && ends)
        return emit_stop(*container, {uint32_t(*signal), 0, 0}, false, decision);
    if (container->phase != Phase::RUNNING)
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + container->id + " is not running");
    emit_kill(*container, *signal, false, decision);
    if (ends) emit_unpause(*container, decision);
}

void remove_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::RemoveContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (container->phase == Phase::REMOVING)
        return decision.reject(NODED_REJECT_CONFLICT, "removal of container " + container->name +
                                                          " is already in progress");
    const bool waits = container->phase == Phase::RESTARTING;
    if (!container->live() && !waits) return emit_removal(container->id, decision);
    const bool paused = container->freezes();
    if (!in->getForce())
        return decision.reject(
            NODED_REJECT_CONFLICT,
            std::string("You cannot remove a ") +
                (waits    ? "restarting"
                 : paused ? "paused"
                          : "running") +
                " container " + container->id + (paused ? ". Unpause and then stop" : ". Stop") +
                " the container before attempting removal or force remove");
    if (waits) return emit_removal(container->id, decision);
    emit_kill(*container, SIGKILL, true, decision);
    emit_unpause(*container, decision);
}

// ---------------------------------------------------------------- pause, rename, update

/// Why a container can not be paused, executed in and so on; docker's sentences.
Status check_running(const Container& container) {
    if (container.phase == Phase::RESTARTING)
        return fail("Container " + container.id +
                    " is restarting, wait until the container is running");
    if (container.phase != Phase::RUNNING)
        return fail("Container " + container.id + " is not running");
    return {};
}

void pause_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::PauseContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (const auto fits = check_running(*container); !fits)
        return reject(decision, fits.error(), NODED_REJECT_CONFLICT);
    if (container->freezes())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + container->id + " is already paused");
    Message<schema::ContainerPauseRequested> event;
    event->setId(text(container->id));
    event->setRun(container->run);
    decision.emit(event);
}

void unpause_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::UnpauseContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (!container->freezes())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + container->id + " is not paused");
    emit_unpause(*container, decision);
}

void rename_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::RenameContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const std::string asked = to_string(in->getName());
    if (asked.empty())
        return decision.reject(NODED_REJECT_INVALID, "Neither old nor new names may be empty");
    if (asked == container->name || asked == "/" + container->name)
        return decision.reject(NODED_REJECT_INVALID,
                               "Renaming a container with the same name as its current name");
    const auto name = choose_name(state, id_of(command), asked);
    if (!name) return reject(decision, name.error());
    if (container->phase == Phase::REMOVING)
        return decision.reject(NODED_REJECT_CONFLICT, "container " + container->name +
                                                          " is being removed");
    Message<schema::ContainerRenamed> event;
    event->setId(text(container->id));
    event->setOldName(text(container->name));
    event->setName(text(*name));
    decision.emit(event);
}

template <typename Event>
void emit_update(const Container& container, const Resources& resources,
                 const RestartPolicy& restart, Decision& decision) {
    Message<Event> event;
    event->setId(text(container.id));
    resources.write(event->initResources());
    restart.write(event->initRestart());
    decision.emit(event);
}

/// The limits of a container that does not run have nothing but the log to go into.
void update_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::UpdateContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    const auto busy = [&](const char* why) {
        decision.reject(NODED_REJECT_CONFLICT, "Cannot update container " + container->id + why);
    };
    if (container->phase == Phase::REMOVING)
        return busy(": Container is marked for removal and cannot be \"update\".");
    if (container->phase == Phase::STARTING) return busy(": it is being started");
    if (container->update.cause.seq != 0) return busy(": another update is under way");
    const RestartPolicy restart =
        in->hasRestart() ? RestartPolicy::read(in->getRestart()) : container->spec.restart;
    const auto merged =
        container->spec.options.resources.updated(Resources::read(in->getResources()));
    if (!merged) return reject(decision, merged.error());
    for (const Status& fits : {merged->check(), check_host(state, *merged), restart.check()})
        if (!fits) return reject(decision, fits.error());
    if (container->spec.auto_remove && restart.kind != schema::RestartKind::NO)
        return busy(": Restart policy cannot be updated because AutoRemove is enabled for the "
                    "container");
    if (container->phase == Phase::RUNNING)
        return emit_update<schema::ContainerUpdateRequested>(*container, *merged, restart,
                                                             decision);
    emit_update<schema::ContainerUpdated>(*container, *merged, restart, decision);
}

// ---------------------------------------------------------------- exec

Status check_exec(const std::vector<std::string>& argv, const std::vector<std::string>& env,
                  std::string_view user) {
    if (argv.empty()) return fail("No exec command specified");
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
    event->setPrivileged(in->getPrivileged());
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
    if (const auto runs = check_running(*container); !runs)
        return reject(decision, runs.error(), NODED_REJECT_CONFLICT);
    if (container->freezes())
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + to_string(in->getContainer()) +
                                   " is paused, unpause the container before exec");
    if (container->execs_running() >= limits::execs_running_max)
        return decision.reject(NODED_REJECT_LIMIT, "container " + container->name + " executes " +
                                                       std::to_string(limits::execs_running_max) +
                                                       " commands already, which is the limit");
    emit_exec(*container, command, decision);
}

// ---------------------------------------------------------------- commit

Status check_commit(schema::CommitContainer::Reader in) {
    TRY_STATUS(check_strings(to_strings(in.getChanges()), limits::commit_changes_max,
                             limits::commit_changes_bytes_max, "the changes of a commit"));
    TRY_STATUS(check_text(to_string(in.getAuthor()), limits::commit_text_bytes_max,
                          "the author of a commit"));
    TRY_STATUS(check_text(to_string(in.getMessage()), limits::commit_text_bytes_max,
                          "the message of a commit"));
    return check_text(to_string(in.getReference()), limits::reference_bytes_max,
                      "the name of an image");
}

/// What -v PATH gave the container is declared by its image, as in docker; before what the user
/// wants changed. As a word of a Dockerfile: a path may have blanks and quotes in it.
std::vector<std::string> changes_of_commit(const Container& container,
                                           schema::CommitContainer::Reader in) {
    std::vector<std::string> changes;
    for (const Mount& mount : container.spec.options.mounts) {
        if (mount.type != "volume" || !mount.make_source) continue;
        std::string change = "VOLUME ";
        for (const char c : mount.target) {
            if (std::string_view(" \t\"'\\").contains(c)) change += '\\';
            change += c;
        }
        changes.push_back(std::move(change));
    }
    for (const auto change : in.getChanges()) changes.push_back(to_string(change));
    return changes;
}

void emit_commit(const Container& container, schema::CommitContainer::Reader in, bool pauses,
                 Decision& decision) {
    Message<schema::ContainerCommitRequested> event;
    event->setId(text(container.id));
    event->setReference(in.getReference());
    event->setAuthor(in.getAuthor());
    event->setMessage(in.getMessage());
    write_strings(changes_of_commit(container, in),
                  [&](unsigned n) { return event->initChanges(n); });
    event->setPauses(pauses);
    const Spec& spec = container.spec;
    std::vector<std::string> env = spec.env;
    // What was made for this container alone.
    std::erase(env, "HOSTNAME=" + spec.hostname);
    if (spec.tty) std::erase(env, "TERM=xterm");
    write_strings(env, [&](unsigned n) { return event->initEnv(n); });
    write_strings(spec.entrypoint, [&](unsigned n) { return event->initEntrypoint(n); });
    write_strings(spec.command, [&](unsigned n) { return event->initCommand(n); });
    event->setWorkingDir(text(spec.working_dir));
    event->setUser(text(spec.user));
    auto labels = event->initLabels(unsigned(spec.labels.size()));
    for (unsigned i = 0; i < labels.size(); ++i) {
        labels[i].setKey(text(spec.labels[i].first));
        labels[i].setValue(text(spec.labels[i].second));
    }
    event->setStopSignal(spec.stop_signal);
    if (spec.health != HealthCheck()) spec.health.write(event->initHealth());
    write_id_maps(spec.options.id_maps, [&](unsigned n) { return event->initIdMaps(n); });
    decision.emit(event);
}

/// What is written while its layer is made may be in it by half: so it is paused, as in docker.
void commit_container(const State& state, const noded_command& command, Decision& decision) {
    Reading<schema::CommitContainer> in(command.payload);
    const Container* container = find(state, decision, in->getContainer());
    if (container == nullptr) return;
    if (const auto fits = check_commit(*in); !fits) return reject(decision, fits.error());
    if (container->phase == Phase::REMOVING || !container->rootfs.ready)
        return decision.reject(NODED_REJECT_CONFLICT,
                               "Container " + container->name + " has no files to commit");
    if (container->commit.seq != 0)
        return decision.reject(NODED_REJECT_BUSY, "a commit of container " + container->name +
                                                      " is under way; try again");
    if (std::ranges::count_if(state.by_id, [](const auto& entry) {
            return entry.second.commit.seq != 0;
        }) >= limits::commits_max)
        return decision.reject(NODED_REJECT_BUSY, std::to_string(limits::commits_max) +
                                                      " commits are under way; try again");
    const bool pauses =
        container->phase == Phase::RUNNING && !container->freezes() && !in->getKeepRunning();
    emit_commit(*container, *in, pauses, decision);
    if (!pauses) return;
    Message<schema::ContainerPauseRequested> pause;
    pause->setId(text(container->id));
    pause->setRun(container->run);
    decision.emit(pause);
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

void emit_restart(const Container& container, int64_t now_ns, uint32_t delay_ms, uint32_t count,
                  Decision& decision) {
    Message<schema::ContainerRestartScheduled> event;
    event->setId(text(container.id));
    event->setRun(container.run);
    event->setDueNs(now_ns + int64_t(delay_ms) * 1'000'000);
    event->setDelayMs(delay_ms);
    event->setCount(count);
    decision.emit(event);
}

/// A container that goes with its run is forgotten with it: nothing is left to wait for, and one
/// batch is one sync. What it leaves in the kernel and on the disk is removed afterwards.
void emit_gone(const Container& container, Decision& decision) {
    emit_removal(container.id, decision);
    Message<schema::ContainerRemoved> event;
    event->setId(text(container.id));
    event->setName(text(container.name));
    decision.emit(event);
}

/// What comes after a run: the end of the container, another run, or nothing.
void after_run(const Container& container, const RunEnd& end, int64_t now_ns, Decision& decision) {
    if (container.remove_after_exit) return emit_gone(container, decision);
    if (container.restart_after_exit) return emit_restart(container, now_ns, 0, 0, decision);
    if (container.spec.auto_remove) return emit_gone(container, decision);
    if (const auto delay_ms = restart_delay_ms(container.spec.restart, end))
        emit_restart(container, now_ns, *delay_ms, container.restart_count + 1, decision);
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
    if (container->spec.auto_remove || container->remove_after_exit)
        return emit_gone(*container, decision);
    // The first start tells its failure to who asked for it; a later one is tried again.
    const RunEnd end{in->getExitCode(), 0, container->restart_count, container->restart_delay_ms,
                     container->stopped_by_user};
    const auto delay_ms = restart_delay_ms(container->spec.restart, end);
    if (container->restarted_by_policy && delay_ms)
        emit_restart(*container, proposal.time_ns, *delay_ms, container->restart_count + 1,
                     decision);
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
    const RunEnd end{in->getExitCode(), in->getExitedNs() - container->started_ns,
                     container->restart_count,
                     container->restarted_by_policy ? container->restart_delay_ms : 0,
                     container->stopped_by_user};
    after_run(*container, end, proposal.time_ns, decision);
}

/// Its time has come.
void start_requested(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerStartRequested> in(proposal.payload);
    const Container* container = state.get(to_string(in->getId()));
    if (container != nullptr && container->phase == Phase::RESTARTING &&
        in->getRun() == container->run + 1)
        decision.emit_proposed(proposal);
}

/// Only a new boot of the machine proposes it: what is always to run was stopped before.
void restart_scheduled(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerRestartScheduled> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::EXITED);
    if (container != nullptr && container->spec.restart.kind == schema::RestartKind::ALWAYS)
        decision.emit_proposed(proposal);
}

template <typename Event>
void freeze_ended(const State& state, const noded_command& proposal, schema::Freeze asked,
                  Decision& decision) {
    Reading<Event> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::RUNNING);
    if (container != nullptr && container->freeze == asked) decision.emit_proposed(proposal);
}

/// The commit that it was paused for is over.
void unpause_requested(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerUnpauseRequested> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::RUNNING);
    if (container != nullptr && container->freezes()) decision.emit_proposed(proposal);
}

void pause_failed(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerPauseFailed> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::RUNNING);
    if (container != nullptr && container->freeze != schema::Freeze::NONE)
        decision.emit_proposed(proposal);
}

/// With what an unhealthy container brings upon itself.
void health_changed(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<schema::ContainerHealthChanged> in(proposal.payload);
    const Container* container = fitting(state, *in, Phase::RUNNING);
    if (container == nullptr || container->health.status == in->getStatus()) return;
    decision.emit_proposed(proposal);
    if (in->getStatus() != HealthStatus::UNHEALTHY) return;
    const StopRequest stop{uint32_t(container->spec.stop_signal), stop_timeout(-1, *container), 0};
    switch (container->spec.health.action) {
        case schema::HealthAction::NONE: return;
        case schema::HealthAction::KILL:
            return emit_kill(*container, SIGKILL, false, decision, true);
        case schema::HealthAction::RESTART:
            return emit_stop(*container, stop, true, decision, true);
        case schema::HealthAction::STOP: return emit_stop(*container, stop, false, decision, true);
    }
}

template <typename Event>
void update_ended(const State& state, const noded_command& proposal, Decision& decision) {
    Reading<Event> in(proposal.payload);
    const Container* container = state.get(to_string(in->getId()));
    if (container != nullptr && container->update.cause.seq != 0) decision.emit_proposed(proposal);
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
        case ProposalType::container_paused:
            return freeze_ended<schema::ContainerPaused>(state, proposal, schema::Freeze::PAUSE,
                                                         decision);
        case ProposalType::container_unpaused:
            return freeze_ended<schema::ContainerUnpaused>(state, proposal,
                                                           schema::Freeze::UNPAUSE, decision);
        case ProposalType::container_pause_failed: return pause_failed(state, proposal, decision);
        case ProposalType::container_updated:
            return update_ended<schema::ContainerUpdated>(state, proposal, decision);
        case ProposalType::container_update_failed:
            return update_ended<schema::ContainerUpdateFailed>(state, proposal, decision);
        case ProposalType::container_start_requested:
            return start_requested(state, proposal, decision);
        case ProposalType::container_restart_scheduled:
            return restart_scheduled(state, proposal, decision);
        case ProposalType::host_observed: return decision.emit_proposed(proposal);
        case ProposalType::container_unpause_requested:
            return unpause_requested(state, proposal, decision);
        case ProposalType::container_health_changed:
            return health_changed(state, proposal, decision);
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
        case CommandType::pause_container: return pause_container(state, command, decision);
        case CommandType::unpause_container: return unpause_container(state, command, decision);
        case CommandType::rename_container: return rename_container(state, command, decision);
        case CommandType::restart_container: return restart_container(state, command, decision);
        case CommandType::update_container: return update_container(state, command, decision);
        case CommandType::commit_container: return commit_container(state, command, decision);
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
