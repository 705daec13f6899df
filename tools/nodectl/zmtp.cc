// See zmtp.h.
#include "tools/nodectl/zmtp.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "ipc/remote/tcp.h"

namespace noded::nodectl {
namespace {

constexpr size_t kFrameBytesMax = 8 << 20;
constexpr size_t kPartsMax = 64;
constexpr size_t kGreetingBytes = 64;
constexpr std::chrono::seconds kConnectTime{10};
constexpr uint8_t kMore = 1, kLong = 2, kCommand = 4;

/// Signature, version 3.0, mechanism, and zeros.
std::string greeting(std::string_view mechanism) {
    std::string bytes(kGreetingBytes, '\0');
    bytes[0] = char(0xff);
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes.replace(12, mechanism.size(), mechanism);
    return bytes;
}

constexpr std::string_view kMetadata("\x0bSocket-Type\0\0\0\x03SUB", 12 + 4 + 3);

std::string frame_head(uint8_t flags, size_t size) {
    std::string head;
    if (size <= 255) return {char(flags), char(size)};
    head += char(flags | kLong);
    for (int shift = 56; shift >= 0; shift -= 8) head += char(size >> shift & 0xff);
    return head;
}

}  // namespace

Result<ZmtpSubscriber> ZmtpSubscriber::connect(const std::string& endpoint) {
    constexpr std::string_view kScheme = "ipc://";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!endpoint.starts_with(kScheme))
        return fail("noded publishes on \"" + endpoint + "\", which is not ipc://PATH");
    const std::string path = endpoint.substr(kScheme.size());
    if (path.size() >= sizeof address.sun_path) return fail("the path " + path + " is too long");
    memcpy(address.sun_path, path.c_str(), path.size());
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail_errno(errno, "make a socket");
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "connect to " + path);
    ZmtpSubscriber subscriber(std::move(fd));
    TRY_STATUS(subscriber.greet());
    return subscriber;
}

Result<ZmtpSubscriber> ZmtpSubscriber::connect(const std::string& endpoint, const CurveKey& server,
                                               const CurveKey& secret) {
    const remote::TcpAddress address = TRY(remote::parse_tcp(endpoint, ""));
    Fd socket = TRY(remote::connect_tcp(address, std::chrono::steady_clock::now() + kConnectTime));
    (void)fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
    remote::keep_alive(socket.get());
    // Who answers to nothing is not waited for; a message may come tomorrow.
    const auto wait_for_answers = [fd = socket.get()](time_t seconds) {
        const timeval most{.tv_sec = seconds, .tv_usec = 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    };
    wait_for_answers(kConnectTime.count());
    ZmtpSubscriber subscriber(std::move(socket));
    subscriber.curve_.emplace(server, secret);
    TRY_STATUS(subscriber.greet());
    wait_for_answers(0);
    return subscriber;
}

Status ZmtpSubscriber::greet() {
    const std::string mechanism = curve_ ? "CURVE" : "NULL";
    TRY_STATUS(send(greeting(mechanism)));
    const std::string theirs = TRY(read(kGreetingBytes));
    if (theirs[0] != char(0xff) || (theirs[9] & 1) == 0 || theirs[10] < 3 ||
        theirs.substr(12, mechanism.size() + 1) != mechanism + '\0')
        return fail(curve_ ? "what answers there does not speak ZMTP 3 with CURVE"
                           : "what noded publishes on does not speak ZMTP 3 without encryption");
    if (curve_) return shake_hands();
    TRY_STATUS(send_command("\x05READY" + std::string(kMetadata)));
    const std::string answer = TRY(read_command());
    if (!answer.starts_with("\x05READY")) return fail("noded refused the subscriber: " + answer);
    return {};
}

/// A node that is spoken to with the key of another one hangs up without a word.
Status ZmtpSubscriber::shake_hands() {
    constexpr const char* kWrongKey =
        "the node hung up: is --server-key its public key? (its log tells)";
    constexpr std::string_view kError = "\x05" "ERROR";
    TRY_STATUS(send_command(curve_->hello()));
    const auto welcome = read_command();
    if (!welcome && welcome.error().code == ECONNRESET) return fail(kWrongKey);
    TRY_STATUS(send_command(TRY(curve_->initiate(TRY(welcome), kMetadata))));
    const auto answer = read_command();
    if ((!answer && answer.error().code == ECONNRESET) ||
        (answer && answer->starts_with(kError)))
        return fail("the node does not let this key in: its configuration needs \"" +
                    to_z85(curve_->own_public()) + "\" in publishClients");
    return curve_->ready(TRY(answer));
}

Status ZmtpSubscriber::send_command(std::string_view body) {
    return send(frame_head(kCommand, body.size()) + std::string(body));
}

Result<std::string> ZmtpSubscriber::read_command() {
    Frame frame = TRY(read_frame());
    if (!frame.command) return fail("what answers there does not speak ZMTP 3");
    return std::move(frame.body);
}

Status ZmtpSubscriber::subscribe(std::string_view prefix) {
    if (prefix.size() > 254) return fail("a topic has at most 254 bytes");
    std::string body(1, char(1));
    body += prefix;
    if (curve_) body = curve_->seal({false, false, std::move(body)});
    return send(frame_head(0, body.size()) + body);
}

bool ZmtpSubscriber::ready(int timeout_ms) const {
    if (taken_ < buffer_.size()) return true;
    pollfd one{fd_.get(), POLLIN, 0};
    return poll(&one, 1, timeout_ms) > 0;
}

Result<std::vector<std::string>> ZmtpSubscriber::receive() {
    std::vector<std::string> parts;
    for (;;) {
        Frame frame = TRY(read_frame());
        if (curve_) {
            auto opened = TRY(curve_->open(frame.body));
            frame = {opened.more, opened.command, std::move(opened.body)};
        }
        if (frame.command) continue;
        if (parts.size() == kPartsMax) return fail("a message has too many parts");
        parts.push_back(std::move(frame.body));
        if (!frame.more) return parts;
    }
}

Status ZmtpSubscriber::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail_errno(errno == EPIPE ? ECONNRESET : errno, "send to noded");
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return {};
}

Result<std::string> ZmtpSubscriber::read(size_t size) {
    while (buffer_.size() - taken_ < size) {
        buffer_.erase(0, taken_);
        taken_ = 0;
        char chunk[64 << 10];
        const ssize_t got = recv(fd_.get(), chunk, sizeof chunk, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN)
            return fail("what answers there says nothing: is it where noded publishes?");
        if (got < 0) return fail_errno(errno, "receive from noded");
        if (got == 0) return fail_errno(ECONNRESET, "receive from noded");
        buffer_.append(chunk, static_cast<size_t>(got));
    }
    std::string bytes = buffer_.substr(taken_, size);
    taken_ += size;
    return bytes;
}

Result<ZmtpSubscriber::Frame> ZmtpSubscriber::read_frame() {
    const auto flags = static_cast<uint8_t>(TRY(read(1))[0]);
    uint64_t size = 0;
    for (const char byte : TRY(read((flags & kLong) != 0 ? 8 : 1)))
        size = size << 8 | static_cast<uint8_t>(byte);
    if (size > kFrameBytesMax) return fail("noded sent a message that is too large");
    return Frame{(flags & kMore) != 0, (flags & kCommand) != 0, TRY(read(size))};
}

}  // namespace noded::nodectl
