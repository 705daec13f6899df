// Timer and Watch: a plugin's deadline and a plugin's descriptor, as operations on the reactor.
//
// A plugin is entered only while its state is the durable one: what completes during a sync waits
// for its end (Host::when_durable), and is looked up by its handle then, for it may be gone.
//
// The reactor keeps a pointer to the operation until its completion came, also after a cancel. So a
// stopped operation leaves the instance's table and frees itself on that last completion.
#pragma once

#include "agent/host/instance.h"

namespace noded::host {

struct Timer final : reactor::Completion {
    Instance* owner = nullptr;
    uint64_t handle = 0;
    bool stopped = false;
    bool completed = false;   ///< the reactor has forgotten it
    void (*fire)(void*, void*) NODED_NOEXCEPT = nullptr;
    void* argument = nullptr;

    void complete(int32_t result, bool more) override;
};

/// Stops a timer that left its instance's table.
void forget(Instance& instance, std::unique_ptr<Timer> timer);

struct Watch final : reactor::Completion {
    Instance* owner = nullptr;
    uint64_t handle = 0;
    int fd = -1;
    uint32_t events = 0;
    bool stopped = false;
    bool completed = false;   ///< the reactor has forgotten it
    void (*ready)(void*, void*, uint32_t) NODED_NOEXCEPT = nullptr;
    void* argument = nullptr;

    void complete(int32_t result, bool more) override;
};

/// Stops a watch that left its instance's table.
void forget(Instance& instance, std::unique_ptr<Watch> watch);

}  // namespace noded::host
