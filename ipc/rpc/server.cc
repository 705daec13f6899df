// The RPC server; see the header.
#include "ipc/rpc/server.h"

#include <capnp/rpc.capnp.h>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "ipc/rpc/errors.h"
#include "ipc/rpc/network.h"

namespace noded::rpc {

namespace {

constexpr int64_t retry_ns = 100'000'000;

// Tells the peer why, in the words of the protocol, and hangs up. The peer's socket is empty, so it
// takes this.
void refuse(Fd fd, kj::StringPtr reason) {
    capnp::MallocMessageBuilder message;
    auto abort = message.initRoot<capnp::rpc::Message>().initAbort();
    abort.setReason(reason);
    abort.setType(capnp::rpc::Exception::Type::OVERLOADED);
    FrameWriter writer;
    if (writer.add(nullptr, message.getSegmentsForOutput())) {
        [[maybe_unused]] const auto flushed = writer.flush(fd.get());
    }
}

}  // namespace

struct RpcServer::Connection {
    Connection(RpcServer& server, Fd fd, capnp::Capability::Client bootstrap)
        : server(server),
          stream(server.reactor_, server.sender_, std::move(fd)),
          network(stream, Network::Side::SERVER),
          system(capnp::makeRpcServer(network, kj::mv(bootstrap))) {
        ++server.connections_;
    }
    ~Connection() noexcept(false) { --server.connections_; }

    RpcServer& server;
    Stream stream;
    Network network;
    capnp::RpcSystem<Network::VatId> system;
};

// Accepts again after a pause: while the process is out of descriptors, accepting at once would
// spin.
struct RpcServer::Retry final : reactor::Completion {
    explicit Retry(RpcServer& server) : server(server) {}
    void complete(int32_t result, bool) override {
        if (result != -ECANCELED) server.listen_again();
    }
    RpcServer& server;
};

RpcServer::RpcServer(reactor::Reactor& reactor, Bootstrap bootstrap)
    : reactor_(reactor),
      bootstrap_(kj::mv(bootstrap)),
      sender_(reactor),
      retry_(std::make_unique<Retry>(*this)),
      tasks_(*this) {}

RpcServer::RpcServer(reactor::Reactor& reactor, Fd listening, Bootstrap bootstrap)
    : RpcServer(reactor, kj::mv(bootstrap)) {
    listening_ = std::move(listening);
    listen_again();
}

RpcServer::~RpcServer() noexcept {
    CHECK_MSG(!accepting_, "the reactor is stopped before the server goes");
}

void RpcServer::listen_again() {
    accepting_ = true;
    reactor_.accept(listening_.get(), *this);
}

void RpcServer::complete(int32_t result, bool more) {
    if (!more) accepting_ = false;
    if (result >= 0) {
        serve(Fd(result));
        if (!more) listen_again();
        return;
    }
    if (more || result == -ECANCELED) return;
    if (result == -ECONNABORTED || result == -EINTR || result == -EAGAIN) {
        listen_again();
    } else {
        reactor_.timer(reactor_.clock().monotonic_ns() + retry_ns, *retry_);
    }
}

void RpcServer::serve(Fd fd) {
    if (connections_ >= limits::rpc_connections_max) {
        refuse(std::move(fd),
               kj::str("noded has ", connections_, " connections, which is its limit"));
        return;
    }
    const auto peer = peer_of(fd.get());
    if (!peer) return refuse(std::move(fd), peer.error().message.c_str());
    kj::Maybe<capnp::Capability::Client> bootstrap;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { bootstrap = bootstrap_(*peer); })) {
        return refuse(std::move(fd), to_error(*exception).message.c_str());
    }
    auto connection =
        kj::heap<Connection>(*this, std::move(fd), kj::mv(KJ_ASSERT_NONNULL(bootstrap)));
    auto gone = connection->network.on_disconnect();
    tasks_.add(gone.attach(kj::mv(connection)));
}

void RpcServer::taskFailed(kj::Exception&&) {
    // Only the end of a connection comes here, and it ended as it should: its peer was told, or is
    // gone.
}

}  // namespace noded::rpc
