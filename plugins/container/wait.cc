// Waits: calls that are answered when an outcome is durable, never by looking again. The host holds
// an answer back until what it was read from is durable, so the state may be asked at any time.
#include <algorithm>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

/// The answer that the state has already, if it has one.
std::optional<Ended> known_end(const Container& container, Until until) {
    const bool never = container.run == 0;
    const bool failed = !container.error.empty() && !container.live();
    const Ended end{container.exit_code, container.error, failed};
    switch (until) {
        case Until::STARTED:
            if (container.phase == Phase::RUNNING && !container.restart_after_exit)
                return Ended{};
            break;
        case Until::EXITED: break;
        case Until::REMOVED:
        case Until::UPDATED: return std::nullopt;
        case Until::PAUSED:
            if (container.paused) return Ended{};
            break;
        case Until::UNPAUSED:
            if (!container.paused && container.freeze == schema::Freeze::NONE) return Ended{};
            break;
    }
    switch (container.phase) {
        case Phase::REQUESTED:
        case Phase::STARTING:
        case Phase::RUNNING:
        case Phase::RESTARTING: return std::nullopt;
        case Phase::CREATED: return failed ? std::optional(end) : std::nullopt;
        case Phase::EXITED: return end;
        case Phase::REMOVING:
            return never ? Ended{0, "the container is being removed and was never started", false}
                         : end;
    }
    return std::nullopt;
}

}  // namespace

void Effects::answer(uint64_t token, const Ended& end) {
    call_homes_.erase(token);
    Message<schema::Container::WaitResults> results;
    auto result = results->initResult();
    result.setExitCode(end.exit_code);
    result.setError(text(end.error));
    result.setStartFailed(end.start_failed);
    host_.respond(token, results);
}

void Effects::answer_exec(uint64_t token, const Ended& end) {
    call_homes_.erase(token);
    Message<schema::Container::WaitExecResults> results;
    results->setExitCode(end.exit_code);
    results->setError(text(end.error));
    host_.respond(token, results);
}

void Effects::answer_waiters(Live& live, std::initializer_list<Until> which, const Ended& end) {
    std::erase_if(live.waiters, [&](const Waiter& waiter) {
        if (std::ranges::find(which, waiter.until) == which.end()) return false;
        answer(waiter.token, end);
        return true;
    });
}

void Effects::wait(uint64_t token, const std::string& reference, Until until) {
    const auto found = state_.find(reference);
    if (const auto gone = ends_.find(reference); !found && gone != ends_.end())
        return answer(token, gone->second);
    if (!found && !is_full_id(reference))
        return host_.refuse(token, noded_rejection(found.error().code), found.error().message);
    if (found)
        if (const auto end = known_end(**found, until)) return answer(token, *end);
    if (!may_park(token)) return;
    if (!found && !park_unknown(token, reference)) return;
    Live& live = live_of(found ? (*found)->id : reference);
    const bool asked = (until == Until::PAUSED && live.freeze == schema::Freeze::PAUSE) ||
                       (until == Until::UNPAUSED && live.freeze == schema::Freeze::UNPAUSE);
    live.waiters.push_back({token, until, asked});
    call_homes_[token] = live.id;
}

void Effects::wait_exec(uint64_t token, const std::string& exec_id, bool started) {
    const auto home = state_.container_by_exec.find(exec_id);
    if (home == state_.container_by_exec.end() && !is_full_id(exec_id))
        return host_.refuse(token, NODED_REJECT_NOT_FOUND,
                            "No such exec instance: " + exec_id.substr(0, 128));
    if (home != state_.container_by_exec.end()) {
        const Container* container = state_.get(home->second);
        const Exec* exec = container != nullptr ? container->find_exec(exec_id) : nullptr;
        if (exec != nullptr && exec->done)
            return answer_exec(token, {exec->exit_code, exec->error, false});
    }
    if (const LiveExec* live = find_exec(exec_id); live != nullptr && live->started && started)
        return answer_exec(token, {});
    if (!may_park(token)) return;
    if (home == state_.container_by_exec.end() && !park_unknown_exec(token, exec_id)) return;
    exec_of(exec_id).waiters.push_back({token, started ? Until::STARTED : Until::EXITED});
    call_homes_[token] = exec_id;
}

bool Effects::may_park(uint64_t token) {
    if (call_homes_.size() < limits::calls_parked_max) return true;
    host_.refuse(token, NODED_REJECT_LIMIT, "too many calls wait on this node");
    return false;
}

/// Makes place for a container whose command is still on its way. False: refused.
bool Effects::park_unknown(uint64_t token, const std::string& id) {
    if (find_live(id) != nullptr) return true;
    if (unknown_ >= limits::unknown_ids_parked_max) {
        host_.refuse(token, NODED_REJECT_LIMIT,
                     "too many calls wait for commands that did not come yet");
        return false;
    }
    Live& live = live_of(id);
    live.park_timer = after(limits::park_deadline_ns, [this, id] { park_deadline(id); });
    if (live.park_timer != 0) ++unknown_;
    return true;
}

void Effects::park_deadline(const std::string& id) {
    Live* live = find_live(id);
    if (live == nullptr || live->known) return;
    live->park_timer = 0;
    --unknown_;
    for (const Waiter& waiter : live->waiters)
        host_.refuse(waiter.token, NODED_REJECT_NOT_FOUND, "No such container: " + id);
    drop_live(id);
}

bool Effects::park_unknown_exec(uint64_t token, const std::string& id) {
    if (find_exec(id) != nullptr) return true;
    if (unknown_ >= limits::unknown_ids_parked_max) {
        host_.refuse(token, NODED_REJECT_LIMIT,
                     "too many calls wait for commands that did not come yet");
        return false;
    }
    LiveExec& exec = exec_of(id);
    exec.park_timer = after(limits::park_deadline_ns, [this, id] {
        LiveExec* late = find_exec(id);
        if (late == nullptr || !late->container_id.empty()) return;
        late->park_timer = 0;
        --unknown_;
        for (const Waiter& waiter : late->waiters)
            host_.refuse(waiter.token, NODED_REJECT_NOT_FOUND, "No such exec instance: " + id);
        drop_exec(id);
    });
    if (exec.park_timer != 0) ++unknown_;
    return true;
}

void Effects::remember_end(const std::string& id, const Ended& end) {
    ends_[id] = end;
    ends_order_.push_back(id);
    if (ends_order_.size() <= limits::ends_remembered_max) return;
    ends_.erase(ends_order_.front());
    ends_order_.pop_front();
}

void Effects::cancelled(uint64_t token) {
    forget_files(token);
    const auto home = call_homes_.find(token);
    if (home == call_homes_.end()) return;
    const std::string id = home->second;
    call_homes_.erase(home);
    const auto is_it = [token](const Waiter& waiter) { return waiter.token == token; };
    if (Live* live = find_live(id)) {
        std::erase_if(live->waiters, is_it);
        std::erase_if(live->answers, [token](const auto& entry) { return entry.second == token; });
    }
    if (LiveExec* exec = find_exec(id)) std::erase_if(exec->waiters, is_it);
}

}  // namespace noded::container
