// The promise adapter over a reactor timer; see after.h.
#include "agent/rpc/after.h"

namespace noded::rpc_service {

namespace {

class Adapter;

/// The reactor holds it until its completion came, so a dropped promise leaves it to free itself.
struct Deadline final : reactor::Completion {
    Adapter* adapter = nullptr;   ///< null: nobody waits any more

    void complete(int32_t result, bool more) override;
};

class Adapter {
public:
    Adapter(kj::PromiseFulfiller<void>& fulfiller, reactor::Reactor& reactor, int64_t delay_ns)
        : fulfiller_(fulfiller), reactor_(reactor), deadline_(new Deadline) {
        deadline_->adapter = this;
        reactor.timer(reactor.clock().monotonic_ns() + delay_ns, *deadline_);
    }
    ~Adapter() {
        if (deadline_ == nullptr) return;
        deadline_->adapter = nullptr;
        reactor_.cancel(*deadline_);
    }
    void passed() {
        deadline_ = nullptr;
        fulfiller_.fulfill();
    }

private:
    kj::PromiseFulfiller<void>& fulfiller_;
    reactor::Reactor& reactor_;
    Deadline* deadline_;
};

void Deadline::complete(int32_t, bool) {
    if (adapter != nullptr) adapter->passed();
    delete this;
}

}  // namespace

kj::Promise<void> after(reactor::Reactor& reactor, int64_t delay_ns) {
    return kj::newAdaptedPromise<void, Adapter>(reactor, delay_ns);
}

}  // namespace noded::rpc_service
