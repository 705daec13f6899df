// PublisherSocket: a ZeroMQ XPUB endpoint that never blocks.
//
// Transport only: topics and payloads come from agent/pub. A subscriber that does not keep up loses
// messages once its queue is full, it alone. Subscriptions arrive as messages on the same socket:
// drain() reads them when fd() is readable (edge-triggered: drain until it returns, and again after
// sends).
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

private:
    struct Zmq;
    explicit PublisherSocket(std::unique_ptr<Zmq> zmq);

    std::unique_ptr<Zmq> zmq_;
};

}  // namespace noded::ipc
