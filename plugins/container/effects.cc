// Book-keeping of the effects, see effects.h: containers that have something going on, timers,
// proposals, and what shims say.
#include "plugins/container/effects.h"

#include <poll.h>
#include <signal.h>

#include <cstring>

#include "agent/base/check.h"
#include "plugins/container/limits.h"
#include "plugins/container/modes.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

/// A fixed struct at the front of a packet; false if the packet is too short for it.
template <typename T>
bool take(Bytes& payload, T& out) {
    if (payload.size() < sizeof out) return false;
    memcpy(&out, payload.data(), sizeof out);
    payload = payload.subspan(sizeof out);
    return true;
}

std::string sentence(Bytes payload) {
    std::string text(as_text(payload));
    while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.pop_back();
    return text;
}

}  // namespace

Effects::Effects(const State& state, sdk::Host host, std::shared_ptr<Sys> sys,
                 UsernsSettings userns)
    : state_(state),
      host_(host),
      sys_(std::move(sys)),
      runtime_dir_(host.runtime_dir()),
      state_dir_(host.state_dir()),
      files_program_(host.libexec_dir() + "/files"),
      userns_(std::move(userns)),
      log_topics_(host_, state_, [this](const std::string& id) { return state_folder(id); }),
      quiet_(host_, limits::put_off_max),
      pool_(host_, sys_, quiet_, *this, [this](Fd end) { reap_when_ended(std::move(end)); }) {}

Live* Effects::find_live(std::string_view id) {
    const auto found = lives_.find(id);
    return found == lives_.end() ? nullptr : found->second.get();
}

Live& Effects::live_of(const std::string& id) {
    auto& slot = lives_[id];
    if (!slot) {
        slot = std::make_unique<Live>();
        slot->id = id;
    }
    return *slot;
}

LiveExec* Effects::find_exec(std::string_view id) {
    const auto found = execs_.find(id);
    return found == execs_.end() ? nullptr : found->second.get();
}

LiveExec& Effects::exec_of(const std::string& id) {
    auto& slot = execs_[id];
    if (!slot) {
        slot = std::make_unique<LiveExec>();
        slot->id = id;
    }
    return *slot;
}

void Effects::drop_live(const std::string& id) {
    Live* live = find_live(id);
    if (live == nullptr) return;
    for (uint64_t* timer :
         {&live->start_timer, &live->stop_timer, &live->park_timer, &live->adopt_timer,
          &live->restart_timer, &live->freeze_timer, &live->release_timer, &live->kill_timer})
        cancel(*timer);
    forget_health(*live);
    for (const Waiter& waiter : live->waiters) call_homes_.erase(waiter.token);
    if (live->link) live->link->stop();
    if (live->link) reap_when_ended(live->link->take_pidfd());
    drop_ready(*live);
    lives_.erase(id);
}

/// It ends, and its zygote leaves the groups.
void Effects::drop_ready(Live& live) {
    pool_.let_go(std::exchange(live.ready, {}));
    live.spare_groups = false;
}

void Effects::drop_exec(const std::string& id) {
    LiveExec* exec = find_exec(id);
    if (exec == nullptr) return;
    cancel(exec->park_timer);
    for (const Waiter& waiter : exec->waiters) call_homes_.erase(waiter.token);
    execs_.erase(id);
}

// ---------------------------------------------------------------- timers

/// 0 when the host has none left: then the deadline is not kept, which the host has said already.
uint64_t Effects::after(int64_t delay_ns, std::function<void()> run) {
    const uint64_t key = ++keys_;
    Timer& timer = timers_[key];
    timer = {this, key, 0, std::move(run)};
    timer.handle = host_.start_timer(delay_ns, fire, &timer);
    if (timer.handle != 0) return key;
    timers_.erase(key);
    return 0;
}

void Effects::fire(void*, void* argument) noexcept {
    auto& timer = *static_cast<Timer*>(argument);
    Effects& effects = *timer.owner;
    const std::function<void()> run = std::move(timer.run);
    effects.timers_.erase(timer.key);
    run();
}

void Effects::cancel(uint64_t& timer) {
    const auto found = timers_.find(timer);
    timer = 0;
    if (found == timers_.end()) return;
    host_.stop_timer(found->second.handle);
    timers_.erase(found);
}

// ---------------------------------------------------------------- places

std::string Effects::cgroup_of(const Container& container) {
    const std::string parent = clean_cgroup_parent(container.spec.options.cgroup_parent);
    if (parent.empty()) return container.id;
    return (parent == "/" ? "" : parent) + "/" + container.id;
}
std::string Effects::runtime_folder(const Live& live) const { return runtime_dir_ + "/" + live.id; }
std::string Effects::run_folder(const Live& live, uint32_t run) const {
    return runtime_folder(live) + "/" + std::to_string(run);
}
std::string Effects::state_folder(const std::string& id) const { return state_dir_ + "/" + id; }

