// nats-server between a publisher and a subscriber, see transports.h. What its clients speak:
// docs.nats.io/reference/reference-protocols/nats-protocol.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "bench/pubsub/transports.h"

namespace noded::bench {
namespace {

class Connection {
public:
    explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            die("connect to nats-server: " + std::string(strerror(errno)));
        next_line();  // INFO
        write("CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\"}\r\n");
    }
    ~Connection() { close(fd_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void write(std::string_view text) {
        while (!text.empty()) {
            const ssize_t done = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
            if (done < 0) die("send to nats-server: " + std::string(strerror(errno)));
            text.remove_prefix(static_cast<size_t>(done));
        }
    }
    /// What it asks whether we are there is answered; an error of its ends all.
    std::string_view next_line() {
        for (;;) {
            const std::string_view line = one_line();
            if (line == "PING") write("PONG\r\n");
            else if (line.starts_with("-ERR")) die("nats-server: " + std::string(line));
            else return line;
        }
    }
    /// `size` bytes and the end of line behind them; valid until the next read, as a line is.
    const char* next_bytes(size_t size) {
        while (end_ - begin_ < size + 2) fill();
        const char* const found = buffer_ + begin_;
        begin_ += size + 2;
        return found;
    }

private:
    std::string_view one_line() {
        for (size_t seen = 0;;) {
            const std::string_view there(buffer_ + begin_, end_ - begin_);
            const size_t at = there.find("\r\n", seen);
            if (at != std::string_view::npos) {
                begin_ += at + 2;
                return there.substr(0, at);
            }
            seen = there.empty() ? 0 : there.size() - 1;
            fill();
        }
    }
    void fill() {
        if (begin_ != 0) {
            memmove(buffer_, buffer_ + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        const ssize_t size = read(fd_, buffer_ + end_, sizeof buffer_ - end_);
        if (size <= 0) die("nats-server closed the connection");
        end_ += static_cast<size_t>(size);
    }

    const int fd_;
    size_t begin_ = 0, end_ = 0;
    char buffer_[256 << 10];
};

/// Many messages go in one write, as in its own clients.
class NatsPublisher final : public Publisher {
public:
    explicit NatsPublisher(int port) : connection_(port) {}
    /// It tells a publisher nothing of those; when the other side says that it is known, it is.
    void wait_for_subscriber() override {}
    void send(const char* message) override {
        waiting_ += head_;
        waiting_.append(message, message_bytes);
        waiting_ += "\r\n";
        if (waiting_.size() >= kTogetherBytes) flush();
    }
    void flush() override {
        connection_.write(waiting_);
        waiting_.clear();
    }

private:
    static constexpr size_t kTogetherBytes = 32 << 10;
    const std::string head_ = "PUB stats.bench " + std::to_string(message_bytes) + "\r\n";
    Connection connection_;
    std::string waiting_;
};

class NatsSubscriber final : public Subscriber {
public:
    explicit NatsSubscriber(int port) : connection_(port) {
        connection_.write("SUB stats.bench 1\r\nPING\r\n");
        while (connection_.next_line() != "PONG") {}
    }
    const char* receive() override {
        if (!connection_.next_line().starts_with("MSG ")) die("nats-server sent no message");
        return connection_.next_bytes(message_bytes);
    }

private:
    Connection connection_;
};

}  // namespace

std::unique_ptr<Publisher> publish_nats(const Place& place) {
    return std::make_unique<NatsPublisher>(place.nats_port);
}
std::unique_ptr<Subscriber> subscribe_nats(const Place& place) {
    return std::make_unique<NatsSubscriber>(place.nats_port);
}

}  // namespace noded::bench
