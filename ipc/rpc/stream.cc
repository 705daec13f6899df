// The message stream on the reactor; see the header.
#include "ipc/rpc/stream.h"

#include <poll.h>

#include <algorithm>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "ipc/rpc/errors.h"

namespace noded::rpc {

namespace {

// Beyond this the peer is not read from until it has read.
constexpr size_t write_ahead_bytes = 256 << 10;
constexpr size_t held_bytes_max = 8 * limits::rpc_message_bytes_max;

}  // namespace

// What outlives a Stream: the descriptor, and the buffers that the kernel may be using.
class Socket {
public:
    using Received = MessageStream::Received;

    Socket(reactor::Reactor& reactor, TurnSender& sender, Fd fd)
        : reactor_(reactor),
          sender_(sender),
          fd_(std::move(fd)),
          receive_(*this),
          writable_(*this) {}

    kj::Promise<Received> read();
    Status write(kj::ArrayPtr<const int> fds, MessageStream::Segments segments);
    kj::Promise<void> end_output();
    void turn_end();
    void abandon();

private:
    // A member that hands the completion of one kind of operation to its socket.
    template <void (Socket::*Method)(int32_t)>
    struct Operation final : reactor::Completion {
        explicit Operation(Socket& socket) : socket(socket) {}
        void complete(int32_t result, bool) override {
            under_way = false;
            (socket.*Method)(result);
            if (socket.abandoned_) socket.delete_if_idle();
        }
        Socket& socket;
        bool under_way = false;
    };

    using Reader = kj::Own<kj::PromiseFulfiller<Received>>;

    ~Socket() noexcept {}
    void flush();
    void on_receive(int32_t result);
    void on_writable(int32_t result);
    void receive();
    void serve_reader();
    void tell_end();
    bool blocked() const { return writable_.under_way && writer_.pending() > write_ahead_bytes; }
    kj::Own<ReceivedMessage> next();
    Result<kj::Own<ReceivedMessage>> next_within_limits();
    void delete_if_idle();

    reactor::Reactor& reactor_;
    TurnSender& sender_;
    Fd fd_;
    bool abandoned_ = false;

    FrameReader frames_;
    msghdr message_{};
    Operation<&Socket::on_receive> receive_;
    kj::Maybe<Reader> reader_;
    bool end_of_input_ = false;
    std::optional<Error> input_error_;

