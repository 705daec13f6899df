// Network: Cap'n Proto's network of two parties over one stream of messages. Both ends of a
// connection use it.
//
// It stands where capnp::TwoPartyVatNetwork would, whose every message is a chain of promises: a
// dozen of allocations and two or three rounds of the event loop to send one, five to receive one.
// Here a message that is sent is in the stream's buffer at once, and one that is there is received
// at once.
#pragma once

#include <capnp/rpc-twoparty.h>

#include "agent/base/result.h"

namespace noded::rpc {

/// What a network sends and receives with.
class MessageStream {
public:
    using Received = kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>;
    using Segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;

    virtual ~MessageStream() noexcept(false) = default;
    /// Null at the end of the stream. One at a time is asked for.
    virtual kj::Promise<Received> receive() = 0;
    /// Copies the message, and sends it soon. An error if this one cannot be sent (FrameWriter); a
    /// stream that is broken takes all, and receive() tells.
    virtual Status send(kj::ArrayPtr<const int> fds, Segments segments) = 0;
    /// Kept when all is sent, and the peer told that this was the end.
    virtual kj::Promise<void> end() = 0;
};

class Network final : public capnp::TwoPartyVatNetworkBase,
                      private capnp::TwoPartyVatNetworkBase::Connection,
                      private kj::Disposer {
public:
    using Link = capnp::TwoPartyVatNetworkBase::Connection;
    using Side = capnp::rpc::twoparty::Side;
    using VatId = capnp::rpc::twoparty::VatId;

    /// `stream` outlives the network, and the network the RPC system on it.
    Network(MessageStream& stream, Side side);
    KJ_DISALLOW_COPY(Network);

    /// Kept when the RPC system has let the connection go.
    kj::Promise<void> on_disconnect() { return gone_.addBranch(); }

    // capnp::VatNetwork
    kj::Maybe<kj::Own<Link>> connect(VatId::Reader peer) override;
    kj::Promise<kj::Own<Link>> accept() override;

private:
    class Outgoing;

    kj::Own<Link> link();
    void disposeImpl(void* pointer) const override;   // Of a link: it is this object.

    // capnp::VatNetwork::Connection
    VatId::Reader getPeerVatId() override;
    kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(uint words) override;
    kj::Promise<MessageStream::Received> receiveIncomingMessage() override;
    kj::Promise<void> shutdown() override;

    MessageStream& stream_;
    const Side side_;
    bool accepted_ = false;
    capnp::MallocMessageBuilder peer_;
    mutable size_t links_ = 0;
    mutable kj::Own<kj::PromiseFulfiller<void>> let_go_;
    kj::ForkedPromise<void> gone_ = nullptr;
};

}  // namespace noded::rpc
