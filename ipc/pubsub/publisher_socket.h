// PublisherSocket: a ZeroMQ XPUB endpoint that never blocks.
//
// Transport only: topics and payloads come from agent/pub. A subscriber that does not keep up loses
// messages once its queue is full, it alone, and the sender is told. Subscriptions arrive as
// messages on the same socket: drain() reads them when fd() is readable (edge-triggered: drain
// until it returns, and again after sends, before one sleeps).
//
// Beside ipc:// it may listen at tcp://, with CURVE (RFC 26 of ZeroMQ): everything is encrypted,
// and only clients whose public key is in a list are let in (ZAP, RFC 27).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
    /// Keys are 40 characters of Z85 (RFC 32).
    struct Curve {
        std::string endpoint;    ///< "tcp://ADDRESS:PORT"; port 0: any, see tcp_endpoint()
        std::string secret_key;  ///< of this node
        std::vector<std::string> clients;  ///< public keys of those who are let in
    };
    struct Options {
        int queue_messages_max = 0;
        size_t prefixes_max = 0;
        size_t prefix_bytes_max = 0;
        std::optional<Curve> curve = {};
    };
    static Result<std::unique_ptr<PublisherSocket>> bind(const std::string& endpoint,
                                                         const Options& options);
    ~PublisherSocket();

    int fd() const;
    /// Readable (edge-triggered, too) when somebody wants to be let in at tcp://, or was not; empty
    /// without CURVE. Call guard() then: nobody is let in otherwise.
    std::vector<int> guard_fds() const;
    /// Lets in who is in the list. Returns a sentence on each who was not.
    std::vector<std::string> guard();
    /// Where it listens at tcp://, with the port that it got; empty without.
    std::string tcp_endpoint() const;
    /// Takes in what subscribers told; when there is nothing that costs a system call.
    Drained drain();
    const Prefixes& prefixes() const;
    /// Somebody subscribed to a prefix of `topic`.
    bool wanted(std::string_view topic) const;
    /// Sends [topic, payload] to those who want it. False: the queue of one of them has filled up,
    /// and it misses this message and those that follow until it reads again; that is told once.
    bool send(std::string_view topic, Bytes payload);

    /// The public key of a secret one; nothing if it is none.
    static std::optional<std::string> public_key(const std::string& secret_key);

private:
    struct Zmq;
    explicit PublisherSocket(std::unique_ptr<Zmq> zmq);

    std::unique_ptr<Zmq> zmq_;
};

}  // namespace noded::ipc