    FrameWriter writer_;
    Operation<&Socket::on_writable> writable_;
    bool dirty_ = false;
    kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> ending_;
    std::optional<Error> output_error_;
};

// ------------------------------------------------------------------------------------------
// Input.

Result<kj::Own<ReceivedMessage>> Socket::next_within_limits() {
    auto message = TRY(frames_.next());
    if (message.get() == nullptr) return kj::mv(message);
    if (frames_.load().messages > limits::rpc_calls_per_connection_max) {
        return fail("take a call: " + std::to_string(limits::rpc_calls_per_connection_max) +
                    " are under way on this connection");
    }
    if (frames_.load().bytes > held_bytes_max) {
        return fail("take a call: the calls under way on this connection hold more than " +
                    std::to_string(held_bytes_max) + " bytes");
    }
    ++sender_.received_;
    return kj::mv(message);
}

// Null if none is here, or none will come any more.
kj::Own<ReceivedMessage> Socket::next() {
    if (input_error_) return {};
    auto message = next_within_limits();
    if (message) return kj::mv(*message);
    input_error_ = std::move(message.error());
    return {};
}

kj::Promise<Socket::Received> Socket::read() {
    if (!blocked()) {
        if (auto message = next(); message.get() != nullptr)
            return Received(kj::Own<capnp::IncomingRpcMessage>(kj::mv(message)));
    }
    auto pair = kj::newPromiseAndFulfiller<Received>();
    reader_ = kj::mv(pair.fulfiller);
    serve_reader();
    return kj::mv(pair.promise);
}

// Gives the waiting reader what is there, or asks the kernel for more.
void Socket::serve_reader() {
    KJ_IF_MAYBE (reader, reader_) {
        if (blocked()) return;  // on_writable comes back to this.
        auto& fulfiller = **reader;
        if (!fulfiller.isWaiting()) {
            reader_ = nullptr;
            return;
        }
        if (auto message = next(); message.get() != nullptr) {
            fulfiller.fulfill(kj::Own<capnp::IncomingRpcMessage>(kj::mv(message)));
            reader_ = nullptr;
            return;
        }
        if (!input_error_ && end_of_input_ && frames_.within_message()) {
            input_error_ =
                Error{ECONNRESET, "the peer closed the connection in the middle of a message"};
        }
        if (!input_error_ && !end_of_input_) return receive();
        if (input_error_) {
            fulfiller.reject(to_exception(*input_error_));
        } else {
            fulfiller.fulfill(nullptr);
        }
        reader_ = nullptr;
    }
}

void Socket::receive() {
    if (receive_.under_way) return;
    receive_.under_way = true;
    frames_.prepare(message_);
    reactor_.receive_message(fd_.get(), &message_, receive_);
}

void Socket::on_receive(int32_t result) {
    if (result == 0) {
        end_of_input_ = true;
    } else if (result > 0) {
        if (auto taken = frames_.received(message_, static_cast<size_t>(result)); !taken) {
            input_error_ = std::move(taken.error());
        }
    } else if (result != -EINTR && result != -EAGAIN) {
        input_error_ = std::move(fail_errno(-result, "receive from the peer").error());
    }
    if (!abandoned_) serve_reader();
}

// ------------------------------------------------------------------------------------------
// Output.

Status Socket::write(kj::ArrayPtr<const int> fds, MessageStream::Segments segments) {
    if (output_error_) {
        // Whoever cannot be answered any more is not listened to either.
        if (!input_error_) input_error_ = output_error_;
        serve_reader();
        return {};
    }
    TRY_STATUS(writer_.add(fds, segments));
    if (!dirty_) {
        dirty_ = true;
        sender_.dirty_.push_back(this);
    }
    return {};
}

void TurnSender::turn_end() {
    // A flush may end a wait, but what comes of that runs later: the list does not grow meanwhile.
    for (Socket* socket : dirty_) socket->turn_end();
    dirty_.clear();
}

void Socket::turn_end() {
    dirty_ = false;
    flush();
}

void Socket::flush() {
    if (writable_.under_way) return;
    if (!output_error_) {
        const auto flushed = writer_.flush(fd_.get());
        if (!flushed) {
            output_error_ = flushed.error();
        } else if (!*flushed) {
            writable_.under_way = true;
            reactor_.poll(fd_.get(), POLLOUT, false, writable_);
        }
    }
    tell_end();
}

// Whoever waits for the end of the output: it is all sent, or never will be.
void Socket::tell_end() {
    KJ_IF_MAYBE (ending, ending_) {
        if (output_error_) {
            (*ending)->reject(to_exception(*output_error_));
        } else if (writer_.pending() > 0) {
            return;
        } else {
            shutdown(fd_.get(), SHUT_WR);
            (*ending)->fulfill();
        }
        ending_ = nullptr;
    }
}

void Socket::on_writable(int32_t result) {
    if (abandoned_) return;
    if (result < 0)
        output_error_ = std::move(fail_errno(-result, "wait for the peer to read").error());
    flush();
    serve_reader();
}

kj::Promise<void> Socket::end_output() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    ending_ = kj::mv(pair.fulfiller);
    flush();
    return kj::mv(pair.promise);
}

// ------------------------------------------------------------------------------------------
// The end.

void Socket::abandon() {
    // What was written counts as sent, so it gets its chance; a peer that does not read loses it.
    if (!output_error_ && !writable_.under_way && writer_.pending() > 0) {
        [[maybe_unused]] const auto flushed = writer_.flush(fd_.get());
    }
    abandoned_ = true;
    reader_ = nullptr;
    ending_ = nullptr;
    if (dirty_) std::erase(sender_.dirty_, this);
    // close(2) alone would send no end of file while a receive holds the socket.
    shutdown(fd_.get(), SHUT_RDWR);
    if (receive_.under_way) reactor_.cancel(receive_);
    if (writable_.under_way) reactor_.cancel(writable_);
    delete_if_idle();
}

void Socket::delete_if_idle() {
    if (!receive_.under_way && !writable_.under_way) delete this;
}

Stream::Stream(reactor::Reactor& reactor, TurnSender& sender, Fd fd)
    : socket_(new Socket(reactor, sender, std::move(fd))) {}

Stream::~Stream() noexcept(false) { socket_->abandon(); }

kj::Promise<Stream::Received> Stream::receive() { return socket_->read(); }

Status Stream::send(kj::ArrayPtr<const int> fds, Segments segments) {
    return socket_->write(fds, segments);
}

kj::Promise<void> Stream::end() { return socket_->end_output(); }

}  // namespace noded::rpc
