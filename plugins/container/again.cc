// Runs that follow by themselves: the wait between two runs, and what a new boot of the machine
// brings back. Due times are facts of the log, so a restart of noded neither prolongs nor loses a
// wait; a clock that was set back prolongs none by more than its length.
#include <algorithm>

#include "plugins/container/effects.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using schema::RestartKind;
using sdk::Message;
using sdk::text;

void Effects::wait_for_restart(Live& live, int64_t due_ns, uint32_t delay_ms,
                               const sdk::Cause& cause) {
    live.restart = cause;
    live.restart_wanted = false;
    const int64_t left_ns = std::clamp<int64_t>(due_ns - host_.realtime_ns(), 0,
                                                int64_t(delay_ms) * 1'000'000);
    cancel(live.restart_timer);
    live.restart_timer = after(left_ns, [this, id = live.id] {
        Live* due = find_live(id);
        if (due == nullptr) return;
        due->restart_timer = 0;
        Message<schema::ContainerStartRequested> event;
        event->setId(text(id));
        event->setRun(due->run + 1);
        host_.propose(event, due->restart);
    });
}

void Effects::restart_scheduled(const noded_event& event) {
    sdk::Reading<schema::ContainerRestartScheduled> in(event.payload);
    wait_for_restart(live_of(to_string(in->getId())), in->getDueNs(), in->getDelayMs(),
                     sdk::Cause::of(event));
}

static uint32_t count_of(std::string_view list) {
    uint64_t count = 0;
    for (const auto& [first, last] : ranges_of(list))
        if (last >= first) count += last - first + 1;
    return uint32_t(std::min<uint64_t>(count, UINT32_MAX));
}

HostFacts Effects::look_at_host() const {
    HostFacts facts = state_.host;
    if (auto boot = sys_->read_file("/proc/sys/kernel/random/boot_id"))
        facts.boot_id = boot->substr(0, boot->find('\n'));
    const auto line = [this](const char* path) {
        const auto text = sys_->read_file(path);
        return text ? text->substr(0, text->find('\n')) : "";
    };
    facts.cpu_list = line("/sys/devices/system/cpu/online");
    if (!facts.cpu_list.empty()) facts.cpus = count_of(facts.cpu_list);
    facts.memory_nodes = line("/sys/devices/system/node/online");
    facts.userns = userns_of(userns_, sys_->read_file("/etc/subuid"),
                             sys_->read_file("/etc/subgid"));
    return facts;
}

/// What somebody stopped and is always to run comes back with the machine, as in docker with its
/// daemon; a restart of noded alone is nothing that a container notices.
void Effects::observe_host() {
    const HostFacts facts = look_at_host();
    if (facts.userns.remaps_all && !facts.userns.error.empty())
        host_.warn("no container can start, as all shall have a user namespace: " +
                   facts.userns.error);
    if (facts == state_.host) return;
    const bool new_boot = !state_.host.boot_id.empty() && facts.boot_id != state_.host.boot_id;
    Message<schema::HostObserved> event;
    write_host(facts, *event);
    host_.propose(event, {});
    for (const auto& [id, container] : state_.by_id) {
        if (!new_boot || container.phase != Phase::EXITED || !container.stopped_by_user ||
            container.spec.restart.kind != RestartKind::ALWAYS)
            continue;
        Message<schema::ContainerRestartScheduled> restart;
        restart->setId(text(id));
        restart->setRun(container.run);
        restart->setDueNs(host_.realtime_ns());
        restart->setCount(container.restart_count + 1);
        sdk::Cause cause = container.start;
        cause.seq = 0;
        host_.propose(restart, cause);
    }
}

}  // namespace noded::container
