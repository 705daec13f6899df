// The client; see the header.
#include "ipc/rpc/client.h"

#include <kj/async-unix.h>

#include "ipc/rpc/frames.h"
#include "ipc/rpc/network.h"
#include "ipc/rpc/unix_socket.h"

namespace noded::rpc {

namespace {

// The frames of a connection on KJ's epoll port: read as much as is there, write once per idle
// loop.
class PolledStream final : public MessageStream {
public:
    PolledStream(kj::UnixEventPort& port, Fd fd)
        : fd_(std::move(fd)),
          observer_(port, fd_.get(), kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE) {}

    kj::Promise<Received> receive() override;
    Status send(kj::ArrayPtr<const int> fds, Segments segments) override;
    kj::Promise<void> end() override;

private:
    Result<bool> receive_some();
    kj::Promise<void> flush();

    Fd fd_;
    kj::UnixEventPort::FdObserver observer_;
    FrameReader frames_;
    bool end_of_input_ = false;
    // The wait for more, where it began before someone asked for more.
    kj::Maybe<kj::Promise<void>> readable_;
    FrameWriter writer_{true};
    kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> ending_;
    bool broken_ = false;
    bool flush_due_ = false;
    kj::Promise<void> flushing_ = kj::READY_NOW;
};

// Takes what the socket has; false if that is nothing.
Result<bool> PolledStream::receive_some() {
    msghdr message;
    frames_.prepare(message);
    ssize_t count = 0;
    do {
        count = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return false;
    if (count < 0) return fail_errno(errno, "receive from noded");
    if (count == 0) end_of_input_ = true;
    // Less than there is room for, and no descriptor that cut it short: the socket is empty, and
    // asking again would only say so. epoll tells of the next byte once, so the wait for it begins
    // now. But it tells of bytes and of the end of the stream behind them once as well: only where
    // it said that there was no end yet, it will speak of it later.
    bool more_is_told = false;
    KJ_IF_MAYBE (at_end, observer_.atEndHint()) more_is_told = !*at_end;
    const bool drained = more_is_told &&
                         static_cast<size_t>(count) < message.msg_iov->iov_len &&
                         message.msg_controllen == 0;
    if (drained && !end_of_input_) readable_ = observer_.whenBecomesReadable();
    TRY_STATUS(frames_.received(message, static_cast<size_t>(count)));
    return true;
}

kj::Promise<MessageStream::Received> PolledStream::receive() {
    for (;;) {
        auto message = frames_.next();
        if (!message) return to_exception(message.error());
        if (message->get() != nullptr)
            return Received(kj::Own<capnp::IncomingRpcMessage>(kj::mv(*message)));
        if (end_of_input_) {
            if (!frames_.within_message()) return Received(nullptr);
            return to_exception(
                Error{ECONNRESET, "noded closed the connection in the middle of a message"});
        }
        if (readable_ != nullptr) break;
        const auto received = receive_some();
        if (!received) return to_exception(received.error());
        if (!*received) readable_ = observer_.whenBecomesReadable();
    }
    auto readable = kj::mv(KJ_ASSERT_NONNULL(readable_));
    readable_ = nullptr;
    return readable.then([this] { return receive(); });
}

kj::Promise<void> PolledStream::flush() {
    auto flushed = writer_.flush(fd_.get());
    if (flushed && !*flushed) {
        return observer_.whenBecomesWritable().then([this] { return flush(); });
    }
    // A failed write is not reported: why noded hung up stands in what it sent before, and the
    // reader finds either that or the end of the stream.
    flush_due_ = false;
    broken_ = !flushed;
    KJ_IF_MAYBE (ending, ending_) {
        shutdown(fd_.get(), SHUT_WR);
        (*ending)->fulfill();
        ending_ = nullptr;
    }
    return kj::READY_NOW;
}

Status PolledStream::send(kj::ArrayPtr<const int> fds, Segments segments) {
    if (broken_) return {};
    TRY_STATUS(writer_.add(fds, segments));
    if (!flush_due_) {
        flush_due_ = true;
        flushing_ = kj::evalLast([this] { return flush(); }).eagerlyEvaluate(nullptr);
    }
    return {};
}

kj::Promise<void> PolledStream::end() {
    if (!flush_due_) {
        shutdown(fd_.get(), SHUT_WR);
        return kj::READY_NOW;
    }
    auto pair = kj::newPromiseAndFulfiller<void>();
    ending_ = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
}

}  // namespace

struct Client::Impl {
    explicit Impl(Fd fd)
        : io(kj::setupAsyncIo()),
          stream(io.unixEventPort, std::move(fd)),
          network(stream, Network::Side::CLIENT),
          system(capnp::makeRpcClient(network)) {}

    kj::AsyncIoContext io;
    PolledStream stream;
    Network network;
    capnp::RpcSystem<Network::VatId> system;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::connect(std::string_view host) {
    constexpr std::string_view scheme = "unix:";
    if (!host.starts_with(scheme)) {
        return fail("connect to " + std::string(host) + ": a host is written as unix:PATH");
    }
    auto client = over(TRY(connect_unix(std::string(host.substr(scheme.size())))));
    if (!client) return context(client.error(), "connect to " + std::string(host));
    return client;
}

Result<std::unique_ptr<Client>> Client::over(Fd socket) {
    Result<std::unique_ptr<Client>> client = std::unexpected(Error{});
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                     client = std::unique_ptr<Client>(
                         new Client(std::make_unique<Impl>(std::move(socket))));
                 })) {
        return std::unexpected(to_error(*exception));
    }
    return client;
}

capnp::Capability::Client Client::bootstrap() {
    capnp::MallocMessageBuilder vat(8);
    auto id = vat.initRoot<capnp::rpc::twoparty::VatId>();
    id.setSide(capnp::rpc::twoparty::Side::SERVER);
    return impl_->system.bootstrap(id);
}

kj::WaitScope& Client::wait_scope() { return impl_->io.waitScope; }
kj::LowLevelAsyncIoProvider& Client::low_level() { return *impl_->io.lowLevelProvider; }
kj::UnixEventPort& Client::event_port() { return impl_->io.unixEventPort; }
kj::Promise<void> Client::on_disconnect() { return impl_->network.on_disconnect(); }

}  // namespace noded::rpc
