// timer: volatile deadlines of plugins.
#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/host/watch.h"
#include "agent/limits.h"

namespace noded::host {

void Timer::complete(int32_t, bool) {
    if (stopped) {
        delete this;   // left the instance's table when it was stopped
        return;
    }
    completed = true;
    if (!owner->loaded()) return;
    owner->host->when_durable([instance = owner, due = handle] {
        const auto at = instance->timers.find(due);
        if (at == instance->timers.end() || !instance->loaded()) return;
        const auto timer = std::move(at->second);
        instance->timers.erase(at);
        PhaseScope scope(*instance, Phase::reactor);
        timer->fire(instance->self, timer->argument);
    });
}

void forget(Instance& instance, std::unique_ptr<Timer> timer) {
    if (timer->completed) return;
    timer->stopped = true;
    instance.host->reactor().cancel(*timer.release());
}

namespace {

uint64_t start(const noded_host* face, int64_t delay_ns,
               void (*fire)(void*, void*) NODED_NOEXCEPT, void* argument) noexcept {
    Instance& instance = require(face, "timer.start");
    if (!instance.loaded() || instance.timers.size() >= limits::plugin_timers_max) return 0;
    Host& host = *instance.host;
    auto timer = std::make_unique<Timer>();
    timer->owner = &instance;
    timer->handle = host.next_handle();
    timer->fire = fire;
    timer->argument = argument;
    const int64_t deadline = host.reactor().clock().monotonic_ns() + (delay_ns > 0 ? delay_ns : 0);
    host.reactor().timer(deadline, *timer);
    const uint64_t handle = timer->handle;
    instance.timers.emplace(handle, std::move(timer));
    return handle;
}

void stop(const noded_host* face, uint64_t handle) noexcept {
    Instance& instance = require(face, "timer.stop");
    const auto at = instance.timers.find(handle);
    if (at == instance.timers.end()) return;
    auto timer = std::move(at->second);
    instance.timers.erase(at);
    forget(instance, std::move(timer));
}

int64_t monotonic_ns(const noded_host* face) noexcept {
    return require(face, "timer.monotonic_ns").host->reactor().clock().monotonic_ns();
}

int64_t realtime_ns(const noded_host* face) noexcept {
    return require(face, "timer.realtime_ns").host->reactor().clock().realtime_ns();
}

}  // namespace

const noded_ext_timer ext_timer = {sizeof(noded_ext_timer), start, stop, monotonic_ns, realtime_ns};

}  // namespace noded::host
