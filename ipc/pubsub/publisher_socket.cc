// The only file that includes zmq.h; see publisher_socket.h.
#include "ipc/pubsub/publisher_socket.h"

#include <zmq.h>

#include <cerrno>
#include <map>

#include "agent/base/check.h"

namespace noded::ipc {

struct PublisherSocket::Zmq {
    void* context = nullptr;
    void* socket = nullptr;
    int fd = -1;
    /// subscriptions, as XPUB passes them on
    std::map<std::string, uint64_t, std::less<>> prefixes;

    ~Zmq() {
        if (socket != nullptr) zmq_close(socket);
        if (context != nullptr) zmq_ctx_term(context);
    }
};

PublisherSocket::PublisherSocket(std::unique_ptr<Zmq> zmq) : zmq_(std::move(zmq)) {}
PublisherSocket::~PublisherSocket() = default;

Result<std::unique_ptr<PublisherSocket>> PublisherSocket::bind(const std::string& endpoint,
                                                               int queue_messages_max) {
    auto zmq = std::make_unique<Zmq>();
    zmq->context = zmq_ctx_new();
    CHECK(zmq->context != nullptr);
    zmq_ctx_set(zmq->context, ZMQ_IO_THREADS, 1);
    zmq->socket = zmq_socket(zmq->context, ZMQ_XPUB);
    if (zmq->socket == nullptr) return fail_errno(zmq_errno(), "create the publish socket");
    const int linger_ms = 0;
    zmq_setsockopt(zmq->socket, ZMQ_SNDHWM, &queue_messages_max, sizeof queue_messages_max);
    zmq_setsockopt(zmq->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (zmq_bind(zmq->socket, endpoint.c_str()) != 0) {
        return fail_errno(zmq_errno(), "bind the publish socket to " + endpoint);
    }
    size_t size = sizeof zmq->fd;
    zmq_getsockopt(zmq->socket, ZMQ_FD, &zmq->fd, &size);
    return std::unique_ptr<PublisherSocket>(new PublisherSocket(std::move(zmq)));
}

int PublisherSocket::fd() const { return zmq_->fd; }

void PublisherSocket::drain() {
    // First byte 1 subscribes, 0 unsubscribes; the rest is the prefix. XPUB passes on only the
    // first and the last subscriber of a prefix.
    uint8_t message[512];
    for (;;) {
        const int size = zmq_recv(zmq_->socket, message, sizeof message, ZMQ_DONTWAIT);
        if (size < 0) return;
        if (size == 0 || static_cast<size_t>(size) > sizeof message) continue;
        const std::string prefix(reinterpret_cast<const char*>(message) + 1, size - 1);
        if (message[0] == 1) {
            zmq_->prefixes[prefix] = 1;
        } else {
            zmq_->prefixes.erase(prefix);
        }
    }
}

bool PublisherSocket::wanted(std::string_view topic) const {
    for (const auto& [prefix, count] : zmq_->prefixes) {
        if (topic.starts_with(prefix)) return true;
    }
    return false;
}

void PublisherSocket::send(std::string_view topic, Bytes payload) {
    // A subscriber whose queue is full misses the message, the others do not; its seq tells it.
    if (zmq_send(zmq_->socket, topic.data(), topic.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return;
    zmq_send(zmq_->socket, payload.data(), payload.size(), ZMQ_DONTWAIT);
}

}  // namespace noded::ipc