// ---------------------------------------------------------------- proposals

void Effects::propose_started(Live& live, uint32_t pid, uint32_t shim_pid) {
    Message<schema::ContainerStarted> event;
    event->setId(text(live.id));
    event->setRun(live.launched);
    event->setPid(pid);
    event->setShimPid(shim_pid);
    event->setPidStartTime(process_start_time(*sys_, pid));
    host_.propose(event, live.start);
}

void Effects::propose_start_failed(Live& live, uint32_t code, const std::string& message) {
    Message<schema::ContainerStartFailed> event;
    event->setId(text(live.id));
    event->setRun(live.start_wanted);
    event->setExitCode(code);
    event->setMessage(text(message));
    host_.propose(event, live.start);
}

/// An end is caused by no event of ours; the start's command is at its root.
void Effects::propose_exited(Live& live, const ExitReply& exit, bool lost) {
    Message<schema::ContainerExited> event;
    event->setId(text(live.id));
    event->setRun(live.launched);
    event->setExitCode(uint32_t(exit.code));
    event->setSignal(uint32_t(exit.signal));
    event->setOomKilled(exit.oom != 0);
    event->setExitedNs(exit.time_ns != 0 ? int64_t(exit.time_ns) : host_.realtime_ns());
    event->setLost(lost);
    sdk::Cause cause = live.start;
    cause.seq = 0;
    host_.propose(event, cause);
}

namespace {

/// The outcome of an exec is caused by its request, whose command's id is the exec's.
sdk::Cause exec_cause(const State& state, const LiveExec& exec) {
    sdk::Cause cause;
    const Container* container = state.get(exec.container_id);
    const Exec* requested = container != nullptr ? container->find_exec(exec.id) : nullptr;
    if (requested != nullptr) cause.seq = requested->seq;
    const CommandId id = root_command(exec.id);
    memcpy(cause.command_id, id.bytes.data(), id.bytes.size());
    return cause;
}

}  // namespace

void Effects::propose_exec_exited(const LiveExec& exec, uint32_t code) {
    Message<schema::ExecExited> event;
    event->setExecId(text(exec.id));
    event->setContainerId(text(exec.container_id));
    event->setExitCode(code);
    host_.propose(event, exec_cause(state_, exec));
}

/// An exec that cannot start ends with 126 or 127, as docker's: 125 is a run that failed.
void Effects::propose_exec_failed(const LiveExec& exec, uint32_t code, const std::string& message) {
    Message<schema::ExecFailed> event;
    event->setExecId(text(exec.id));
    event->setContainerId(text(exec.container_id));
    event->setExitCode(code == 125 ? 126 : code);
    event->setMessage(text(message));
    host_.propose(event, exec_cause(state_, exec));
}

// ---------------------------------------------------------------- children

/// A shim of ours that ended stays a zombie until somebody waits for it.
void Effects::reap_when_ended(Fd pidfd) {
    if (!pidfd.valid()) return;
    const uint64_t key = ++keys_;
    Zombie& zombie = zombies_[key];
    zombie.owner = this;
    zombie.key = key;
    zombie.pidfd = std::move(pidfd);
    zombie.watch = host_.watch(zombie.pidfd.get(), POLLIN, reap, &zombie);
    if (zombie.watch == 0) zombies_.erase(key);
}

void Effects::reap(void*, void* argument, uint32_t) noexcept {
    auto& zombie = *static_cast<Zombie*>(argument);
    Effects& effects = *zombie.owner;
    effects.host_.unwatch(zombie.watch);
    effects.sys_->reap(zombie.pidfd.get());
    effects.zombies_.erase(zombie.key);
}

// ---------------------------------------------------------------- what shims say

void Effects::shim_said(ShimLink& link, const ControlHeader& header, Bytes payload) {
    Live* live = find_live(link.id());
    // a shim that waits has nothing to say
    if (live == nullptr || live->link.get() != &link) return;
    switch (header.type) {
        case ControlType::started: return shim_started(*live, link, payload);
        case ControlType::start_failed: return shim_start_failed(*live, payload);
        case ControlType::exited: return shim_exited(*live, payload);
        case ControlType::exec_started:
        case ControlType::exec_failed:
        case ControlType::exec_exited: return shim_exec_said(header.type, payload);
        case ControlType::result: return shim_result(*live, header.tag, payload);
        case ControlType::status_reply: return adopted(*live, payload);
        case ControlType::launch:
        case ControlType::signal:
        case ControlType::attach:
        case ControlType::resize:
        case ControlType::exec:
        case ControlType::status:
        case ControlType::release: break;
    }
    host_.warn("the shim of " + live->id + " sent a packet of the unexpected type " +
               std::to_string(uint32_t(header.type)));
}

