// The network of two parties; see the header.
#include "ipc/rpc/network.h"

#include "agent/base/check.h"
#include "ipc/rpc/errors.h"

namespace noded::rpc {

// Held by the RPC system until it is sent; what a call answers is built in it.
class Network::Outgoing final : public capnp::OutgoingRpcMessage {
public:
    Outgoing(MessageStream& stream, uint words)
        : stream_(stream), message_(words == 0 ? capnp::SUGGESTED_FIRST_SEGMENT_WORDS : words) {}

    capnp::AnyPointer::Builder getBody() override {
        return message_.getRoot<capnp::AnyPointer>();
    }
    void setFds(kj::Array<int> fds) override { fds_ = kj::mv(fds); }
    /// What is thrown breaks the one call, not the connection.
    void send() override {
        const Status sent = stream_.send(fds_, message_.getSegmentsForOutput());
        if (!sent) kj::throwFatalException(to_exception(sent.error()));
    }
    size_t sizeInWords() override { return message_.sizeInWords(); }

private:
    MessageStream& stream_;
    capnp::MallocMessageBuilder message_;
    kj::Array<int> fds_;
};

Network::Network(MessageStream& stream, Side side) : stream_(stream), side_(side), peer_(8) {
    peer_.initRoot<VatId>().setSide(side == Side::CLIENT ? Side::SERVER : Side::CLIENT);
    auto pair = kj::newPromiseAndFulfiller<void>();
    let_go_ = kj::mv(pair.fulfiller);
    gone_ = pair.promise.fork();
}

kj::Own<Network::Link> Network::link() {
    ++links_;
    return kj::Own<Link>(this, *this);
}

void Network::disposeImpl(void*) const {
    CHECK(links_ > 0);
    if (--links_ == 0) let_go_->fulfill();
}

kj::Maybe<kj::Own<Network::Link>> Network::connect(VatId::Reader peer) {
    if (peer.getSide() == side_) return nullptr;
    return link();
}

kj::Promise<kj::Own<Network::Link>> Network::accept() {
    if (side_ == Side::CLIENT || std::exchange(accepted_, true)) return kj::NEVER_DONE;
    return link();
}

Network::VatId::Reader Network::getPeerVatId() { return peer_.getRoot<VatId>(); }

kj::Own<capnp::OutgoingRpcMessage> Network::newOutgoingMessage(uint words) {
    return kj::heap<Outgoing>(stream_, words);
}

kj::Promise<MessageStream::Received> Network::receiveIncomingMessage() {
    return stream_.receive();
}

kj::Promise<void> Network::shutdown() { return stream_.end(); }

}  // namespace noded::rpc
