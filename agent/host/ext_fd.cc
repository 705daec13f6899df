// fd: readiness of the plugins' own descriptors.
#include <poll.h>

#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/host/watch.h"
#include "agent/limits.h"

namespace noded::host {

void Watch::complete(int32_t result, bool more) {
    if (stopped) {
        if (!more) delete this;   // left the instance's table when it was stopped
        return;
    }
    completed = result < 0;
    // The kernel may end a multishot poll (an overflowing completion queue): arm it again, the edge
    // is not lost. A descriptor that cannot be polled is told once.
    if (!more && !completed) owner->host->reactor().poll(fd, events, true, *this);
    if (result == 0 || !owner->loaded()) return;
    const uint32_t seen = completed ? POLLERR | POLLNVAL : static_cast<uint32_t>(result);
    owner->host->when_durable([instance = owner, watched = handle, seen] {
        const auto at = instance->watches.find(watched);
        if (at == instance->watches.end() || !instance->loaded()) return;
        PhaseScope scope(*instance, Phase::reactor);
        at->second->ready(instance->self, at->second->argument, seen);
    });
}

void forget(Instance& instance, std::unique_ptr<Watch> watch) {
    if (watch->completed) return;
    watch->stopped = true;
    instance.host->reactor().cancel(*watch.release());
}

namespace {

uint64_t watch(const noded_host* face, int fd, uint32_t events,
               void (*ready)(void*, void*, uint32_t) NODED_NOEXCEPT, void* argument) noexcept {
    Instance& instance = require(face, "fd.watch");
    if (!instance.loaded() || instance.watches.size() >= limits::plugin_fds_max) return 0;
    auto watch = std::make_unique<Watch>();
    watch->owner = &instance;
    watch->handle = instance.host->next_handle();
    watch->fd = fd;
    watch->events = events;
    watch->ready = ready;
    watch->argument = argument;
    instance.host->reactor().poll(fd, events, true, *watch);
    const uint64_t handle = watch->handle;
    instance.watches.emplace(handle, std::move(watch));
    return handle;
}

void unwatch(const noded_host* face, uint64_t handle) noexcept {
    Instance& instance = require(face, "fd.unwatch");
    const auto at = instance.watches.find(handle);
    if (at == instance.watches.end()) return;
    auto watch = std::move(at->second);
    instance.watches.erase(at);
    forget(instance, std::move(watch));
}

}  // namespace

const noded_ext_fd ext_fd = {sizeof(noded_ext_fd), watch, unwatch};

}  // namespace noded::host
