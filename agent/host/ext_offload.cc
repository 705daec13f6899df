// offload: blocking work of plugins on the reactor's bounded lane.
#include "agent/host/extensions.h"
#include "agent/host/host.h"

namespace noded::host {

namespace {

struct Job final : reactor::Completion {
    Instance* owner = nullptr;
    void (*done)(void*, void*) NODED_NOEXCEPT = nullptr;
    void* argument = nullptr;

    const void* offload_owner() const override { return owner; }
    void complete(int32_t, bool) override {
        const std::unique_ptr<Job> mine(this);
        // A plugin that was stopped meanwhile is not called again; its argument is lost with it.
        if (!owner->loaded()) return;
        owner->host->when_durable([instance = owner, call = done, what = argument] {
            if (!instance->loaded()) return;
            PhaseScope scope(*instance, Phase::reactor);
            call(instance->self, what);
        });
    }
};

int run(const noded_host* face, void (*work)(void*) NODED_NOEXCEPT,
        void (*done)(void*, void*) NODED_NOEXCEPT, void* argument) noexcept {
    Instance& instance = require(face, "offload.run");
    if (!instance.loaded()) return -1;
    auto job = std::make_unique<Job>();
    job->owner = &instance;
    job->done = done;
    job->argument = argument;
    const auto call = [work, argument]() -> int32_t {
        work(argument);
        return 0;
    };
    if (!instance.host->reactor().offload(call, *job)) return -1;
    job.release();   // frees itself on completion
    return 0;
}

}  // namespace

const noded_ext_offload ext_offload = {sizeof(noded_ext_offload), run};

}  // namespace noded::host
