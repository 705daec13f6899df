// See link.h.
#include "ipc/remote/link.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace noded::remote {
namespace {

class PlainLink final : public Link {
public:
    PlainLink(Fd in, Fd out) : in_(std::move(in)), out_(std::move(out)) {
        for (const int fd : {in_.get(), out_.get()})
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }

    Result<std::optional<size_t>> receive(std::span<char> into) override {
        const ssize_t got = read(in_.get(), into.data(), into.size());
        if (got >= 0) return static_cast<size_t>(got);
        if (errno == EAGAIN || errno == EINTR) return std::nullopt;
        return fail_errno(errno, "receive from the other machine");
    }

    Result<size_t> send(std::string_view bytes) override {
        const ssize_t sent = write(out_.get(), bytes.data(), bytes.size());
        if (sent >= 0) return static_cast<size_t>(sent);
        if (errno == EAGAIN || errno == EINTR) return size_t{0};
        return fail_errno(errno, "send to the other machine");
    }

    void end() override {
        if (shutdown(out_.get(), SHUT_WR) != 0) out_.reset();   // a pipe
    }

    void watch(bool to_receive, bool to_send, std::vector<pollfd>& list) const override {
        if (to_receive) list.push_back({in_.get(), POLLIN, 0});
        if (to_send) list.push_back({out_.get(), POLLOUT, 0});
    }

    std::vector<int> descriptors() const override { return {in_.get(), out_.get()}; }

private:
    Fd in_;
    Fd out_;
};

}  // namespace

Status wait_for(const Link& link, bool to_send, Deadline deadline) {
    std::vector<pollfd> list;
    link.watch(!to_send, to_send, list);
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return fail_errno(ETIMEDOUT, "wait for the other machine");
        const int ready = poll(list.data(), list.size(),
                               static_cast<int>(std::min<int64_t>(left.count() + 1, 60'000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail_errno(errno, "wait for the other machine");
    }
}

Status send_all(Link& link, std::string_view bytes, Deadline deadline) {
    while (!bytes.empty()) {
        const size_t sent = TRY(link.send(bytes));
        bytes.remove_prefix(sent);
        if (sent == 0) TRY_STATUS(wait_for(link, true, deadline));
    }
    return {};
}

Status receive_all(Link& link, std::span<char> into, Deadline deadline) {
    while (!into.empty()) {
        const auto got = TRY(link.receive(into));
        if (got && *got == 0)
            return fail_errno(ECONNRESET, "receive from the other machine");
        if (got) into = into.subspan(*got);
        else TRY_STATUS(wait_for(link, false, deadline));
    }
    return {};
}

std::unique_ptr<Link> plain_link(Fd in, Fd out) {
    return std::make_unique<PlainLink>(std::move(in), std::move(out));
}

}  // namespace noded::remote
