// ShimLink, see shim_link.h.
#include "plugins/container/shim_link.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/base/check.h"
#include "plugins/container/shim/shim_client.h"

namespace noded::container {
namespace {

constexpr size_t kUnsentMax = 64;

}  // namespace

ShimLink::ShimLink(sdk::Host host, ShimUser& user, std::string id, Fd socket, Fd pidfd,
                   uint32_t pid)
    : host_(host),
      user_(user),
      id_(std::move(id)),
      socket_(std::move(socket)),
      pidfd_(std::move(pidfd)),
      pid_(pid) {
    CHECK(socket_.valid());
}

bool ShimLink::start() {
    CHECK(watch_ == 0);
    watch_ = host_.watch(socket_.get(), POLLIN | POLLRDHUP, ready, this);
    return watch_ != 0;
}

void ShimLink::stop() {
    if (watch_ != 0) host_.unwatch(watch_);
    watch_ = 0;
}

Status ShimLink::send(ControlType type, uint32_t flags, uint64_t tag, Bytes payload,
                      std::vector<Fd> fds) {
    Packet packet{type, flags, tag, Buffer(payload.begin(), payload.end()), std::move(fds)};
    if (unsent_.empty()) {
        const int error = send_now(packet);
        if (error == 0) return {};
        if (error != EAGAIN) return fail_errno(error, "send to the shim of " + id_);
    }
    if (unsent_.size() >= kUnsentMax) return fail_errno(ENOBUFS, "send to the shim of " + id_);
    unsent_.push_back(std::move(packet));
    // The host reports edges: a new watch learns that there is room again.
    stop();
    watch_ = host_.watch(socket_.get(), POLLIN | POLLOUT | POLLRDHUP, ready, this);
    return {};
}

int ShimLink::send_now(const Packet& packet) {
    std::vector<int> fds;
    for (const Fd& fd : packet.fds) fds.push_back(fd.get());
    while (true) {
        const auto sent =
            send_control(socket_.get(), packet.type, packet.flags, packet.tag, packet.payload, fds);
        if (sent) return 0;
        if (sent.error().code != EINTR)
            return sent.error().code != 0 ? sent.error().code : EMSGSIZE;
    }
}

void ShimLink::flush() {
    while (!unsent_.empty()) {
        const int error = send_now(unsent_.front());
        if (error == EAGAIN) return;
        // A lost peer shows itself when we read.
        unsent_.pop_front();
    }
}

void ShimLink::ready(void*, void* argument, uint32_t events) noexcept {
    auto& link = *static_cast<ShimLink*>(argument);
    if ((events & POLLOUT) != 0) link.flush();
    link.receive();
}

void ShimLink::receive() {
    // The largest answer is a status with all execs and a sentence.
    alignas(8) uint8_t buffer[sizeof(ControlHeader) + sizeof(StatusReply) +
                              execs_max * sizeof(ExecReply) + 4 * shim_message_bytes_max];
    while (true) {
        const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            stop();
            return user_.shim_closed(*this);
        }
        if (size_t(got) < sizeof(ControlHeader)) continue;
        ControlHeader header;
        memcpy(&header, buffer, sizeof header);
        user_.shim_said(*this, header, {buffer + sizeof header, size_t(got) - sizeof header});
    }
}

}  // namespace noded::container
