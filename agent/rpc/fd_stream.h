// A descriptor on its way to the client.
#pragma once

#include "agent/base/fd.h"
#include "schemas/node.capnp.h"

namespace noded::rpc_service {

class FdStream final : public schema::Stream::Server {
public:
    explicit FdStream(Fd fd) : fd_(std::move(fd)) {}
    kj::Maybe<int> getFd() override { return fd_.get(); }

private:
    const Fd fd_;
};

}  // namespace noded::rpc_service
