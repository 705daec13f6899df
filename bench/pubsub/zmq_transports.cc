// noded's publish socket, and bare ZeroMQ; see transports.h.
#include <unistd.h>
#include <zmq.h>

#include <cstring>

#include "bench/pubsub/transports.h"
#include "ipc/pubsub/publisher_socket.h"

namespace noded::bench {
namespace {

constexpr const char* kTopic = "stats/bench";
constexpr int kQueueMessages = 8192;  ///< as agent/limits.h has it

class Ours final : public Publisher {
public:
    explicit Ours(const std::string& endpoint) {
        auto bound = ipc::PublisherSocket::bind(
            endpoint, {.queue_messages_max = kQueueMessages, .prefixes_max = 64,
                       .prefix_bytes_max = 255});
        if (!bound) die(bound.error().message);
        socket_ = std::move(*bound);
    }
    void wait_for_subscriber() override {
        while (!socket_->wanted(kTopic)) {
            socket_->drain();
            usleep(100);
        }
    }
    /// As agent/pub does it, which sends all samples that are due in one turn.
    void send(const char* message) override {
        if (!socket_->wanted(kTopic)) return;
        socket_->send(kTopic, {reinterpret_cast<const uint8_t*>(message), message_bytes});
        if (++in_turn_ < kTurnMessages) return;
        socket_->drain();
        in_turn_ = 0;
    }

private:
    static constexpr int kTurnMessages = 64;
    int in_turn_ = 0;
    std::unique_ptr<ipc::PublisherSocket> socket_;
};

class Zmq {
public:
    explicit Zmq(int type) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, type)) {
        if (socket_ == nullptr) die("make a socket of ZeroMQ");
        set(ZMQ_SNDHWM, kQueueMessages);
        set(ZMQ_RCVHWM, kQueueMessages);
        set(ZMQ_LINGER, 0);
    }
    ~Zmq() {
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }
    Zmq(const Zmq&) = delete;
    Zmq& operator=(const Zmq&) = delete;
    void set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof value); }
    void* socket() const { return socket_; }

private:
    void* const context_;
    void* const socket_;
};

class Bare final : public Publisher {
public:
    explicit Bare(const std::string& endpoint) : zmq_(ZMQ_XPUB) {
        zmq_.set(ZMQ_XPUB_NODROP, 1);
        if (zmq_bind(zmq_.socket(), endpoint.c_str()) != 0) die("bind " + endpoint);
    }
    void wait_for_subscriber() override {
        char subscription[64];
        zmq_recv(zmq_.socket(), subscription, sizeof subscription, 0);
    }
    void send(const char* message) override {
        zmq_send(zmq_.socket(), kTopic, strlen(kTopic), ZMQ_SNDMORE);
        zmq_send(zmq_.socket(), message, message_bytes, 0);
    }

private:
    Zmq zmq_;
};

/// The same for both.
class ZmqSubscriber final : public Subscriber {
public:
    explicit ZmqSubscriber(const std::string& endpoint) : zmq_(ZMQ_SUB) {
        zmq_setsockopt(zmq_.socket(), ZMQ_SUBSCRIBE, kTopic, strlen(kTopic));
        if (zmq_connect(zmq_.socket(), endpoint.c_str()) != 0) die("connect to " + endpoint);
    }
    const char* receive() override {
        zmq_recv(zmq_.socket(), buffer_, sizeof buffer_, 0);
        if (zmq_recv(zmq_.socket(), buffer_, sizeof buffer_, 0) != int(message_bytes))
            die("receive from ZeroMQ");
        return buffer_;
    }

private:
    Zmq zmq_;
    char buffer_[1024];
};

std::string endpoint_in(const Place& place) { return "ipc://" + place.folder + "/socket"; }

}  // namespace

std::unique_ptr<Publisher> publish_ours(const Place& place) {
    return std::make_unique<Ours>(endpoint_in(place));
}
std::unique_ptr<Publisher> publish_bare(const Place& place) {
    return std::make_unique<Bare>(endpoint_in(place));
}
std::unique_ptr<Subscriber> subscribe_ours(const Place& place) {
    return std::make_unique<ZmqSubscriber>(endpoint_in(place));
}
std::unique_ptr<Subscriber> subscribe_bare(const Place& place) { return subscribe_ours(place); }

}  // namespace noded::bench
