// Stream: one connected unix socket as the stream of messages that a Network wants, on the reactor.
// Input is received into a buffer of its own, output is collected and sent once per turn of the
// loop.
//
// Invariants: the kernel never writes into memory that a dropped promise could free; a stream may
// be destroyed at any time, what is under way ends by itself. A peer that does not read its replies
// is not read from either. Built by RpcServer; runs on the reactor's thread alone.
#pragma once

#include <vector>

#include "agent/base/fd.h"
#include "agent/reactor/reactor.h"
#include "ipc/rpc/frames.h"
#include "ipc/rpc/network.h"

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

class Stream final : public MessageStream {
public:
    Stream(reactor::Reactor& reactor, TurnSender& sender, Fd fd);
    ~Stream() noexcept(false) override;
    KJ_DISALLOW_COPY(Stream);

    kj::Promise<Received> receive() override;
    Status send(kj::ArrayPtr<const int> fds, Segments segments) override;
    kj::Promise<void> end() override;

private:
    Socket* socket_;  // Deletes itself after it was abandoned and its last operation ended.
};

}  // namespace noded::rpc
