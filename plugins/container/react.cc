// react: an event is durable. Each function notes the fact in the container's Live and starts what
// follows from it; the state may be ahead and is read only for what never changes (the spec, the
// rootfs).
#include <csignal>

#include "agent/base/check.h"
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/container/types.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Reading;

using schema::Freeze;

namespace {

template <typename Event>
std::string id_in(const noded_event& event) {
    return to_string(Reading<Event>(event.payload)->getId());
}

template <typename Event>
std::string message_in(const noded_event& event) {
    return to_string(Reading<Event>(event.payload)->getMessage());
}

}  // namespace

void Effects::container_requested(const noded_event& event) {
    Reading<schema::ContainerRequested> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    if (live.park_timer != 0) --unknown_;
    cancel(live.park_timer);
    live.known = true;
    log_topics_.created(live.id);
}

void Effects::start_requested(const noded_event& event) {
    Reading<schema::ContainerStartRequested> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    quiet_.disturb();
    live.known = true;
    live.start_wanted = live.run = in->getRun();
    live.start = sdk::Cause::of(event);
    live.stop = {};
    live.kill_wanted = false;
    live.shim_killed = false;
    live.restart_wanted = false;
    live.end = {};
    cancel(live.restart_timer);
    keep_start_deadline(live);
    advance(live);
    if (live.launched == live.run || live.traces) return;
    after(0, [this, id = live.id] {
        Live* waiting = find_live(id);
        if (waiting == nullptr || waiting->start_wanted == 0 || waiting->link) return;
        if (!waiting->traces) (void)make_places(*waiting);
    });
}

void Effects::rootfs_prepared(const noded_event& event) {
    Reading<schema::RootfsPrepared> in(event.payload);
    Live* live = find_live(to_string(in->getContainerId()));
    if (live == nullptr) return;
    live->rootfs_ready = true;
    advance(*live);
}

void Effects::rootfs_prepare_failed(const noded_event& event) {
    Reading<schema::RootfsPrepareFailed> in(event.payload);
    Live* live = find_live(to_string(in->getContainerId()));
    if (live != nullptr && live->start_wanted != 0)
        propose_start_failed(*live, 125, to_string(in->getMessage()));
}

void Effects::started(const noded_event& event) {
    Reading<schema::ContainerStarted> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    cancel(live.start_timer);
    live.start_wanted = 0;
    live.running = true;
    log_topics_.started(live.id);
    watch_health(live, event.time_ns, {});
    attach_parked(live);
    answer_waiters(live, {Until::STARTED}, {});
    // Its shim may have gone while this waited for the disk, which was taken for a failed start.
    if (!live.link) return shim_lost(live);
    if (live.kill_wanted) send_kill(live);
    if (live.stop.signal != 0) apply_stop(live);
}

void Effects::start_failed(const noded_event& event) {
    Reading<schema::ContainerStartFailed> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    cancel(live.start_timer);
    live.start_wanted = 0;
    live.over = true;
    live.places = false;
    live.end = {in->getExitCode(), to_string(in->getMessage()), true};
    live.streams.clear();
    answer_waiters(live, {Until::STARTED, Until::EXITED}, live.end);
    advance(live);
}

void Effects::exited(const noded_event& event) {
    Reading<schema::ContainerExited> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    cancel(live.stop_timer);
    cancel(live.freeze_timer);
    cancel(live.kill_timer);
    forget_health(live);
    live.freeze = schema::Freeze::NONE;
    live.commit = {};
    live.running = false;
    live.over = true;
    live.end = {in->getExitCode(), {}, false};
    live.streams.clear();  // nobody will serve them
    answer_waiters(live, {Until::EXITED, Until::UNPAUSED, Until::UPDATED}, live.end);
    answer_waiters(live, {Until::PAUSED}, {125, "Container " + live.id + " is not running", true});
    // Who asked for a restart waits for the run that follows.
    if (!live.restart_wanted) answer_waiters(live, {Until::STARTED}, live.end);
    advance(live);
}

void Effects::stop_requested(const noded_event& event) {
    Reading<schema::ContainerStopRequested> in(event.payload);
    Live* live = find_live(to_string(in->getId()));
    if (live == nullptr || live->run != in->getRun()) return;
    live->stop = {in->getSignal(), in->getTimeoutSeconds(), event.time_ns};
    live->restart_wanted = in->getRestart();
    if (live->running) return apply_stop(*live);
    if (live->start_wanted != 0) return;
    // It waited for its next run.
    cancel(live->restart_timer);
    answer_waiters(*live, {Until::STARTED, Until::EXITED}, live->end);
}

/// A container that is removed by force before it was launched need not be started first.
void Effects::kill_requested(const noded_event& event) {
    Reading<schema::ContainerKillRequested> in(event.payload);
    Live* live = find_live(to_string(in->getId()));
    if (live == nullptr || live->run != in->getRun()) return;
    const bool kills = in->getSignal() == SIGKILL;
    if (kills) live->kill_wanted = true;
    if (live->running)
        return kills ? send_kill(*live) : send_signal(*live, in->getSignal(), event.seq);
    if (in->getRemove() && live->start_wanted != 0 && live->launched != live->run)
        propose_start_failed(*live, 125, "the container was removed before it started");
}

