// The same load for stores that are peers: a protocol each, and a client as thin as it can be (one
// thread, a poll over its connections), so that the peer is measured and not its client.
#pragma once

#include <functional>

#include "bench/node/harness.h"

namespace noded::bench {

constexpr size_t kValueBytes = sizeof(struct put);

/// One connection's end of a protocol. The bytes travel elsewhere.
class Protocol {
public:
    virtual ~Protocol() = default;
    /// What is said first.
    virtual std::string hello() { return {}; }
    /// Appends a durable write of the key `number`; false if it must wait for `answers`.
    virtual bool request(uint64_t number, std::string& out) = 0;
    /// Takes whole answers off `in`, tells the number of each, appends what the protocol wants
    /// said.
    virtual Status answers(std::string& in, std::string& out,
                           const std::function<void(uint64_t)>& each) = 0;
};

using MakeProtocol = std::function<std::unique_ptr<Protocol>()>;

Status peer_load(const Arguments& arguments, const MakeProtocol& make);

}  // namespace noded::bench
