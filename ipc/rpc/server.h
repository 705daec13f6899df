// RpcServer: accepts connections on a listening unix socket, or is given connected ones, and speaks
// two-party Cap'n Proto RPC on each.
//
// Invariants: at most limits::rpc_connections_max connections; one more is told so and closed. A
// peer that breaks a limit, or the protocol, loses its connection and hears why; nobody else
// notices. Built by main and by agent/past; runs on the reactor's thread alone. The reactor must be
// stopped before the server is destroyed.
#pragma once

#include <capnp/capability.h>
#include <kj/async.h>
#include <kj/function.h>

#include <memory>

#include "agent/base/fd.h"
#include "agent/reactor/reactor.h"
#include "ipc/rpc/stream.h"
#include "ipc/rpc/unix_socket.h"

namespace noded::rpc {

class RpcServer final : private reactor::Completion, private kj::TaskSet::ErrorHandler {
public:
    /// Makes what a new connection may call first. An exception refuses the connection, with its
    /// text as reason.
    using Bootstrap = kj::Function<capnp::Capability::Client(const PeerCredentials&)>;

    /// `listening` comes from listen_unix(); accepting begins at once.
    RpcServer(reactor::Reactor& reactor, Fd listening, Bootstrap bootstrap);
    /// Listens nowhere: it serves what it is given.
    RpcServer(reactor::Reactor& reactor, Bootstrap bootstrap);
    ~RpcServer() noexcept override;

    /// A connected socket; refused as one that was accepted would be.
    void serve(Fd fd);

    size_t connections() const { return connections_; }
    /// Received so far, on all connections.
    uint64_t messages() const { return sender_.received(); }

private:
    struct Connection;
    struct Retry;

    void complete(int32_t result, bool more) override;
    void taskFailed(kj::Exception&& exception) override;
    void listen_again();

    reactor::Reactor& reactor_;
    Fd listening_;
    Bootstrap bootstrap_;
    TurnSender sender_;
    std::unique_ptr<Retry> retry_;
    bool accepting_ = false;
    size_t connections_ = 0;
    kj::TaskSet tasks_;  // Each connection belongs to a task that ends with it; they go first.
};

}  // namespace noded::rpc
