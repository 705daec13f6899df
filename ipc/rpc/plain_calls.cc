// Plain calls; see the header.
#include "ipc/rpc/plain_calls.h"

#include <set>

namespace noded::rpc {

namespace {

bool may_hold_capability(capnp::StructSchema type, std::set<uint64_t>& seen) {
    if (!seen.insert(type.getProto().getId()).second) return false;
    for (const auto field : type.getFields()) {
        capnp::Type of = field.getType();
        while (of.isList()) of = of.asList().getElementType();
        if (of.isInterface() || of.isAnyPointer()) return true;
        if (of.isStruct() && may_hold_capability(of.asStruct(), seen)) return true;
    }
    return false;
}

class NoCapabilities final : public capnp::PipelineHook, public kj::Refcounted {
public:
    kj::Own<capnp::PipelineHook> addRef() override { return kj::addRef(*this); }
    kj::Own<capnp::ClientHook> getPipelinedCap(
        kj::ArrayPtr<const capnp::PipelineOp>) override {
        return capnp::newBrokenCap("what this method answers holds no capability");
    }
};

// In front of what Cap'n Proto makes of a server, which takes all other calls.
class PlainHook final : public capnp::ClientHook, public kj::Refcounted {
public:
    PlainHook(kj::Own<capnp::Capability::Server> server, const PlainMethods& methods)
        : server_(*server),
          methods_(methods),
          general_(capnp::ClientHook::from(capnp::Capability::Client(kj::mv(server)))),
          no_capabilities_(kj::refcounted<NoCapabilities>()) {}

    capnp::Request<capnp::AnyPointer, capnp::AnyPointer> newCall(
        uint64_t interface_id, uint16_t method, kj::Maybe<capnp::MessageSize> size) override {
        return general_->newCall(interface_id, method, size);
    }

    VoidPromiseAndPipeline call(uint64_t interface_id, uint16_t method,
                                kj::Own<capnp::CallContextHook>&& context) override {
        if (!methods_.contains(interface_id, method))
            return general_->call(interface_id, method, kj::mv(context));
        // Not from within the call that made this one, and after those that came before it.
        auto answered = kj::evalLater([this, interface_id, method, &context = *context] {
            return server_
                .dispatchCall(interface_id, method,
                              capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer>(context))
                .promise;
        });
        return {answered.attach(kj::mv(context), addRef()), no_capabilities_->addRef()};
    }

    kj::Maybe<capnp::ClientHook&> getResolved() override { return nullptr; }
    kj::Maybe<kj::Promise<kj::Own<capnp::ClientHook>>> whenMoreResolved() override {
        return nullptr;
    }
    kj::Own<capnp::ClientHook> addRef() override { return kj::addRef(*this); }
    const void* getBrand() override { return nullptr; }
    kj::Maybe<int> getFd() override { return general_->getFd(); }

private:
    capnp::Capability::Server& server_;
    const PlainMethods& methods_;
    kj::Own<capnp::ClientHook> general_;   // Owns the server.
    kj::Own<NoCapabilities> no_capabilities_;
};

}  // namespace

PlainMethods::PlainMethods(capnp::InterfaceSchema interface)
    : interface_id_(interface.getProto().getId()) {
    for (const auto method : interface.getMethods()) {
        std::set<uint64_t> seen;
        plain_.push_back(!may_hold_capability(method.getResultType(), seen));
    }
}

capnp::Capability::Client serve(kj::Own<capnp::Capability::Server> server,
                                const PlainMethods& methods) {
    return capnp::Capability::Client(kj::Own<capnp::ClientHook>(
        kj::refcounted<PlainHook>(kj::mv(server), methods)));
}

}  // namespace noded::rpc
