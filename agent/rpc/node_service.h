// NodeService: the Node interface of schemas/node.capnp for one connection. Decodes, checks sizes,
// hands on; no logic.
//
// What a client may do is decided by who it is (peer credentials of the socket): the socket's mode
// lets in root and the socket's group, and whoever is in may do everything, as with docker.sock.
#pragma once

#include <capnp/capability.h>

#include <string>

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/log/keeper.h"
#include "agent/log/log.h"
#include "agent/machine_limits.h"
#include "agent/pub/outbox.h"
#include "agent/reactor/reactor.h"
#include "agent/rpc/moment.h"
#include "schemas/node.capnp.h"

namespace noded::rpc_service {

/// What the service speaks for; owned by main, lives longer than any connection.
struct Node {
    reactor::Reactor& reactor;
    core::Pipeline& pipeline;
    host::Host& host;
    log::Log& log;
    pub::Outbox& outbox;

    std::string version = {};
    std::string reactor_description = {};
    int64_t started_ns = 0;
    std::function<uint64_t()> snapshot_seq = {};   ///< of the newest snapshot, 0 if there is none
    /// what log, snapshots and archive take
    std::function<Result<log::KeeperReport>()> log_report = {};
    std::function<size_t()> clients = {};
    /// time of the oldest event, once somebody asked; that it is of this one
    int64_t oldest_ns = 0;
    uint64_t oldest_ns_of = 0;
    /// one end of a socket on which the node answers as it was; unset in the past
    std::function<Result<Fd>(const Moment&)> past = {};
    MachineLimits machine = {};
    int64_t as_of_ns = 0;   ///< in the past: which time it is there
    /// writes the snapshot and stops the plugins; once, at the end
    std::function<void()> stop = {};
};

class NodeService : public schema::Node::Server {
public:
    NodeService(Node& node, host::Caller caller) : node_(node), caller_(caller) {}

    kj::Promise<void> version(VersionContext context) override;
    kj::Promise<void> info(InfoContext context) override;
    kj::Promise<void> submit(SubmitContext context) override;
    kj::Promise<void> plugin(PluginContext context) override;
    kj::Promise<void> callWithStream(CallWithStreamContext context) override;
    kj::Promise<void> callJson(CallJsonContext context) override;
    kj::Promise<void> plugins(PluginsContext context) override;
    kj::Promise<void> schema(SchemaContext context) override;
    kj::Promise<void> events(EventsContext context) override;
    kj::Promise<void> seqAt(SeqAtContext context) override;
    kj::Promise<void> past(PastContext context) override;

private:
    kj::Promise<void> fill_page(EventsContext context, uint64_t since, uint32_t max);

    Node& node_;
    const host::Caller caller_;
};

/// A client's call of a plugin as a promise; dropping it cancels the call.
kj::Promise<host::CallResult> call_plugin(host::Host& host, kj::StringPtr plugin, uint16_t method,
                                          Bytes params, host::Caller caller, Fd fd);

}  // namespace noded::rpc_service
