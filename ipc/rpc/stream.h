// Stream: one connected unix socket as the stream of messages that Cap'n Proto's two-party network
// wants, on the reactor. Input is received into a buffer of its own, output is collected and sent
// once per turn of the loop.
//
// Invariants: the kernel never writes into memory that a dropped promise could free; a stream may
// be destroyed at any time, what is under way ends by itself. A peer that does not read its replies
// is not read from either. Built by RpcServer; runs on the reactor's thread alone.
#pragma once

#include <capnp/serialize-async.h>

#include <vector>

#include "agent/base/fd.h"
#include "agent/reactor/reactor.h"
#include "ipc/rpc/frames.h"

namespace noded::rpc {

class Socket;

/// Sends, at the end of each turn, what the streams collected during it. One for all streams of a
/// reactor.
class TurnSender final : public reactor::TurnEnd {
public:
    explicit TurnSender(reactor::Reactor& reactor) { reactor.at_turn_end(*this); }
    void turn_end() override;
    bool has_work() const override { return !dirty_.empty(); }
    /// Messages that the streams have handed over so far.
    uint64_t received() const { return received_; }

private:
    friend class Socket;
    std::vector<Socket*> dirty_;
    uint64_t received_ = 0;
};

class Stream final : public capnp::MessageStream {
public:
    Stream(reactor::Reactor& reactor, TurnSender& sender, Fd fd);
    ~Stream() noexcept(false);
    KJ_DISALLOW_COPY(Stream);

    using capnp::MessageStream::tryReadMessage;
    using capnp::MessageStream::writeMessage;
    using capnp::MessageStream::writeMessages;

    // capnp::MessageStream; at most one read is under way.
    kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
        kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
        kj::ArrayPtr<capnp::word> scratch_space) override;
    kj::Promise<void> writeMessage(
        kj::ArrayPtr<const int> fds,
        kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
    kj::Promise<void> writeMessages(
        kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
    kj::Maybe<int> getSendBufferSize() override;
    kj::Promise<void> end() override;

private:
    Socket* socket_;  // Deletes itself after it was abandoned and its last operation ended.
};

}  // namespace noded::rpc
