// One function per event type, see fold.h. Outcomes are checked against the state by decide, so
// that fold need not ask again; what may come at any time (storage's events) finds its container or
// does nothing.
#include "plugins/container/fold.h"

#include <algorithm>
#include <cstring>

#include "agent/base/check.h"
#include "plugins/container/limits.h"
#include "plugins/container/types.h"
#include "plugins/sdk/message.h"

namespace noded::container {
namespace {

using sdk::Reading;

constexpr uint32_t kSigKill = 9;

void container_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerRequested> in(event.payload);
    Container container;
    container.id = to_string(in->getId());
    container.name = to_string(in->getName());
    container.spec = Spec::read(in->getSpec());
    container.created_ns = event.time_ns;
    container.created_seq = event.seq;
    CHECK(!state.by_id.contains(container.id));
    CHECK(!state.by_name.contains(container.name));
    state.by_name.emplace(container.name, container.id);
    std::string id = container.id;
    state.by_id.emplace(std::move(id), std::move(container));
}

void container_start_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerStartRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && !container->live());
    CHECK(in->getRun() == container->run + 1);
    container->restarted_by_policy =
        container->phase == Phase::RESTARTING && container->restart_count > 0;
    if (!container->restarted_by_policy) container->restart_count = 0;
    container->stopped_by_user = false;
    container->restart_after_exit = false;
    container->phase = Phase::STARTING;
    container->run = in->getRun();
    container->error.clear();
    container->exit_code = 0;
    container->oom_killed = false;
    container->stop = {};
    container->kill_requested = false;
    container->signals.clear();
    container->start = sdk::Cause::of(event);
}

void install(Container& container, const Update& update) {
    container.spec.options.resources = update.resources;
    container.spec.restart = update.restart;
    container.update = {};
}

void container_started(State& state, const noded_event& event) {
    Reading<schema::ContainerStarted> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && container->phase == Phase::STARTING);
    container->phase = Phase::RUNNING;
    container->pid = in->getPid();
    container->shim_pid = in->getShimPid();
    container->pid_start_time = in->getPidStartTime();
    container->started_ns = event.time_ns;
    container->health = {};
    if (container->spec.health.enabled()) container->health.status = HealthStatus::STARTING;
    container->finished_ns = 0;
}

/// A first start that fails leaves a container that was created and never ran, as docker shows it.
void container_start_failed(State& state, const noded_event& event) {
    Reading<schema::ContainerStartFailed> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && container->phase == Phase::STARTING);
    container->phase = container->started_ns == 0 ? Phase::CREATED : Phase::EXITED;
    container->exit_code = in->getExitCode();
    container->error = to_string(in->getMessage());
    container->finished_ns = event.time_ns;
}

void forget_commit(Container& container) {
    container.commit = {};
    container.commit_pauses = container.commit_over = false;
}

/// It goes on, by the end of its run or of its pause: nobody need wait for the commit any more.
void commit_pauses_no_more(Container& container) {
    if (container.commit_over) forget_commit(container);
    else container.commit_pauses = false;
}

void container_exited(State& state, const noded_event& event) {
    Reading<schema::ContainerExited> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && container->phase == Phase::RUNNING);
    container->phase = Phase::EXITED;
    container->paused = false;
    commit_pauses_no_more(*container);
    container->freeze = schema::Freeze::NONE;
    // What was asked for is for the runs to come.
    if (container->update.cause.seq != 0) install(*container, container->update);
    container->exit_code = in->getExitCode();
    container->oom_killed = in->getOomKilled();
    container->finished_ns = in->getExitedNs();
    container->pid = 0;
    container->shim_pid = 0;
    container->pid_start_time = 0;
    container->signals.clear();
}

void container_stop_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerStopRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    container->stop = {in->getSignal(), in->getTimeoutSeconds(), event.time_ns};
    container->restart_after_exit = in->getRestart();
    container->stopped_by_user = !in->getRestart();
    if (container->phase == Phase::RESTARTING) container->phase = Phase::EXITED;
}

void container_kill_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerKillRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    if (in->getRun() != container->run) return;
    if (in->getSignal() == kSigKill) container->kill_requested = true;
    // The kernel does the same with signals that wait: of each number one.
    std::erase_if(container->signals, [&](const SignalRequested& known) {
        return known.signal == in->getSignal();
    });
    container->signals.push_back({in->getSignal(), event.seq});
    // What the health check kills, the restart policy may start again.
    const bool ends =
        in->getSignal() == kSigKill || int(in->getSignal()) == container->spec.stop_signal;
    if (ends && !in->getUnhealthy()) container->stopped_by_user = true;
    if (in->getRemove()) container->remove_after_exit = true;
}

