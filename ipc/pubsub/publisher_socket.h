// PublisherSocket: a ZeroMQ XPUB endpoint that never blocks and never drops silently.
//
// Transport only: topics and payloads come from agent/pub. Sends are non-blocking; a message that a
// full queue refuses is counted. Subscriptions arrive as messages on the same socket: drain() reads
// them when fd() is readable (edge-triggered: drain until it returns, and again after sends).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded::ipc {

class PublisherSocket {
public:
    /// `endpoint` is "ipc://PATH"; a socket file that an earlier process left there is replaced.
    static Result<std::unique_ptr<PublisherSocket>> bind(const std::string& endpoint,
                                                         int queue_messages_max);
    ~PublisherSocket();

    int fd() const;
    /// Takes in what subscribers told; cheap when there is nothing.
    void drain();
    /// Somebody subscribed to a prefix of `topic`.
    bool wanted(std::string_view topic) const;
    /// Sends [topic, payload] to those who want it.
    void send(std::string_view topic, Bytes payload);

    uint64_t lost() const { return lost_; }

private:
    struct Zmq;
    explicit PublisherSocket(std::unique_ptr<Zmq> zmq);

    std::unique_ptr<Zmq> zmq_;
    uint64_t lost_ = 0;
};

}  // namespace noded::ipc
