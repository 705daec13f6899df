// reconcile: after replay the state says how things were; here each container is compared with what
// is there. Its shim is asked, or the exit record that the shim left is read, and what happened
// meanwhile is proposed. What was half done is gone on with or rolled back; what belongs to no
// container is removed.
//
// shim_lost() is the same question at run time: a shim that ends before its container's outcome is
// known.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <set>

#include "agent/base/check.h"
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/container/shim/shim_client.h"

namespace noded::container {

namespace {

/// A shim that got its launch makes its socket first of all; so long it may take on a busy machine.
constexpr int kStartingAttempts = 50;
constexpr int64_t kStartingRetryNs = 20'000'000;
/// In the runtime folder of a container whose cgroup is not below this node's.
constexpr const char* kGroupNote = "/cgroup";

}  // namespace

/// The durable facts of a container, all of which were replayed.
Live& Effects::live_from(const Container& container) {
    Live& live = live_of(container.id);
    live.known = true;
    live.group = cgroup_of(container);
    live.rootfs_ready = container.rootfs.ready;
    live.run = container.run;
    live.start_wanted = container.phase == Phase::STARTING ? container.run : 0;
    live.start = container.start;
    live.running = container.phase == Phase::RUNNING;
    live.removing = container.phase == Phase::REMOVING;
    live.removal = container.removal;
    live.stop = container.stop;
    live.kill_wanted = container.kill_requested;
    live.restart_wanted = container.live() && container.restart_after_exit;
    live.freeze = container.freeze;
    live.freeze_cause = container.freeze_cause;
    if (container.commit_pauses) live.commit = container.commit;
    live.end = {container.exit_code, container.error, !container.error.empty()};
    return live;
}

/// Folders are named by the run that they belong to; 0 if there is none.
uint32_t Effects::newest_run_folder(const Live& live) const {
    uint32_t newest = 0;
    for (const std::string& name : sys_->folders_in(runtime_folder(live))) {
        uint32_t run = 0;
        std::from_chars(name.data(), name.data() + name.size(), run);
        newest = std::max(newest, run);
    }
    return newest;
}

/// The log forgets a container before its cgroup is removed; one below a parent of its own is found
/// by nothing else.
Status Effects::note_group(const Live& live) const {
    if (cgroup_of(live) == live.id) return {};
    const std::string path = runtime_folder(live) + kGroupNote;
    TRY_STATUS(sys_->make_file(path));
    return sys_->write_file(path, live.group);
}

/// Empty: there is no such note, or noded ended before it made the cgroup.
std::string Effects::noted_group(const Live& live) const {
    auto noted = sys_->read_file(runtime_folder(live) + kGroupNote);
    const bool fits = noted && noted->starts_with('/') && noted->ends_with("/" + live.id);
    return fits ? std::move(*noted) : std::string();
}

void Effects::reconcile() {
    std::vector<std::string> warnings;
    cgroups_ = std::make_shared<Cgroups>(sys_, state_dir_, warnings);
    for (const std::string& warning : warnings) host_.warn(warning);
    const std::vector<std::string> grouped = cgroups_->ids();
    // One look at each folder, not one per container: of a thousand most may never have run.
    std::vector<std::string> ran = sys_->folders_in(runtime_dir_);
    std::ranges::sort(ran);
    for (const auto& [id, container] : state_.by_id) {
        Live& live = live_from(container);
        const bool has_run = std::ranges::binary_search(ran, id);
        live.traces = has_run || std::ranges::binary_search(grouped, id);
        live.launched = has_run ? newest_run_folder(live) : 0;
        reconcile_container(live, container);
        if (container.phase == Phase::RESTARTING)
            wait_for_restart(live, container.next_start_ns, container.restart_delay_ms,
                             container.restart);
    }
    look_at_overlay();
    if (const auto made = make_places_layer(); !made) host_.warn(made.error().message);
    observe_host();
    remove_strays();
    empty_trash();
    (void)compile_seccomp();  // a start tells what went wrong
    pool_.begin(cgroups_);
    log_topics_.begin();
}

void Effects::reconcile_container(Live& live, const Container& container) {
    for (const Exec& exec : container.execs) {
        if (exec.done) continue;
        exec_of(exec.id).container_id = container.id;
        exec_of(exec.id).from_before = true;
    }
    const bool of_this_run = live.launched == live.run;
    // a reboot emptied the runtime folder
    if (live.running && !of_this_run) live.launched = live.run;
    live.over = !live.running && !(live.start_wanted != 0 && of_this_run);
    if (live.start_wanted != 0 && !container.rootfs.error.empty())
        return propose_start_failed(live, 125, container.rootfs.error);
    if (live.start_wanted != 0) keep_start_deadline(live);
    if (live.launched != 0 && adopt(live)) return;
    if (live.running) return shim_lost(live);
    if (live.start_wanted != 0 && of_this_run) return adopt_starting(live.id, kStartingAttempts);
    advance(live);
}

/// True if a shim listens: it is asked, or, when its run is over, released.
bool Effects::adopt(Live& live) {
    auto socket = sys_->connect_shim(run_folder(live, live.launched));
    if (!socket) return false;
    const uint32_t pid = sys_->peer_pid(socket->get());
    live.link = std::make_unique<ShimLink>(host_, *this, live.id, std::move(*socket), Fd(), pid);
    live.adopting = !live.over;
    if (!live.link->start() ||
        (live.adopting && !live.link->send(ControlType::status, 0, ++tags_, {}))) {
        live.link->stop();
        live.link.reset();
        live.adopting = false;
        return false;
    }
    if (live.over) return advance(live), true;
    live.adopt_timer = after(limits::reconcile_deadline_ns, [this, id = live.id] {
        Live* late = find_live(id);
        if (late == nullptr || !late->adopting) return;
        late->adopt_timer = 0;
        host_.warn("the shim of container " + id + " does not answer and is killed");
        if (late->link->pid() != 0) (void)sys_->kill_process(late->link->pid(), SIGKILL);
    });
    return true;
}

/// noded ended between making the run's folder and the outcome: the shim may be about to listen.
void Effects::adopt_starting(const std::string& id, int attempts_left) {
    Live* live = find_live(id);
    if (live == nullptr || live->start_wanted == 0 || live->link) return;
    if (sys_->exists(run_folder(*live, live->launched) + "/" + exit_record_name) ||
        attempts_left == 0)
        return shim_lost(*live);
    if (adopt(*live)) return;
    after(kStartingRetryNs, [this, id, attempts_left] { adopt_starting(id, attempts_left - 1); });
}

void Effects::adopted(Live& live, Bytes payload) {
    StatusReply status;
    if (!live.adopting || payload.size() < sizeof status) return;
    memcpy(&status, payload.data(), sizeof status);
    payload = payload.subspan(sizeof status);
    std::vector<ExecReply> execs(
        std::min<size_t>(status.exec_count, payload.size() / sizeof(ExecReply)));
    if (!execs.empty()) memcpy(execs.data(), payload.data(), execs.size() * sizeof(ExecReply));
    const std::string message(as_text(payload.subspan(execs.size() * sizeof(ExecReply))));
    cancel(live.adopt_timer);
    live.adopting = false;
    switch (status.state) {
        case ShimState::waiting:
        case ShimState::starting: return;  // it will say how that ends
        case ShimState::running:
            return adopt_running(live, status.started, status.version >= 2, execs);
        case ShimState::exited:
        case ShimState::start_failed:
            return tell_end(live, status.state, status.started, status.exit, message);
    }
}

void Effects::adopt_running(Live& live, const StartedReply& started,
                            bool knows_signals, const std::vector<ExecReply>& execs) {
    if (live.start_wanted != 0)
        return propose_started(live, uint32_t(started.pid), live.link->pid());
    const Container* container = state_.get(live.id);
    if (container == nullptr) return;  // its end is on the way to the disk
    // A signal may have been lost with the noded that was about to send it. The second SIGKILL or
    // stop signal of two does no harm; of the others the shim knows which it has had.
    if (live.kill_wanted) send_kill(live);
    for (const SignalRequested& asked : container->signals)
        if (knows_signals && asked.signal != SIGKILL) send_signal(live, asked.signal, asked.seq);
    if (live.stop.signal != 0) apply_stop(live);
    if (live.freeze != schema::Freeze::NONE) apply_freeze(live);
    if (container->commit_over && live.commit.seq != 0) unpause_after_commit(live);
    watch_health(live, container->started_ns, container->health);
    if (container->update.cause.seq != 0) apply_update(live, container->update);
    reconcile_execs(*container, execs);
}

void Effects::reconcile_execs(const Container& container, const std::vector<ExecReply>& there) {
    for (const Exec& known : container.execs) {
        if (known.done) continue;
        LiveExec& exec = exec_of(known.id);
        if (!exec.from_before) continue;  // requested since: its own launch tells its end
        exec.from_before = false;
        const auto found = std::ranges::find_if(there, [&](const ExecReply& reply) {
            return strncmp(reply.exec.text, known.id.c_str(), sizeof reply.exec.text - 1) == 0;
        });
        if (found == there.end())
            propose_exec_failed(exec, 126,
                                "noded was interrupted and the command's end is not known");
        else if (found->state == ShimState::start_failed)
            propose_exec_failed(exec, uint32_t(found->code), "the command could not be executed");
        else if (found->state == ShimState::exited)
            propose_exec_exited(exec, uint32_t(found->code));
        else
            exec.started = found->state == ShimState::running;
    }
}

/// No shim: it left a record, or the container's end is not known and it is made sure of.
void Effects::shim_lost(Live& live) {
    cancel(live.adopt_timer);
    live.adopting = false;
    if (!live.running && live.start_wanted == 0) {
        live.over = true;
        return advance(live);
    }
    if (read_exit_record(live)) return;
    const bool oom = cgroups_->oom_killed(cgroup_of(live));
    const bool killed = kill_leftovers(live) || live.shim_killed;
    if (live.start_wanted != 0)
        return propose_start_failed(
            live, 125, "noded was interrupted while starting it, or its shim was killed");
    host_.warn("the shim of container " + live.id +
               " is gone and left no record of the container's end");
    ExitReply exit{};
    exit.code = killed || oom ? 128 + SIGKILL : 255;
    exit.signal = killed || oom ? SIGKILL : 0;
    exit.oom = oom ? 1 : 0;
    propose_exited(live, exit, true);
}

bool Effects::kill_leftovers(const Live& live) {
    bool killed = cgroups_->kill(cgroup_of(live));
    const Container* container = state_.get(live.id);
    if (container == nullptr || container->pid == 0) return killed;
    const bool same = container->pid_start_time != 0 &&
                      process_start_time(*sys_, container->pid) == container->pid_start_time;
    if (same && sys_->kill_process(container->pid, SIGKILL)) killed = true;
    return killed;
}

bool Effects::read_exit_record(Live& live) {
    const std::string path = run_folder(live, live.launched) + "/" + exit_record_name;
    const auto content = sys_->read_file(path);
    if (!content) return false;
    const auto exit = parse_exit_record(path, *content);
    if (!exit || live.id != exit->record.id) {
        host_.warn(exit ? path + " is of another container" : exit.error().message);
        return false;
    }
    tell_end(live, exit->record.state, exit->record.started, exit->record.exit, exit->message);
    return true;
}

/// A run that began and ended while nobody looked is both.
void Effects::tell_end(Live& live, ShimState state, const StartedReply& started,
                       const ExitReply& exit, const std::string& message) {
    if (state == ShimState::start_failed)
        return propose_start_failed(live, uint32_t(exit.code), message.c_str());
    if (live.start_wanted != 0)
        propose_started(live, uint32_t(started.pid), live.link ? live.link->pid() : 0);
    propose_exited(live, exit, false);
}

void Effects::remove_strays() {
    std::set<std::string> found;
    for (const std::vector<std::string>& ids :
         {sys_->folders_in(runtime_dir_), sys_->folders_in(state_dir_), cgroups_->ids()})
        for (const std::string& id : ids)
            if (is_full_id(id) && state_.get(id) == nullptr) found.insert(id);
    for (const std::string& id : found) destroy_stray(id);
}

/// What belongs to no container in the log was never acknowledged, or its log is gone.
void Effects::destroy_stray(const std::string& id) {
    host_.warn("there is no container " + id + " any more: what is left of it is removed");
    Live& live = live_of(id);
    live.group = noted_group(live);
    live.run = live.launched = newest_run_folder(live);
    live.over = live.traces = live.removing = live.gone = true;
    cgroups_->kill(cgroup_of(live));
    if (live.launched != 0 && adopt(live)) return;
    advance(live);
}

}  // namespace noded::container