void container_restart_scheduled(State& state, const noded_event& event) {
    Reading<schema::ContainerRestartScheduled> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && !container->live());
    container->phase = Phase::RESTARTING;
    container->restart_count = in->getCount();
    container->restart_delay_ms = in->getDelayMs();
    container->next_start_ns = in->getDueNs();
    container->restart = sdk::Cause::of(event);
}

template <typename Event>
void freeze_requested(State& state, const noded_event& event, schema::Freeze asked) {
    Reading<Event> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && container->phase == Phase::RUNNING);
    container->freeze = asked;
    container->freeze_cause = sdk::Cause::of(event);
    if (asked == schema::Freeze::UNPAUSE) commit_pauses_no_more(*container);
}

template <typename Event>
void freeze_ended(State& state, const noded_event& event, bool paused) {
    Reading<Event> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && container->phase == Phase::RUNNING);
    container->paused = paused;
    container->freeze = schema::Freeze::NONE;
}

void container_pause_failed(State& state, const noded_event& event) {
    Reading<schema::ContainerPauseFailed> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    container->freeze = schema::Freeze::NONE;
    commit_pauses_no_more(*container);
}

void container_renamed(State& state, const noded_event& event) {
    Reading<schema::ContainerRenamed> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && state.by_name.erase(container->name) == 1);
    container->name = to_string(in->getName());
    CHECK(state.by_name.emplace(container->name, container->id).second);
}

void container_update_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerUpdateRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    container->update = {Resources::read(in->getResources()),
                         RestartPolicy::read(in->getRestart()), sdk::Cause::of(event)};
}

void container_updated(State& state, const noded_event& event) {
    Reading<schema::ContainerUpdated> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    install(*container, {Resources::read(in->getResources()),
                         RestartPolicy::read(in->getRestart()), {}});
}

void container_update_failed(State& state, const noded_event& event) {
    Reading<schema::ContainerUpdateFailed> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    container->update = {};
}

void container_health_changed(State& state, const noded_event& event) {
    Reading<schema::ContainerHealthChanged> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr);
    container->health = {in->getStatus(), in->getFailingStreak()};
}

void host_observed(State& state, const noded_event& event) {
    Reading<schema::HostObserved> in(event.payload);
    state.host = read_host(*in);
}

void container_removal_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerRemovalRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    CHECK(container != nullptr && !container->live());
    container->phase = Phase::REMOVING;
    container->removal = sdk::Cause::of(event);
}

void container_removed(State& state, const noded_event& event) {
    Reading<schema::ContainerRemoved> in(event.payload);
    const std::string id = to_string(in->getId());
    const Container* container = state.get(id);
    CHECK(container != nullptr);
    for (const Exec& exec : container->execs) state.container_by_exec.erase(exec.id);
    CHECK(state.by_name.erase(container->name) == 1);
    state.by_id.erase(id);
}

void exec_requested(State& state, const noded_event& event) {
    Reading<schema::ExecRequested> in(event.payload);
    Container* container = state.get(to_string(in->getContainerId()));
    CHECK(container != nullptr);
    if (container->execs.size() >= limits::execs_remembered_max) {
        const auto oldest = std::ranges::find_if(container->execs, &Exec::done);
        CHECK(oldest != container->execs.end());
        state.container_by_exec.erase(oldest->id);
        container->execs.erase(oldest);
    }
    container->execs.push_back({to_string(in->getExecId()), event.seq, false, 0, {}});
    state.container_by_exec.emplace(to_string(in->getExecId()), container->id);
}

void end_exec(State& state, capnp::Text::Reader container_id, capnp::Text::Reader exec_id,
              uint32_t code, std::string error) {
    Container* container = state.get(to_string(container_id));
    CHECK(container != nullptr);
    Exec* exec = container->find_exec(to_string(exec_id));
    CHECK(exec != nullptr && !exec->done);
    exec->done = true;
    exec->exit_code = code;
    exec->error = std::move(error);
}

void exec_exited(State& state, const noded_event& event) {
    Reading<schema::ExecExited> in(event.payload);
    end_exec(state, in->getContainerId(), in->getExecId(), in->getExitCode(), {});
}

void exec_failed(State& state, const noded_event& event) {
    Reading<schema::ExecFailed> in(event.payload);
    end_exec(state, in->getContainerId(), in->getExecId(), in->getExitCode(),
             to_string(in->getMessage()));
}

void commit_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerCommitRequested> in(event.payload);
    Container* container = state.get(to_string(in->getId()));
    if (container == nullptr) return;
    container->commit = sdk::Cause::of(event);
    container->commit_pauses = in->getPauses();
}

/// Of any import; if it was a commit, its container need not stay paused for it.
void import_ended(State& state, const noded_event& event) {
    for (auto& [id, container] : state.by_id) {
        const sdk::Cause& commit = container.commit;
        if (commit.seq == 0 ||
            memcmp(commit.command_id, event.command_id, sizeof commit.command_id) != 0)
            continue;
        if (container.commit_pauses) container.commit_over = true;
        else forget_commit(container);
    }
}

