// Client: a tool's connection to noded. It starts fast, since nodectl connects once per invocation,
// and uses KJ's own event loop on epoll, because a tool has no reactor.
//
//     auto client = TRY(Client::connect("unix:/run/noded/noded.sock"));
//     auto node = client->bootstrap().castAs<Node>();
//     auto answer = TRY(client->wait(node.versionRequest().send()));
#pragma once

#include <capnp/capability.h>
#include <kj/async-io.h>

#include <memory>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "ipc/rpc/errors.h"

namespace noded::rpc {

class Client {
public:
    /// `host` is "unix:PATH".
    static Result<std::unique_ptr<Client>> connect(std::string_view host);
    /// Over a stream socket that is connected already. At most one Client at a time in a thread.
    static Result<std::unique_ptr<Client>> over(Fd socket);
    ~Client();

    /// What noded offers to whom it let in.
    capnp::Capability::Client bootstrap();

    /// Runs the loop until the promise is kept or broken.
    template <typename T>
    Result<T> wait(kj::Promise<T>&& promise) {
        return wait_for(kj::mv(promise), wait_scope());
    }

    kj::WaitScope& wait_scope();
    /// For terminals, pipes and signals beside the connection.
    kj::LowLevelAsyncIoProvider& low_level();
    kj::UnixEventPort& event_port();

    /// Kept when noded goes away.
    kj::Promise<void> on_disconnect();

private:
    struct Impl;
    explicit Client(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace noded::rpc
