// Plain calls: those whose answers hold no capability, so that nobody can call what they answer
// before it is there.
//
// Cap'n Proto prepares each call for such calls on its answer: a fork of its promise, two more that
// are joined, and a queue. For a small call that is half of the work of the server.
#pragma once

#include <capnp/capability.h>
#include <capnp/schema.h>

#include <vector>

namespace noded::rpc {

/// The methods of an interface that answer without capabilities.
class PlainMethods {
public:
    explicit PlainMethods(capnp::InterfaceSchema interface);
    bool contains(uint64_t interface_id, uint16_t method) const {
        return interface_id == interface_id_ && method < plain_.size() && plain_[method];
    }

private:
    uint64_t interface_id_;
    std::vector<bool> plain_;
};

/// `server` as a capability; `methods` outlives it.
capnp::Capability::Client serve(kj::Own<capnp::Capability::Server> server,
                                const PlainMethods& methods);

}  // namespace noded::rpc