void Effects::removal_requested(const noded_event& event) {
    Reading<schema::ContainerRemovalRequested> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    live.removing = true;
    cancel(live.restart_timer);
    live.removal = sdk::Cause::of(event);
    live.streams.clear();
    cut_files_off(live.id, true, "was removed");
    Ended never = live.end;
    if (live.run == 0) never.error = "the container is being removed and was never started";
    answer_waiters(live, {Until::STARTED, Until::EXITED}, never);
    advance(live);
}

void Effects::removed(const noded_event& event) {
    Reading<schema::ContainerRemoved> in(event.payload);
    Live& live = live_of(to_string(in->getId()));
    const Ended end = live.end;
    live.gone = true;
    cut_files_off(live.id, true, "was removed");
    remember_end(live.id, end);
    log_topics_.removed(live.id);
    answer_waiters(live, {Until::STARTED, Until::EXITED, Until::REMOVED}, end);
    answer_waiters(live, {Until::PAUSED, Until::UNPAUSED, Until::UPDATED},
                   {125, "Container " + live.id + " was removed", true});
    advance_later(live.id);
}

void Effects::exec_requested(const noded_event& event) {
    Reading<schema::ExecRequested> in(event.payload);
    LiveExec& exec = exec_of(to_string(in->getExecId()));
    if (exec.park_timer != 0) --unknown_;
    cancel(exec.park_timer);
    exec.container_id = to_string(in->getContainerId());
    execute(exec, *in);
}

void Effects::exec_exited(const noded_event& event) {
    Reading<schema::ExecExited> in(event.payload);
    end_exec(to_string(in->getExecId()), {in->getExitCode(), {}, false});
}

void Effects::exec_failed(const noded_event& event) {
    Reading<schema::ExecFailed> in(event.payload);
    end_exec(to_string(in->getExecId()), {in->getExitCode(), to_string(in->getMessage()), true});
}

void Effects::react(const noded_event& event) {
    switch (EventType(event.type)) {
        case EventType::container_requested: return container_requested(event);
        case EventType::container_start_requested: return start_requested(event);
        case EventType::container_started: return started(event);
        case EventType::container_start_failed: return start_failed(event);
        case EventType::container_exited: return exited(event);
        case EventType::container_stop_requested: return stop_requested(event);
        case EventType::container_kill_requested: return kill_requested(event);
        case EventType::container_removal_requested: return removal_requested(event);
        case EventType::container_removed: return removed(event);
        case EventType::exec_requested: return exec_requested(event);
        case EventType::exec_exited: return exec_exited(event);
        case EventType::exec_failed: return exec_failed(event);
        case EventType::container_restart_scheduled: return restart_scheduled(event);
        case EventType::container_update_requested: return update_requested(event);
        case EventType::container_pause_requested:
            return freeze_requested(id_in<schema::ContainerPauseRequested>(event), Freeze::PAUSE,
                                    sdk::Cause::of(event));
        case EventType::container_unpause_requested:
            return freeze_requested(id_in<schema::ContainerUnpauseRequested>(event),
                                    Freeze::UNPAUSE, sdk::Cause::of(event));
        case EventType::container_paused:
            return freeze_ended(id_in<schema::ContainerPaused>(event), Until::PAUSED, {});
        case EventType::container_unpaused:
            return freeze_ended(id_in<schema::ContainerUnpaused>(event), Until::UNPAUSED, {});
        case EventType::container_pause_failed:
            freeze_ended(id_in<schema::ContainerPauseFailed>(event), Until::PAUSED,
                         message_in<schema::ContainerPauseFailed>(event));
            return freeze_ended(id_in<schema::ContainerPauseFailed>(event), Until::UNPAUSED,
                                message_in<schema::ContainerPauseFailed>(event));
        case EventType::container_updated:
            return update_ended(id_in<schema::ContainerUpdated>(event), {});
        case EventType::container_update_failed:
            return update_ended(id_in<schema::ContainerUpdateFailed>(event),
                                message_in<schema::ContainerUpdateFailed>(event));
        case EventType::container_commit_requested: return commit_requested(event);
        case EventType::image_imported:
        case EventType::image_import_failed: return import_ended(event);
        case EventType::rootfs_prepared: return rootfs_prepared(event);
        case EventType::rootfs_prepare_failed: return rootfs_prepare_failed(event);
        case EventType::rootfs_removed: return;
        case EventType::container_renamed:
        case EventType::container_health_changed:
        case EventType::host_observed: return;
        case EventType::image_added:
        case EventType::image_tagged:
        case EventType::image_untagged:
        case EventType::image_removed: return;  // nothing to do: they are only looked up
    }
}

}  // namespace noded::container
