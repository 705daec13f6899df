// Calls of plugins: by the typed capability of Node.plugin(), with a descriptor, or with JSON.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/limits.h"
#include "agent/rpc/fd_stream.h"
#include "agent/rpc/node_service.h"
#include "agent/rpc/refusal.h"

namespace noded::rpc_service {

namespace {

/// Keeps a call under way for as long as somebody wants its answer.
class PendingCall {
public:
    PendingCall(kj::PromiseFulfiller<host::CallResult>& fulfiller, host::Host& host,
                kj::StringPtr plugin, uint16_t method, Bytes params, host::Caller caller, Fd fd)
        : host_(host), alive_(std::make_shared<bool>(true)) {
        // The answer may come inside of call(), later, or after the client left: only a live one is
        // told.
        token_ = host.call(plugin.cStr(), method, params, caller, std::move(fd),
                           [&fulfiller, alive = alive_](host::CallResult result) {
                               if (*alive) fulfiller.fulfill(kj::mv(result));
                           });
    }
    ~PendingCall() {
        *alive_ = false;
        if (token_ != 0) host_.cancel(token_);
    }

private:
    host::Host& host_;
    std::shared_ptr<bool> alive_;
    uint64_t token_ = 0;
};

Bytes bytes_of(kj::ArrayPtr<const kj::byte> from) { return {from.begin(), from.size()}; }

/// The interface that a plugin exports: any method of it, forwarded as flat messages.
class PluginCapability final : public capnp::Capability::Server {
public:
    PluginCapability(host::Host& host, const host::Instance& instance, host::Caller caller)
        : host_(host), plugin_(instance.description.id), interface_id_(instance.rpc->interface_id),
          caller_(caller) {}

    DispatchCallResult dispatchCall(
        uint64_t interface_id, uint16_t method,
        capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
        if (interface_id != interface_id_) return {refuse_unknown_interface(), false};
        capnp::MallocMessageBuilder copy;
        copy.setRoot(context.getParams());
        context.releaseParams();
        context.allowCancellation();  // a client that is gone waits for nothing
        const auto words = capnp::messageToFlatArray(copy);
        auto promise = call_plugin(host_, plugin_, method, bytes_of(words.asBytes()), caller_, Fd())
                           .then([context](host::CallResult result) mutable {
                               set_results(context, result);
                           });
        return {kj::mv(promise), false};
    }

private:
    static void set_results(capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context,
                            host::CallResult& result) {
        // A plain call has no place for a descriptor.
        if (!result.answered) throw_refusal(result.rejection);
        capnp::FlatArrayMessageReader reader(
            kj::arrayPtr(reinterpret_cast<const capnp::word*>(result.results.data()),
                         result.results.size() / sizeof(capnp::word)));
        context.getResults(capnp::MessageSize{result.results.size() / kWordSize + 2, 0})
            .set(reader.getRoot<capnp::AnyPointer>());
    }
    kj::Promise<void> refuse_unknown_interface() {
        return refusal(
            {NODED_REJECT_NOT_FOUND, "plugin " + plugin_ + " does not export that interface"});
    }

    host::Host& host_;
    const std::string plugin_;
    const uint64_t interface_id_;
    const host::Caller caller_;
};

}  // namespace

kj::Promise<host::CallResult> call_plugin(host::Host& host, kj::StringPtr plugin, uint16_t method,
                                          Bytes params, host::Caller caller, Fd fd) {
    return kj::newAdaptedPromise<host::CallResult, PendingCall>(host, plugin, method, params,
                                                                caller, kj::mv(fd));
}

kj::Promise<void> NodeService::plugin(PluginContext context) {
    const std::string name = context.getParams().getName().cStr();
    const host::Instance* instance = node_.host.find(name);
    if (instance == nullptr) {
        return refusal({NODED_REJECT_NOT_FOUND, node_.host.why_not(name)});
    }
    if (instance->rpc == nullptr || instance->rpc->interface_id == 0) {
        return refusal(
            {NODED_REJECT_NOT_FOUND, "plugin " + name + " exports no Cap'n Proto interface"});
    }
    context.getResults().setInterface(
        capnp::Capability::Client(kj::heap<PluginCapability>(node_.host, *instance, caller_)));
    return kj::READY_NOW;
}

kj::Promise<void> NodeService::callWithStream(CallWithStreamContext context) {
    context.allowCancellation();
    auto give = [this, context](kj::Maybe<int> borrowed) mutable -> kj::Promise<void> {
        const auto params = context.getParams();
        Fd fd;
        KJ_IF_MAYBE(number, borrowed) fd.reset(fcntl(*number, F_DUPFD_CLOEXEC, 3));
        return call_plugin(node_.host, params.getPlugin(), params.getMethod(),
                           bytes_of(params.getParams()), caller_, kj::mv(fd))
            .then([context](host::CallResult result) mutable {
                auto results = context.getResults();
                if (result.fd.valid())
                    results.setStream(kj::heap<FdStream>(kj::mv(result.fd)));
                if (!result.answered) throw_refusal(result.rejection);
                results.setResults(kj::arrayPtr(result.results.data(), result.results.size()));
            });
    };
    if (!context.getParams().hasStream()) return give(nullptr);
    auto stream = context.getParams().getStream();
    return stream.getFd().then(kj::mv(give)).attach(kj::mv(stream));
}

kj::Promise<void> NodeService::callJson(CallJsonContext context) {
    const auto params = context.getParams();
    const std::string name = params.getPlugin().cStr();
    const host::Instance* instance = node_.host.find(name);
    if (instance == nullptr) {
        return refusal({NODED_REJECT_NOT_FOUND, node_.host.why_not(name)});
    }
    if (instance->rpc == nullptr || instance->rpc->interface_id != 0) {
        return refusal({NODED_REJECT_NOT_FOUND, "plugin " + name + " has no JSON methods"});
    }
    for (uint32_t method = 0; method < instance->rpc->methods_count; ++method) {
        if (params.getMethod() != instance->rpc->methods[method]) continue;
        return call_plugin(node_.host, params.getPlugin(), static_cast<uint16_t>(method),
                           bytes_of(params.getParams().asBytes()), caller_, Fd())
            .then([context](host::CallResult result) mutable {
                if (!result.answered) throw_refusal(result.rejection);
                const std::string_view text = as_text(result.results);
                context.getResults().setResults(kj::str(kj::arrayPtr(text.data(), text.size())));
            });
    }
    return refusal({NODED_REJECT_NOT_FOUND, "plugin " + name + " has no method " +
                                                std::string(params.getMethod().cStr())});
}

}  // namespace noded::rpc_service
