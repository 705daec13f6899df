// NodeLink: the gateway's connection to noded, made anew whenever it is needed and not there.
//
// Holds nothing else: what a scrape answers is what noded answers then. One event loop, that of
// main.cc.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "schemas/container.capnp.h"
#include "schemas/node.capnp.h"
#include "schemas/stats.capnp.h"
#include "tools/gateway/metrics.h"

namespace noded::gateway {

/// All that one scrape asked for. `answers` reads from the responses beside it.
struct Scraped {
    std::vector<std::shared_ptr<void>> responses;
    Answers answers;
};

class NodeLink {
public:
    /// `path` is that of noded's socket.
    NodeLink(kj::AsyncIoContext& io, std::string path) : io_(io), path_(std::move(path)) {}

    /// Asks for everything, over a new connection if the old one turns out to be gone. Rejected
    /// with a sentence when noded does not answer in time.
    kj::Promise<std::shared_ptr<Scraped>> scrape();
    /// What a container wrote into its own layer; noded walks through all files of it.
    kj::Promise<Layer> layer(std::string container);
    /// Kept when noded answers.
    kj::Promise<void> check();

private:
    struct Connection;
    using Shared = std::shared_ptr<Connection>;

    kj::Promise<Shared> connect();
    template <typename T>
    kj::Promise<T> with_connection(kj::Function<kj::Promise<T>(Shared)> use);
    template <typename T>
    kj::Promise<T> in_time(kj::Promise<T> promise);

    kj::AsyncIoContext& io_;
    const std::string path_;
    Shared connection_;  ///< null: none that is known to work
};

}  // namespace noded::gateway
