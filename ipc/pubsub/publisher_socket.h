// PublisherSocket: a ZeroMQ XPUB endpoint that never blocks.
//
// Transport only: topics and payloads come from agent/pub. A subscriber that does not keep up loses
// messages once its queue is full, it alone, and the sender is told. Subscriptions arrive as
// messages on the same socket: drain() reads them when fd() is readable (edge-triggered: drain
// until it returns, and again after sends).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded::ipc {

/// Prefixes that somebody subscribed to.
struct PrefixHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Prefixes = std::unordered_set<std::string, PrefixHash, std::equal_to<>>;

class PublisherSocket {
public:
    /// What drain() took in.
    struct Drained {
        std::vector<std::string> subscribed;  ///< each time, also by a second subscriber
        std::vector<std::string> refused;     ///< there are too many: these are not looked at
        bool changed = false;
    };

    /// `endpoint` is "ipc://PATH"; a socket file that an earlier process left there is replaced.
    /// At most `prefixes_max` different subscriptions of at most `prefix_bytes_max` bytes count.
    struct Options {
        int queue_messages_max = 0;
        size_t prefixes_max = 0;
        size_t prefix_bytes_max = 0;
    };
    static Result<std::unique_ptr<PublisherSocket>> bind(const std::string& endpoint,
                                                         const Options& options);
    ~PublisherSocket();

    int fd() const;
    /// Takes in what subscribers told; cheap when there is nothing.
    Drained drain();
    const Prefixes& prefixes() const;
    /// Somebody subscribed to a prefix of `topic`.
    bool wanted(std::string_view topic) const;
    /// Sends [topic, payload] to those who want it. False: the queue of one of them has filled up,
    /// and it misses this message and those that follow until it reads again; that is told once.
    bool send(std::string_view topic, Bytes payload);

private:
    struct Zmq;
    explicit PublisherSocket(std::unique_ptr<Zmq> zmq);

    std::unique_ptr<Zmq> zmq_;
};

}  // namespace noded::ipc
