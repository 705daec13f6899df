// Outbox: durable events and samples on their way out of the node.
//
// Events arrive in log order from the pipeline, after their reactions; samples from plugins at any
// time. Both leave on one ZeroMQ XPUB endpoint, [topic, payload], and only if somebody subscribed:
//     event/<plugin>/<name>        words of schema Event
//     json/event/<plugin>/<name>   the same as JSON, with the payload's fields
//     <plugin>/…, <plugin>@…, json/<plugin>…   what the plugin published, or a word that it owns
// A subscription that can take nothing is answered by one message under its own topic,
// {"error": "a sentence"}. ops/docs/streams.md is the page for subscribers.
// Who missed something reads it again by seq through RPC (Node.events), which waits here for new
// ones.
#pragma once

#include <kj/async.h>

#include <capnp/schema-loader.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/domain.h"
#include "agent/host/host.h"
#include "agent/reactor/reactor.h"
#include "ipc/pubsub/publisher_socket.h"

namespace noded::pub {

class Outbox final : public core::Publisher, public host::TopicSink, reactor::Completion {
public:
    explicit Outbox(reactor::Reactor& reactor) : reactor_(reactor) {}

    /// Opens the endpoint; until then, and without it, events only wake the waiters.
    Status open(const std::string& endpoint,
                std::optional<ipc::PublisherSocket::Curve> curve = {});
    const std::string& endpoint() const { return endpoint_; }
    /// Who knows the names of event types; set once, before the first event.
    void connect(host::Host& host) { host_ = &host; }
    /// Looks at what subscribers told meanwhile; called at the end of each turn, after all that
    /// sends.
    void turn_end();
    /// Closes the endpoint; call it while the reactor still turns.
    void close();

    void publish(const core::Event& event) override;
    bool publish_sample(const std::string& topic, Bytes payload) override;
    void visit_subscriptions(
        const std::function<void(const std::string&)>& visit) const override;

    /// Resolves at the next durable event.
    kj::Promise<void> next_event();

private:
    /// Somebody at the door of tcp://.
    struct Door final : reactor::Completion {
        Door(Outbox& owner, int at) : outbox(owner), fd(at) {}
        void complete(int32_t result, bool more) override;
        Outbox& outbox;
        const int fd;
    };

    void complete(int32_t result, bool more) override;
    bool send(const std::string& topic, Bytes payload);
    void drain();
    void guard();
    void notice(const std::string& prefix, const std::string& what);
    bool exists(const std::string& prefix) const;
    std::string json_of(const core::Event& event, const host::Instance& owner,
                        const std::string& name);

    reactor::Reactor& reactor_;
    host::Host* host_ = nullptr;
    std::string endpoint_;
    std::unique_ptr<ipc::PublisherSocket> socket_;
    bool sent_ = false;  ///< since the socket was drained
    /// By plugin, those that JSON was asked for of; null: its schema is none.
    std::map<std::string, std::unique_ptr<capnp::SchemaLoader>> schemas_;
    std::vector<std::unique_ptr<Door>> doors_;
    std::map<std::string, int64_t> complaints_;  ///< that were logged, and when
    std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiters_;
};

}  // namespace noded::pub
