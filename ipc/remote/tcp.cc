// See tcp.h.
#include "ipc/remote/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace noded::remote {
namespace {

struct Free {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

Result<std::unique_ptr<addrinfo, Free>> find(const TcpAddress& address, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(),
                                  address.port.c_str(), &hints, &found);
    if (error != 0)
        return fail("find " + address.host + ":" + address.port + ": " + gai_strerror(error));
    return std::unique_ptr<addrinfo, Free>(found);
}

int connect_one(const addrinfo& one, Deadline deadline, Fd& connected) {
    Fd fd(socket(one.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return errno;
    if (connect(fd.get(), one.ai_addr, one.ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return errno;
        pollfd wait{fd.get(), POLLOUT, 0};
        int ready = -1;
        do {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            ready = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
        } while (ready < 0 && errno == EINTR);
        if (ready < 0) return errno;
        if (ready == 0) return ETIMEDOUT;
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return error;
    }
    connected = std::move(fd);
    return 0;
}

}  // namespace

Result<TcpAddress> parse_tcp(const std::string& text, const std::string& port_default) {
    constexpr std::string_view kScheme = "tcp://";
    const auto wrong = [&] {
        return fail("an address is written as tcp://HOST:PORT, not \"" + text + "\"");
    };
    if (!text.starts_with(kScheme)) return wrong();
    std::string rest = text.substr(kScheme.size());
    while (rest.ends_with('/')) rest.pop_back();
    TcpAddress address{"", port_default};
    const size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
    if (bracket == std::string::npos) return wrong();
    const size_t colon = rest.find(':', bracket);
    address.host = rest.substr(0, colon);
    if (colon != std::string::npos) address.port = rest.substr(colon + 1);
    if (bracket > 0) {
        if (address.host.size() != bracket + 1) return wrong();
        address.host = address.host.substr(1, bracket - 1);
    }
    if (address.port.empty() || address.port.size() > 5 ||
        address.port.find_first_not_of("0123456789") != std::string::npos)
        return wrong();
    return address;
}

void keep_alive(int fd) {
    const auto set = [fd](int level, int option, int value) {
        setsockopt(fd, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(IPPROTO_TCP, TCP_KEEPCNT, 6);
    set(IPPROTO_TCP, TCP_NODELAY, 1);
}

Result<Fd> connect_tcp(const TcpAddress& address, Deadline deadline) {
    const auto list = TRY(find(address, 0));
    int error = ECONNREFUSED;
    Fd connected;
    for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
        error = connect_one(*one, deadline, connected);
        if (connected.valid()) return connected;
    }
    return fail_errno(error, "connect to " + address.host + ":" + address.port);
}

Result<Fd> listen_tcp(const TcpAddress& address, int backlog) {
    const auto list = TRY(find(address, AI_PASSIVE));
    const std::string shown = "listen on " + address.host + ":" + address.port;
    Fd fd(socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return fail_errno(errno, shown);
    const int yes = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0) return fail_errno(errno, shown);
    if (listen(fd.get(), backlog) != 0) return fail_errno(errno, shown);
    return fd;
}

}  // namespace noded::remote
