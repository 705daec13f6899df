// See zmtp.h.
#include "tools/nodectl/zmtp.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace noded::nodectl {
namespace {

constexpr size_t kFrameBytesMax = 8 << 20;
constexpr size_t kPartsMax = 64;
constexpr size_t kGreetingBytes = 64;
constexpr uint8_t kMore = 1, kLong = 2, kCommand = 4;

/// Signature, version 3.0, mechanism, and zeros.
std::string greeting() {
    std::string bytes(kGreetingBytes, '\0');
    bytes[0] = char(0xff);
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes.replace(12, 4, "NULL");
    return bytes;
}

std::string ready() {
    std::string body("\x05READY\x0bSocket-Type\0\0\0\x03SUB", 6 + 12 + 4 + 3);
    return std::string{char(kCommand), char(body.size())} + body;
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

Status ZmtpSubscriber::greet() {
    TRY_STATUS(send(greeting()));
    const std::string theirs = TRY(read(kGreetingBytes));
    if (theirs[0] != char(0xff) || (theirs[9] & 1) == 0 || theirs[10] < 3 ||
        theirs.substr(12, 5) != std::string("NULL\0", 5))
        return fail("what noded publishes on does not speak ZMTP 3 without encryption");
    TRY_STATUS(send(ready()));
    const Frame frame = TRY(read_frame());
    if (!frame.command || !frame.body.starts_with("\x05READY"))
        return fail("noded refused the subscriber: " + frame.body);
    return {};
}

Status ZmtpSubscriber::subscribe(std::string_view prefix) {
    if (prefix.size() > 254) return fail("a topic has at most 254 bytes");
    std::string frame{char(0), char(prefix.size() + 1), char(1)};
    frame += prefix;
    return send(frame);
}

Result<std::vector<std::string>> ZmtpSubscriber::receive() {
    std::vector<std::string> parts;
    for (;;) {
        Frame frame = TRY(read_frame());
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
