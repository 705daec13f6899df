// See peer_load.h.
#include "bench/node/peer_load.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "agent/base/fd.h"

namespace noded::bench {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kSilenceMs = 10'000;

Result<Fd> connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(path.size() < sizeof address.sun_path);
    memcpy(address.sun_path, path.c_str(), path.size());
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "connect to " + path);
    return fd;
}

/// "PORT" on the loopback.
Result<Fd> connect_port(const std::string& port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(atoi(port.c_str())));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "connect to port " + port);
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

class PeerLoad {
public:
    PeerLoad(const Arguments& arguments, const MakeProtocol& make)
        : arguments_(arguments), make_(make) {}

    Status run() {
        TRY_STATUS(connect_all());
        begin_us_ = now_us();
        while (true) {
            for (size_t i = 0; i < ends_.size(); ++i) TRY_STATUS(fill(ends_[i], polls_[i]));
            const int ready = poll(polls_.data(), polls_.size(), kSilenceMs);
            if (ready <= 0) return fail("the peer does not answer");
            for (size_t i = 0; i < ends_.size(); ++i)
                if (polls_[i].revents != 0) TRY_STATUS(take(ends_[i], polls_[i].fd));
            const double seconds = (now_us() - begin_us_) / 1e6;
            if (seconds < arguments_.seconds) continue;
            print_load(latencies_, seconds);
            return {};
        }
    }

private:
    struct End {
        Fd fd;
        std::unique_ptr<Protocol> protocol;
        std::string in, out;
        uint64_t under_way = 0;
    };

    Status connect_all() {
        for (uint64_t i = 0; i < arguments_.connections; ++i) {
            End& end = ends_.emplace_back();
            end.fd = arguments_.host.starts_with("/") ? TRY(connect_unix(arguments_.host))
                                                      : TRY(connect_port(arguments_.host));
            end.protocol = make_();
            end.out = end.protocol->hello();
            polls_.push_back({end.fd.get(), POLLIN, 0});
        }
        return {};
    }
    /// As many under way as were asked for, and all of them sent.
    Status fill(End& end, const pollfd& poll) {
        const uint64_t wanted = arguments_.outstanding / arguments_.connections;
        for (; end.under_way < wanted; ++end.under_way) {
            if (!end.protocol->request(sent_us_.size(), end.out)) break;
            sent_us_.push_back(now_us());
        }
        while (!end.out.empty()) {
            const ssize_t sent = send(poll.fd, end.out.data(), end.out.size(), MSG_NOSIGNAL);
            if (sent < 0) return fail_errno(errno, "send to the peer");
            end.out.erase(0, static_cast<size_t>(sent));
        }
        return {};
    }
    Status take(End& end, int fd) {
        const size_t had = end.in.size();
        end.in.resize(had + kReadBytes);
        const ssize_t got = recv(fd, end.in.data() + had, kReadBytes, 0);
        end.in.resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
        if (got <= 0) return fail("the peer closed the connection");
        return end.protocol->answers(end.in, end.out, [&](uint64_t number) {
            latencies_.push_back(now_us() - sent_us_[number]);
            --end.under_way;
        });
    }

    const Arguments& arguments_;
    const MakeProtocol& make_;
    std::vector<End> ends_;
    std::vector<pollfd> polls_;
    std::vector<double> sent_us_, latencies_;
    double begin_us_ = 0;
};

}  // namespace

Status peer_load(const Arguments& arguments, const MakeProtocol& make) {
    return PeerLoad(arguments, make).run();
}

}  // namespace noded::bench