void image_added(State& state, const noded_event& event) {
    Reading<schema::ImageAdded> in(event.payload);
    Image image;
    image.id = to_string(in->getId());
    image.config_json = to_string(in->getConfig());
    image.config = ImageConfig::parse(image.config_json);
    for (auto layer : in->getLayers()) image.layers.push_back(to_string(layer.getDiffId()));
    state.images.add(std::move(image), to_strings(in->getNames()));
}

void image_tagged(State& state, const noded_event& event) {
    Reading<schema::ImageTagged> in(event.payload);
    state.images.tag(to_string(in->getId()), to_string(in->getName()));
}

void image_untagged(State& state, const noded_event& event) {
    Reading<schema::ImageUntagged> in(event.payload);
    state.images.untag(to_string(in->getId()), to_string(in->getName()));
}

void image_removed(State& state, const noded_event& event) {
    Reading<schema::ImageRemoved> in(event.payload);
    state.images.remove(to_string(in->getId()));
}

/// Storage's part is all of the preparation: the container is created, unless a start waits for it
/// already.
void rootfs_prepared(State& state, const noded_event& event) {
    Reading<schema::RootfsPrepared> in(event.payload);
    Container* container = state.get(to_string(in->getContainerId()));
    if (container == nullptr) return;
    container->rootfs.ready = true;
    container->rootfs.error.clear();
    container->rootfs.lowers = to_strings(in->getLowers());
    container->rootfs.upper = to_string(in->getUpper());
    container->rootfs.work = to_string(in->getWork());
    if (container->phase == Phase::REQUESTED) container->phase = Phase::CREATED;
}

void rootfs_prepare_failed(State& state, const noded_event& event) {
    Reading<schema::RootfsPrepareFailed> in(event.payload);
    Container* container = state.get(to_string(in->getContainerId()));
    if (container == nullptr) return;
    container->rootfs.error = to_string(in->getMessage());
    if (container->phase != Phase::REQUESTED) return;
    container->phase = Phase::CREATED;
    container->error = container->rootfs.error;
}

void rootfs_removed(State& state, const noded_event& event) {
    Reading<schema::RootfsRemoved> in(event.payload);
    Container* container = state.get(to_string(in->getContainerId()));
    if (container == nullptr) return;
    container->rootfs = {};
}

}  // namespace

void fold(State& state, const noded_event& event) {
    switch (EventType(event.type)) {
        case EventType::container_requested: return container_requested(state, event);
        case EventType::container_start_requested: return container_start_requested(state, event);
        case EventType::container_started: return container_started(state, event);
        case EventType::container_start_failed: return container_start_failed(state, event);
        case EventType::container_exited: return container_exited(state, event);
        case EventType::container_stop_requested: return container_stop_requested(state, event);
        case EventType::container_kill_requested: return container_kill_requested(state, event);
        case EventType::container_removal_requested:
            return container_removal_requested(state, event);
        case EventType::container_removed: return container_removed(state, event);
        case EventType::exec_requested: return exec_requested(state, event);
        case EventType::exec_exited: return exec_exited(state, event);
        case EventType::exec_failed: return exec_failed(state, event);
        case EventType::container_restart_scheduled:
            return container_restart_scheduled(state, event);
        case EventType::container_pause_requested:
            return freeze_requested<schema::ContainerPauseRequested>(state, event,
                                                                     schema::Freeze::PAUSE);
        case EventType::container_paused:
            return freeze_ended<schema::ContainerPaused>(state, event, true);
        case EventType::container_unpause_requested:
            return freeze_requested<schema::ContainerUnpauseRequested>(state, event,
                                                                       schema::Freeze::UNPAUSE);
        case EventType::container_unpaused:
            return freeze_ended<schema::ContainerUnpaused>(state, event, false);
        case EventType::container_pause_failed: return container_pause_failed(state, event);
        case EventType::container_renamed: return container_renamed(state, event);
        case EventType::container_update_requested:
            return container_update_requested(state, event);
        case EventType::container_updated: return container_updated(state, event);
        case EventType::container_update_failed: return container_update_failed(state, event);
        case EventType::host_observed: return host_observed(state, event);
        case EventType::container_health_changed: return container_health_changed(state, event);
        case EventType::container_commit_requested: return commit_requested(state, event);
        case EventType::image_imported:
        case EventType::image_import_failed: return import_ended(state, event);
        case EventType::image_added: return image_added(state, event);
        case EventType::image_tagged: return image_tagged(state, event);
        case EventType::image_untagged: return image_untagged(state, event);
        case EventType::image_removed: return image_removed(state, event);
        case EventType::rootfs_prepared: return rootfs_prepared(state, event);
        case EventType::rootfs_prepare_failed: return rootfs_prepare_failed(state, event);
        case EventType::rootfs_removed: return rootfs_removed(state, event);
    }
}

}  // namespace noded::container
