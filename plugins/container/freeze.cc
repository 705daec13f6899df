// Pause and its end: the container's cgroup is frozen or thawed, and looked at until all its
// processes are so. A freeze that does not come about within its deadline is taken back.
#include <algorithm>
#include <utility>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using schema::Freeze;
using sdk::Message;
using sdk::text;

namespace {

constexpr int64_t kFirstLookNs = 200'000;
constexpr int64_t kLookNsMax = 20'000'000;

}  // namespace

void Effects::freeze_requested(const std::string& id, Freeze asked, const sdk::Cause& cause) {
    Live* live = find_live(id);
    if (live == nullptr || !live->running) return;
    live->freeze = asked;
    live->freeze_cause = cause;
    supersede(*live, asked);
    if (!live->adopting) apply_freeze(*live);
}

/// What was asked for before and is not there yet has no outcome any more; who waits is told.
void Effects::supersede(Live& live, Freeze asked) {
    const Until wanted = asked == Freeze::PAUSE ? Until::PAUSED : Until::UNPAUSED;
    const Until before = asked == Freeze::PAUSE ? Until::UNPAUSED : Until::PAUSED;
    const std::string taken_back = "Container " + live.id + " was " +
                                   (asked == Freeze::PAUSE ? "paused" : "unpaused") +
                                   " again before all its processes were " +
                                   (asked == Freeze::PAUSE ? "unpaused" : "paused");
    std::erase_if(live.waiters, [&](const Waiter& waiter) {
        if (waiter.until != before || !waiter.asked) return false;
        answer(waiter.token, {125, taken_back, true});
        return true;
    });
    for (Waiter& waiter : live.waiters)
        if (waiter.until == wanted) waiter.asked = true;
}

void Effects::apply_freeze(Live& live) {
    cancel(live.freeze_timer);
    const auto written = cgroups_->freeze(cgroup_of(live), live.freeze == Freeze::PAUSE);
    if (!written) return propose_pause_failed(live, written.error().message);
    look_at_freeze(live, kFirstLookNs, host_.monotonic_ns() + limits::freeze_deadline_ns);
}

void Effects::look_at_freeze(Live& live, int64_t again_ns, int64_t deadline_ns) {
    if (cgroups_->frozen(cgroup_of(live)) == (live.freeze == Freeze::PAUSE))
        return propose_freeze(live);
    if (host_.monotonic_ns() >= deadline_ns) {
        (void)cgroups_->freeze(cgroup_of(live), false);
        return propose_pause_failed(live, "its processes did not " +
                                              std::string(live.freeze == Freeze::PAUSE
                                                              ? "freeze"
                                                              : "go on") +
                                              " in time");
    }
    live.freeze_timer = after(again_ns, [this, id = live.id, again_ns, deadline_ns] {
        Live* waiting = find_live(id);
        if (waiting == nullptr || waiting->freeze == Freeze::NONE) return;
        waiting->freeze_timer = 0;
        look_at_freeze(*waiting, std::min(2 * again_ns, kLookNsMax), deadline_ns);
    });
}

void Effects::propose_freeze(Live& live) {
    const auto propose = [&](auto event) {
        event->setId(text(live.id));
        event->setRun(live.run);
        host_.propose(event, live.freeze_cause);
    };
    if (live.freeze == Freeze::PAUSE) propose(Message<schema::ContainerPaused>());
    else propose(Message<schema::ContainerUnpaused>());
}

void Effects::propose_pause_failed(Live& live, const std::string& message) {
    Message<schema::ContainerPauseFailed> event;
    event->setId(text(live.id));
    event->setRun(live.run);
    event->setMessage(text(message));
    host_.propose(event, live.freeze_cause);
}

void Effects::commit_requested(const noded_event& event) {
    sdk::Reading<schema::ContainerCommitRequested> in(event.payload);
    Live* live = find_live(to_string(in->getId()));
    if (live != nullptr && live->running && in->getPauses()) live->commit = sdk::Cause::of(event);
}

/// Whether the image came or not: who was paused for it goes on.
void Effects::import_ended(const noded_event& event) {
    for (auto& [id, live] : lives_)
        if (live->commit.seq != 0 && memcmp(live->commit.command_id, event.command_id,
                                            sizeof live->commit.command_id) == 0)
            return unpause_after_commit(*live);
}

void Effects::unpause_after_commit(Live& live) {
    Message<schema::ContainerUnpauseRequested> unpause;
    unpause->setId(text(live.id));
    unpause->setRun(live.run);
    host_.propose(unpause, std::exchange(live.commit, {}));
}

/// `failure` is empty when it went well. The run's end answers both kinds of waiters.
void Effects::freeze_ended(const std::string& id, Until until, const std::string& failure) {
    Live* live = find_live(id);
    if (live == nullptr) return;
    cancel(live->freeze_timer);
    live->freeze = Freeze::NONE;
    const Ended end{125, failure, true};
    answer_waiters(*live, {until}, failure.empty() ? Ended{} : end);
}

}  // namespace noded::container
