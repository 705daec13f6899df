// The message stream on the reactor; see the header.
#include "ipc/rpc/stream.h"

#include <poll.h>

#include <algorithm>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "ipc/rpc/errors.h"

namespace noded::rpc {

namespace {

using capnp::MessageReaderAndFds;
using capnp::word;

// Beyond this a write waits until the peer has read.
constexpr size_t write_ahead_bytes = 256 << 10;
constexpr size_t held_bytes_max = 8 * limits::rpc_message_bytes_max;

}  // namespace

// What outlives a Stream: the descriptor, and the buffers that the kernel may be using.
class Socket {
public:
    using Read = kj::Promise<kj::Maybe<MessageReaderAndFds>>;

    Socket(reactor::Reactor& reactor, TurnSender& sender, Fd fd)
        : reactor_(reactor),
          sender_(sender),
          fd_(std::move(fd)),
          receive_(*this),
          writable_(*this) {}

    Read read(kj::ArrayPtr<kj::AutoCloseFd> fd_space, const capnp::ReaderOptions& options);
    kj::Promise<void> write(kj::ArrayPtr<const int> fds,
                            kj::ArrayPtr<const kj::ArrayPtr<const word>> segments);
    kj::Promise<void> end_output();
    void turn_end();
    void abandon();
    int fd() const { return fd_.get(); }

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

    struct Reader {
        kj::Own<kj::PromiseFulfiller<kj::Maybe<MessageReaderAndFds>>> fulfiller;
        kj::ArrayPtr<kj::AutoCloseFd> fd_space;
        capnp::ReaderOptions options;
    };

    ~Socket() noexcept {}
    void flush();
    void on_receive(int32_t result);
    void on_writable(int32_t result);
    void receive();
    void serve_reader();
    void wake_writer();
    bool blocked() const { return writable_.under_way && writer_.pending() > write_ahead_bytes; }
    Result<std::optional<FrameReader::Message>> next(const capnp::ReaderOptions& options);
    MessageReaderAndFds hand_over(FrameReader::Message message,
                                  kj::ArrayPtr<kj::AutoCloseFd> fd_space);
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
    bool end_after_flush_ = false;
    std::optional<Error> output_error_;
    std::vector<kj::Own<kj::PromiseFulfiller<void>>> writers_;
};

// ------------------------------------------------------------------------------------------
// Input.

Result<std::optional<FrameReader::Message>> Socket::next(const capnp::ReaderOptions& options) {
    auto message = TRY(frames_.next(options));
    if (!message) return message;
    if (frames_.load().messages > limits::rpc_calls_per_connection_max) {
        return fail("take a call: " + std::to_string(limits::rpc_calls_per_connection_max) +
                    " are under way on this connection");
    }
    if (frames_.load().bytes > held_bytes_max) {
        return fail("take a call: the calls under way on this connection hold more than " +
                    std::to_string(held_bytes_max) + " bytes");
    }
    return message;
}

MessageReaderAndFds Socket::hand_over(FrameReader::Message message,
                                      kj::ArrayPtr<kj::AutoCloseFd> fd_space) {
    ++sender_.received_;
    const size_t count = std::min(message.fds.size(), fd_space.size());
    for (size_t i = 0; i < count; ++i) fd_space[i] = kj::AutoCloseFd(message.fds[i].release());
    return {kj::mv(message.reader), fd_space.slice(0, count)};
}

Socket::Read Socket::read(kj::ArrayPtr<kj::AutoCloseFd> fd_space,
                          const capnp::ReaderOptions& options) {
    if (!blocked() && !input_error_) {
        auto message = next(options);
        if (!message) {
            input_error_ = std::move(message.error());
        } else if (*message) {
            return kj::Maybe<MessageReaderAndFds>(hand_over(std::move(**message), fd_space));
        }
    }
    auto pair = kj::newPromiseAndFulfiller<kj::Maybe<MessageReaderAndFds>>();
    reader_ = Reader{kj::mv(pair.fulfiller), fd_space, options};
    serve_reader();
    return kj::mv(pair.promise);
}

// Gives the waiting reader what is there, or asks the kernel for more.
void Socket::serve_reader() {
    KJ_IF_MAYBE (reader, reader_) {
        if (blocked()) return;  // on_writable comes back to this.
        if (!reader->fulfiller->isWaiting()) {
            reader_ = nullptr;
            return;
        }
        if (!input_error_) {
            auto message = next(reader->options);
            if (!message) {
                input_error_ = std::move(message.error());
            } else if (*message) {
                reader->fulfiller->fulfill(hand_over(std::move(**message), reader->fd_space));
                reader_ = nullptr;
                return;
            }
        }
        if (!input_error_ && end_of_input_ && frames_.within_message()) {
            input_error_ =
                Error{ECONNRESET, "the peer closed the connection in the middle of a message"};
        }
        if (input_error_) {
            reader->fulfiller->reject(to_exception(*input_error_));
            reader_ = nullptr;
        } else if (end_of_input_) {
            reader->fulfiller->fulfill(nullptr);
            reader_ = nullptr;
        } else {
            receive();
        }
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

kj::Promise<void> Socket::write(kj::ArrayPtr<const int> fds,
                                kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
    if (output_error_) return to_exception(*output_error_);
    if (auto added = writer_.add(fds, segments); !added) return to_exception(added.error());
    if (!dirty_) {
        dirty_ = true;
        sender_.dirty_.push_back(this);
    }
    if (writer_.pending() <= write_ahead_bytes) return kj::READY_NOW;
    auto pair = kj::newPromiseAndFulfiller<void>();
    writers_.push_back(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
}

void TurnSender::turn_end() {
    // A flush may wake writers, but those run later, so the list does not grow meanwhile.
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
        } else if (end_after_flush_) {
            shutdown(fd_.get(), SHUT_WR);
        }
    }
    wake_writer();
}

void Socket::wake_writer() {
    if (!output_error_ && writer_.pending() > (end_after_flush_ ? 0 : write_ahead_bytes)) return;
    for (auto& writer : writers_) {
        if (output_error_) {
            writer->reject(to_exception(*output_error_));
        } else {
            writer->fulfill();
        }
    }
    writers_.clear();
}

void Socket::on_writable(int32_t result) {
    if (abandoned_) return;
    if (result < 0)
        output_error_ = std::move(fail_errno(-result, "wait for the peer to read").error());
    flush();
    serve_reader();
}

kj::Promise<void> Socket::end_output() {
    end_after_flush_ = true;
    flush();
    if (output_error_ || writer_.pending() == 0) return kj::READY_NOW;
    auto pair = kj::newPromiseAndFulfiller<void>();
    writers_.push_back(kj::mv(pair.fulfiller));
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
    writers_.clear();
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

Socket::Read Stream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fd_space,
                                    capnp::ReaderOptions options, kj::ArrayPtr<word>) {
    return socket_->read(fd_space, options);
}

kj::Promise<void> Stream::writeMessage(kj::ArrayPtr<const int> fds,
                                       kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
    return socket_->write(fds, segments);
}

kj::Promise<void> Stream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const word>>> messages) {
    kj::Promise<void> last = kj::READY_NOW;
    for (const auto& message : messages) last = socket_->write(nullptr, message);
    return last;
}

kj::Maybe<int> Stream::getSendBufferSize() {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    if (getsockopt(socket_->fd(), SOL_SOCKET, SO_SNDBUF, &bytes, &size) < 0) return nullptr;
    return bytes;
}

kj::Promise<void> Stream::end() { return socket_->end_output(); }

}  // namespace noded::rpc
