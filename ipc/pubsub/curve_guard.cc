// Who is let in at tcp://, see curve_guard.h.
#include "ipc/pubsub/curve_guard.h"

#include <zmq.h>

#include <cerrno>
#include <cstring>

namespace noded::ipc {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr const char* kMonitorEndpoint = "inproc://noded-monitor";
constexpr const char* kDomain = "noded";
constexpr size_t kPartsMax = 16;
constexpr size_t kKeyBytes = 32;

/// The parts of a message that is there, cut at a length that no valid one has; none if there is
/// none.
std::vector<std::string> receive(void* socket) {
    std::vector<std::string> parts;
    for (int more = 1; more != 0;) {
        char part[512];
        const int size = zmq_recv(socket, part, sizeof part, ZMQ_DONTWAIT);
        if (size < 0) return {};
        if (parts.size() < kPartsMax)
            parts.emplace_back(part, std::min<size_t>(static_cast<size_t>(size), sizeof part));
        size_t length = sizeof more;
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &length);
    }
    return parts;
}

int fd_of(void* socket) {
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    return fd;
}

std::string z85(const std::string& key) {
    char text[kZ85Bytes + 1];
    if (key.size() != kKeyBytes ||
        zmq_z85_encode(text, reinterpret_cast<const uint8_t*>(key.data()), key.size()) == nullptr)
        return "(none)";
    return text;
}

}  // namespace

Result<std::unique_ptr<CurveGuard>> CurveGuard::bind(void* context, void* socket,
                                                     const PublisherSocket::Curve& curve) {
    auto guard = std::unique_ptr<CurveGuard>(new CurveGuard);
    guard->socket_ = socket;
    guard->clients_ = {curve.clients.begin(), curve.clients.end()};
    // The answers come first: an endpoint without them would let everybody in.
    guard->zap_ = zmq_socket(context, ZMQ_REP);
    if (guard->zap_ == nullptr || zmq_bind(guard->zap_, kZapEndpoint) != 0)
        return fail_errno(zmq_errno(), "bind to " + std::string(kZapEndpoint));
    const int one = 1, zero = 0;
    zmq_setsockopt(guard->zap_, ZMQ_LINGER, &zero, sizeof zero);
    // What is set now holds for the endpoints that are bound from now on, not for ipc://.
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve.secret_key.data(),
                       curve.secret_key.size() + 1) != 0)
        return fail("publishKeyFile does not hold a secret key of 40 characters: make one with "
                    "'nodectl keygen'");
    zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, kDomain, strlen(kDomain));
    if (curve.endpoint.find('[') != std::string::npos)
        zmq_setsockopt(socket, ZMQ_IPV6, &one, sizeof one);
    constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    guard->monitor_ = zmq_socket(context, ZMQ_PAIR);
    if (guard->monitor_ == nullptr || zmq_socket_monitor(socket, kMonitorEndpoint, kEvents) != 0 ||
        zmq_connect(guard->monitor_, kMonitorEndpoint) != 0)
        return fail_errno(zmq_errno(), "watch the publish socket");
    zmq_setsockopt(guard->monitor_, ZMQ_LINGER, &zero, sizeof zero);
    if (zmq_bind(socket, curve.endpoint.c_str()) != 0)
        return fail_errno(zmq_errno(), "bind the publish socket to " + curve.endpoint);
    char bound[256];
    size_t size = sizeof bound;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
    guard->endpoint_ = bound;
    return guard;
}

CurveGuard::~CurveGuard() {
    if (monitor_ != nullptr) {
        zmq_socket_monitor(socket_, nullptr, 0);
        zmq_close(monitor_);
    }
    if (zap_ != nullptr) zmq_close(zap_);
}

std::vector<int> CurveGuard::fds() const { return {fd_of(zap_), fd_of(monitor_)}; }

/// Version, request, domain, address, identity, mechanism, and of CURVE the client's public key.
void CurveGuard::answer_one(const std::vector<std::string>& parts,
                            std::vector<std::string>& said) {
    const bool whole = parts.size() == 7 && parts[5] == "CURVE";
    const std::string key = whole ? z85(parts[6]) : "(none)";
    const bool known = whole && clients_.contains(key);
    if (!known)
        said.push_back("a subscriber from " + (parts.size() > 3 ? parts[3] : "somewhere") +
                       " with the public key " + key +
                       " was not let in: publishClients does not have it");
    const std::string answer[] = {"1.0", parts.size() > 1 ? parts[1] : "", known ? "200" : "400",
                                  known ? "OK" : "not in publishClients", "", ""};
    for (size_t i = 0; i < std::size(answer); ++i)
        zmq_send(zap_, answer[i].data(), answer[i].size(),
                 ZMQ_DONTWAIT | (i + 1 < std::size(answer) ? ZMQ_SNDMORE : 0));
}

/// A number of 16 bits and a value of 32; then the endpoint.
void CurveGuard::hear_one(const std::vector<std::string>& parts, std::vector<std::string>& said) {
    uint16_t event = 0;
    uint32_t value = 0;
    if (parts.empty() || parts[0].size() < sizeof event + sizeof value) return;
    memcpy(&event, parts[0].data(), sizeof event);
    memcpy(&value, parts[0].data() + sizeof event, sizeof value);
    const std::string where = " at " + endpoint_;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
        said.push_back("a subscriber" + where +
                       " has another public key for this node than the one of publishKeyFile");
    else  // of a peer without CURVE the kernel may tell first that it has hung up
        said.push_back("somebody" + where +
                       " does not speak ZeroMQ with CURVE, as is needed there");
}

std::vector<std::string> CurveGuard::work() {
    std::vector<std::string> said;
    // Both tell of what is there once.
    for (;;) {
        const auto parts = receive(zap_);
        if (parts.empty()) break;
        answer_one(parts, said);
    }
    for (;;) {
        const auto parts = receive(monitor_);
        if (parts.empty()) break;
        hear_one(parts, said);
    }
    return said;
}

}  // namespace noded::ipc