void Effects::shim_started(Live& live, ShimLink& link, Bytes payload) {
    StartedReply started;
    if (!take(payload, started)) return;
    if (const std::string warnings = sentence(payload); !warnings.empty())
        host_.warn("container " + live.id + ": " + warnings);
    cancel(live.start_timer);
    propose_started(live, uint32_t(started.pid), link.pid());
    attach_parked(live);
}

void Effects::shim_start_failed(Live& live, Bytes payload) {
    ExitReply exit;
    if (!take(payload, exit)) return;
    propose_start_failed(live, uint32_t(exit.code), sentence(payload));
}

void Effects::shim_exited(Live& live, Bytes payload) {
    ExitReply exit;
    if (take(payload, exit)) propose_exited(live, exit, false);
}

void Effects::shim_exec_said(ControlType type, Bytes payload) {
    ExecReply reply;
    if (!take(payload, reply)) return;
    reply.exec.text[sizeof reply.exec.text - 1] = '\0';
    LiveExec* exec = find_exec(reply.exec.text);
    if (exec == nullptr) return;
    if (type == ControlType::exec_failed)
        return propose_exec_failed(*exec, uint32_t(reply.code), sentence(payload));
    if (type == ControlType::exec_exited) return propose_exec_exited(*exec, uint32_t(reply.code));
    exec->started = true;
    std::erase_if(exec->waiters, [&](const Waiter& waiter) {
        if (waiter.until != Until::STARTED) return false;
        answer_exec(waiter.token, {});
        return true;
    });
}

void Effects::shim_result(Live& live, uint64_t tag, Bytes payload) {
    ResultReply result;
    if (!take(payload, result)) return;
    if (tag == live.kill_tag) cancel(live.kill_timer);
    if (tag == live.release_tag && result.error != 0) {
        // It will not go by itself, which only a container that still runs explains.
        cgroups_->kill(cgroup_of(live));
        (void)sys_->kill_process(live.link->pid(), SIGKILL);
        return;
    }
    const auto waiting = live.answers.find(tag);
    if (waiting == live.answers.end() && result.error != 0)
        return exec_refused(live, tag, sentence(payload));
    if (waiting == live.answers.end()) return;
    const uint64_t token = waiting->second;
    live.answers.erase(waiting);
    call_homes_.erase(token);
    if (result.error != 0) return host_.refuse(token, NODED_REJECT_CONFLICT, sentence(payload));
    // Results of attach and resize are both empty structs.
    Message<schema::Container::AttachResults> done;
    host_.respond(token, done);
}

void Effects::shim_closed(ShimLink& link) {
    reap_when_ended(link.take_pidfd());
    if (pool_.lost(link)) return;
    Live* live = find_live(link.id());
    if (live != nullptr && live->ready.link.get() == &link) {
        live->ready = {};
        live->spare_groups = false;
        return;
    }
    CHECK(live != nullptr && live->link.get() == &link);
    fail_answers(*live);
    const std::string link_id = live->id;
    live->link.reset();
    cancel(live->release_timer);
    if (live->over) return advance_later(link_id);
    // The shim drops a connection whose packets nobody takes: that is no end of the container.
    if (!adopt(*live)) shim_lost(*live);
}

void Effects::stop() {
    std::vector<ReadyShim> taken;
    for (auto& [id, live] : lives_) {
        forget_health(*live);
        if (live->gone && live->link)
            (void)live->link->send(ControlType::release, 0, ++tags_, {});
        if (live->link) live->link->stop();
        taken.push_back(std::exchange(live->ready, {}));
    }
    quiet_.stop();
    pool_.stop(std::move(taken));
    for (auto& [key, work] : files_) {
        host_.unwatch(work->watch);
        (void)sys_->kill_process(work->pid, SIGTERM);
    }
    files_.clear();
    for (auto& [key, timer] : timers_) host_.stop_timer(timer.handle);
    timers_.clear();
    for (auto& [key, zombie] : zombies_) host_.unwatch(zombie.watch);
    zombies_.clear();
    log_topics_.stop();
    // Removals that were told are finished: neither their turn nor the lane comes to them any more.
    // What is busy stays for the next noded.
    for (auto& [id, live] : lives_)
        if (live->gone && clean_now(*live)) (void)throw_away(id);
    if (cgroups_) cgroups_->remove_parents();
}

}  // namespace noded::container
