// The promise adapter over a reactor timer; see after.h.
#include "agent/rpc/after.h"

namespace noded::rpc_service {

namespace {

/// The reactor holds it until its completion came, so a dropped promise leaves it to free itself.
struct Deadline final : reactor::Completion {
    kj::PromiseFulfiller<void>* fulfiller = nullptr;

    void complete(int32_t, bool) override {
        if (fulfiller != nullptr) {
            fulfiller->fulfill();
            adapter_done();
        }
        delete this;
    }
    void adapter_done() {
        if (slot != nullptr) *slot = nullptr;
    }
    Deadline** slot = nullptr;
};

class Adapter {
public:
    Adapter(kj::PromiseFulfiller<void>& fulfiller, reactor::Reactor& reactor, int64_t delay_ns)
        : reactor_(reactor), deadline_(new Deadline) {
        deadline_->fulfiller = &fulfiller;
        deadline_->slot = &deadline_;
        reactor.timer(reactor.clock().monotonic_ns() + delay_ns, *deadline_);
    }
    ~Adapter() {
        if (deadline_ == nullptr) return;
        deadline_->fulfiller = nullptr;
        deadline_->slot = nullptr;
        reactor_.cancel(*deadline_);
    }

private:
    reactor::Reactor& reactor_;
    Deadline* deadline_;
};

}  // namespace

kj::Promise<void> after(reactor::Reactor& reactor, int64_t delay_ns) {
    return kj::newAdaptedPromise<void, Adapter>(reactor, delay_ns);
}

}  // namespace noded::rpc_service
