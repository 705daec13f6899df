// The transports that pubsub_bench compares, each as one publisher and one subscriber: noded's
// publish socket, ZeroMQ with nothing around it, and nats-server between the two.
//
// Whatever fails is printed and ends the process: a benchmark has nothing to save.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace noded::bench {

constexpr size_t message_bytes = 200;

struct Publisher {
    virtual ~Publisher() = default;
    /// Returns when the subscriber is there.
    virtual void wait_for_subscriber() = 0;
    virtual void send(const char* message) = 0;
    /// What is kept to be sent in one piece goes now.
    virtual void flush() {}
};

struct Subscriber {
    virtual ~Subscriber() = default;
    /// The next message, `message_bytes` of it, valid until the next call.
    virtual const char* receive() = 0;
};

/// `folder` is for sockets, `nats_port` where a nats-server listens at 127.0.0.1.
struct Place {
    std::string folder;
    int nats_port = 0;
};

std::unique_ptr<Publisher> publish_ours(const Place& place);
std::unique_ptr<Publisher> publish_bare(const Place& place);
std::unique_ptr<Publisher> publish_nats(const Place& place);
std::unique_ptr<Subscriber> subscribe_ours(const Place& place);
std::unique_ptr<Subscriber> subscribe_bare(const Place& place);
std::unique_ptr<Subscriber> subscribe_nats(const Place& place);

[[noreturn]] void die(const std::string& what);

}  // namespace noded::bench
