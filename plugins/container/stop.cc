// Signals, and the SIGKILL that follows a stop after its grace period. The deadline counts from the
// event, so that a restart of noded does not prolong it.
//
// Signals go through the shim. One that does not take a SIGKILL, because somebody stopped it, is
// killed itself; what it ran is then killed through its cgroup (shim_lost).
#include <algorithm>
#include <csignal>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"

namespace noded::container {

void Effects::send_signal(Live& live, uint32_t signal, uint64_t seq) {
    if (!live.link || live.adopting) return;  // reconcile sends it when the shim is found
    const SignalRequest request{{}, signal};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&request);
    const uint64_t tag = seq != 0 ? control_signal_once | seq : ++tags_;
    const auto sent = live.link->send(ControlType::signal, 0, tag, {bytes, sizeof request});
    if (!sent)
        host_.warn("send signal " + std::to_string(signal) + " to container " + live.id + ": " +
                   sent.error().message);
}

/// A shim that answers did its part, even if the kernel needs a while for its own.
void Effects::send_kill(Live& live) {
    cgroups_->let_die(cgroup_of(live));
    send_signal(live, SIGKILL);
    if (!live.link || live.adopting) return;
    cancel(live.kill_timer);
    live.kill_tag = tags_;
    live.kill_timer = after(limits::kill_answer_deadline_ns, [this, id = live.id, run = live.run] {
        Live* late = find_live(id);
        if (late == nullptr) return;
        late->kill_timer = 0;
        if (!late->running || late->run != run || !late->link || late->link->pid() == 0) return;
        host_.warn("the shim of container " + id + " does not take the kill and is killed itself");
        late->shim_killed = true;
        (void)sys_->kill_process(late->link->pid(), SIGKILL);
    });
}

void Effects::apply_stop(Live& live) {
    send_signal(live, live.stop.signal);
    cancel(live.stop_timer);
    if (live.stop.timeout_seconds == limits::stop_timeout_never) return;
    const int64_t deadline_ns =
        live.stop.requested_ns + int64_t(live.stop.timeout_seconds) * 1'000'000'000;
    const int64_t left_ns = std::max<int64_t>(deadline_ns - host_.realtime_ns(), 0);
    live.stop_timer = after(left_ns, [this, id = live.id, run = live.run] {
        Live* late = find_live(id);
        if (late == nullptr) return;
        late->stop_timer = 0;
        if (late->running && late->run == run) send_kill(*late);
    });
}

}  // namespace noded::container
