// Cap'n Proto messages on a stream socket: bytes in, messages out, and the reverse. Both ends of a
// connection use it.
//
// KJ's own reader asks the kernel three times per message, and its writer once, because descriptors
// belong to the first byte of a message. Here many messages are read and written at once; which of
// them descriptors belong to follows from the kernel's rule that one recvmsg(2) ends with the piece
// that carried them.
//
// A frame is the standard stream framing: segment count - 1 and segment sizes as 32-bit numbers,
// padded to a word, then the segments (capnproto.org/encoding.html, "Serialization Over a Stream").
#pragma once

#include <capnp/message.h>
#include <capnp/rpc.h>
#include <capnp/serialize.h>
#include <kj/array.h>
#include <kj/io.h>
#include <sys/socket.h>

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/limits.h"

namespace noded::rpc {

/// What received messages hold in memory until the last reference to each is gone.
struct Load {
    size_t messages = 0;
    size_t bytes = 0;
};

/// A message as it came, which owns its bytes and its descriptors.
class ReceivedMessage final : public capnp::IncomingRpcMessage {
public:
    /// `load` counts it while it lives.
    ReceivedMessage(kj::Array<capnp::word> words, std::vector<Fd> fds, std::shared_ptr<Load> load);
    ~ReceivedMessage() noexcept(false);

    capnp::MessageReader& reader() { return reader_; }

    // capnp::IncomingRpcMessage
    capnp::AnyPointer::Reader getBody() override { return reader_.getRoot<capnp::AnyPointer>(); }
    kj::ArrayPtr<kj::AutoCloseFd> getAttachedFds() override { return fds_; }
    size_t sizeInWords() override { return words_.size(); }

private:
    const kj::Array<capnp::word> words_;
    capnp::FlatArrayMessageReader reader_;
    kj::Array<kj::AutoCloseFd> fds_;
    const std::shared_ptr<Load> load_;
};

class FrameReader {
public:
    FrameReader();

    /// Fills `message` so that recvmsg(2) receives into this reader; valid until received().
    void prepare(msghdr& message);

    /// `count` bytes arrived by the msghdr prepared last.
    Status received(const msghdr& message, size_t count);

    /// The next whole message; null if it takes more bytes. An error if the peer broke a limit: the
    /// stream cannot be used any more.
    Result<kj::Own<ReceivedMessage>> next();

    /// Part of a message is here, and the stream must not end now.
    bool within_message() const { return large_ != nullptr || begin_ != end_; }

    const Load& load() const { return *load_; }

private:
    // Descriptors that came with the bytes from begin up to end of the stream.
    struct FdBatch {
        uint64_t begin;
        uint64_t end;
        std::vector<Fd> fds;
    };
    struct Frame {
        size_t bytes;
        bool whole;
    };

    Result<std::optional<Frame>> measure() const;
    kj::Own<ReceivedMessage> take(const Frame& frame);
    void begin_large(const Frame& frame);
    std::vector<Fd> take_fds(uint64_t begin, uint64_t end);
    uint64_t position() const { return received_ - (end_ - begin_); }

    kj::Array<capnp::word> buffer_;
    size_t begin_ = 0;  // Bytes of buffer_ that are not yet taken: [begin_, end_).
    size_t end_ = 0;
    // One message that does not fit into buffer_, received in place.
    kj::Array<capnp::word> large_;
    size_t large_filled_ = 0;
    std::vector<Fd> large_fds_;
    uint64_t received_ = 0;  // Bytes of the stream so far, without those received into large_.
    std::deque<FdBatch> batches_;
    std::shared_ptr<Load> load_ = std::make_shared<Load>();
    iovec space_{};
    alignas(cmsghdr) char control_[CMSG_SPACE(limits::rpc_fds_per_message_max * sizeof(int))];
};

class FrameWriter {
public:
    /// `peer_reads_ahead`: it is a FrameReader, which receives as much as is there. KJ's own reader
    /// receives message by message, and takes descriptors as those of the first in a piece.
    explicit FrameWriter(bool peer_reads_ahead = false) : begun_(!peer_reads_ahead) {}

    /// Copies the message and duplicates the descriptors, so the caller's may go. An error if it is
    /// larger than a peer takes, or there is no descriptor left; the stream goes on without it.
    Status add(kj::ArrayPtr<const int> fds,
               kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments);

    /// Writes what the socket takes now; true if nothing is left.
    Result<bool> flush(int socket);

    size_t pending() const { return bytes_.size() - sent_; }

private:
    // A message with descriptors, at [begin, end) of bytes_: it is sent by a call of its own. But
    // with what is before it, where that is the first piece of the stream and small: a reader that
    // reads ahead receives it whole, and then the descriptors still are the last message's.
    struct Mark {
        size_t begin;
        size_t end;
        std::vector<Fd> fds;
    };

    Result<size_t> send_some(int socket);
    void forget_sent();

    std::vector<uint8_t> bytes_;
    size_t sent_ = 0;
    std::deque<Mark> marks_;
    bool begun_;  // Something was sent, or a first piece is like all others.
};

}  // namespace noded::rpc
