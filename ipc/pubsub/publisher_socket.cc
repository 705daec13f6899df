// With curve_guard.cc the only file that includes zmq.h; see publisher_socket.h.
#include "ipc/pubsub/publisher_socket.h"

#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "agent/base/check.h"
#include "ipc/pubsub/curve_guard.h"

namespace noded::ipc {

/// Who sends more is hung up on. What is too long for a prefix, but not for this, can be answered
/// under its own topic.
constexpr size_t kMessageBytesMax = 64 << 10;

struct PublisherSocket::Zmq {
    void* context = nullptr;
    void* socket = nullptr;
    int fd = -1;
    Options options;
    Prefixes prefixes;
    std::map<size_t, size_t> lengths;  ///< how many prefixes have so many bytes, without zeros
    std::vector<uint8_t> buffer;
    std::unique_ptr<CurveGuard> guard;

    ~Zmq() {
        guard.reset();
        if (socket != nullptr) zmq_close(socket);
        if (context != nullptr) zmq_ctx_term(context);
    }
    void set(int option, int value) { zmq_setsockopt(socket, option, &value, sizeof value); }
    bool try_send(std::string_view topic, Bytes payload);
};

PublisherSocket::PublisherSocket(std::unique_ptr<Zmq> zmq) : zmq_(std::move(zmq)) {}
PublisherSocket::~PublisherSocket() = default;

Result<std::unique_ptr<PublisherSocket>> PublisherSocket::bind(const std::string& endpoint,
                                                               const Options& options) {
    auto zmq = std::make_unique<Zmq>();
    zmq->options = options;
    zmq->buffer.resize(kMessageBytesMax);
    zmq->context = zmq_ctx_new();
    CHECK(zmq->context != nullptr);
    zmq_ctx_set(zmq->context, ZMQ_IO_THREADS, 1);
    zmq->socket = zmq_socket(zmq->context, ZMQ_XPUB);
    if (zmq->socket == nullptr) return fail_errno(zmq_errno(), "create the publish socket");
    zmq->set(ZMQ_SNDHWM, options.queue_messages_max);
    zmq->set(ZMQ_LINGER, 0);
    zmq->set(ZMQ_XPUB_VERBOSE, 1);
    zmq->set(ZMQ_XPUB_NODROP, 1);
    // What no subscriber may send is not even read: prefixes are short.
    const int64_t bytes_max = kMessageBytesMax;
    zmq_setsockopt(zmq->socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max);
    if (zmq_bind(zmq->socket, endpoint.c_str()) != 0) {
        return fail_errno(zmq_errno(), "bind the publish socket to " + endpoint);
    }
    if (options.curve)
        zmq->guard = TRY(CurveGuard::bind(zmq->context, zmq->socket, *options.curve));
    size_t size = sizeof zmq->fd;
    zmq_getsockopt(zmq->socket, ZMQ_FD, &zmq->fd, &size);
    return std::unique_ptr<PublisherSocket>(new PublisherSocket(std::move(zmq)));
}

int PublisherSocket::fd() const { return zmq_->fd; }

std::vector<int> PublisherSocket::guard_fds() const {
    return zmq_->guard ? zmq_->guard->fds() : std::vector<int>();
}

std::vector<std::string> PublisherSocket::guard() {
    return zmq_->guard ? zmq_->guard->work() : std::vector<std::string>();
}

std::string PublisherSocket::tcp_endpoint() const {
    return zmq_->guard ? zmq_->guard->endpoint() : std::string();
}

std::optional<std::string> PublisherSocket::public_key(const std::string& secret_key) {
    char key[kZ85Bytes + 1];
    if (secret_key.size() != kZ85Bytes || zmq_curve_public(key, secret_key.c_str()) != 0)
        return std::nullopt;
    return std::string(key);
}

const Prefixes& PublisherSocket::prefixes() const { return zmq_->prefixes; }

PublisherSocket::Drained PublisherSocket::drain() {
    // First byte 1 subscribes, 0 unsubscribes; the rest is the prefix. XPUB passes on each
    // subscriber of a prefix, and of those that leave the last.
    Drained drained;
    auto& buffer = zmq_->buffer;
    auto& prefixes = zmq_->prefixes;
    for (;;) {
        const int size = zmq_recv(zmq_->socket, buffer.data(), buffer.size(), ZMQ_DONTWAIT);
        if (size < 0) return drained;
        if (size == 0 || buffer[0] > 1) continue;
        const size_t length = std::min(static_cast<size_t>(size), buffer.size()) - 1;
        const bool short_enough = length <= zmq_->options.prefix_bytes_max;
        std::string prefix(reinterpret_cast<const char*>(buffer.data()) + 1, length);
        if (buffer[0] == 0) {
            const bool gone = short_enough && prefixes.erase(prefix) > 0;
            if (gone && --zmq_->lengths[length] == 0) zmq_->lengths.erase(length);
            drained.changed |= gone;
        } else if (!short_enough || (prefixes.size() >= zmq_->options.prefixes_max &&
                              !prefixes.contains(prefix))) {
            drained.refused.push_back(std::move(prefix));
        } else {
            const bool is_new = prefixes.insert(prefix).second;
            if (is_new) ++zmq_->lengths[length];
            drained.changed |= is_new;
            drained.subscribed.push_back(std::move(prefix));
        }
    }
}

bool PublisherSocket::wanted(std::string_view topic) const {
    for (const auto& [length, count] : zmq_->lengths) {
        if (length > topic.size()) return false;
        if (zmq_->prefixes.contains(topic.substr(0, length))) return true;
    }
    return false;
}

bool PublisherSocket::Zmq::try_send(std::string_view topic, Bytes payload) {
    if (zmq_send(socket, topic.data(), topic.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return false;
    // The queues were looked at with the first part.
    zmq_send(socket, payload.data(), payload.size(), ZMQ_DONTWAIT);
    return true;
}

/// A full queue makes a try fail for all. What was read from the queues meanwhile is only known
/// after a look at the events; then the last try leaves out just those whose queues are full.
bool PublisherSocket::send(std::string_view topic, Bytes payload) {
    if (zmq_->try_send(topic, payload)) return true;
    if (zmq_errno() != EAGAIN) return false;
    int events = 0;
    size_t size = sizeof events;
    zmq_getsockopt(zmq_->socket, ZMQ_EVENTS, &events, &size);
    if (zmq_->try_send(topic, payload)) return true;
    zmq_->set(ZMQ_XPUB_NODROP, 0);
    zmq_->try_send(topic, payload);
    zmq_->set(ZMQ_XPUB_NODROP, 1);
    return false;
}

}  // namespace noded::ipc
