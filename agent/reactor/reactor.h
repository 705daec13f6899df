// Reactor: one thread, one loop. Everything that noded waits for is a completion here.
//
// The interface holds only what both the io_uring reactor and a simulated one can provide. No call
// blocks. Completions are delivered from the loop, never from inside the call that started the
// operation. A turn of the loop is: run what is ready, run the turn-end hooks once, submit, sleep
// until the next completion.
#pragma once

#include <cstdint>
#include <functional>
#include <sys/socket.h>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"

namespace noded::reactor {

/// The owner of one operation under way. It must stay where it is until `complete` was called with
/// `more` false, and may start its next operation from there; not after -ECANCELED, which may mean
/// that the reactor stops.
class Completion {
public:
    virtual ~Completion() = default;
    /// `result` is what the system call returned, or -errno. `more`: the operation goes on
    /// (multishot).
    virtual void complete(int32_t result, bool more) = 0;
    /// Offloaded work of one owner runs in order, one after another; nullptr is noded itself.
    virtual const void* offload_owner() const { return nullptr; }
};

/// Called once per turn before the loop submits and sleeps: the place where work is batched.
class TurnEnd {
public:
    virtual ~TurnEnd() = default;
    virtual void turn_end() = 0;
    /// Something waits for it, an answer that is ready for instance.
    virtual bool has_work() const { return false; }
};

class Reactor {
public:
    virtual ~Reactor() = default;

    virtual Clock& clock() = 0;

    /// pread(2) and pwrite(2); buffers stay valid until completion. `durable` is RWF_DSYNC.
    virtual void read(int fd, std::span<uint8_t> into, uint64_t offset, Completion& done) = 0;
    virtual void write(int fd, Bytes from, uint64_t offset, bool durable, Completion& done) = 0;

    /// sendmsg(2) and recvmsg(2) on a socket; the message stays valid until completion.
    virtual void send_message(int fd, const msghdr* message, Completion& done) = 0;
    virtual void receive_message(int fd, msghdr* message, Completion& done) = 0;

    /// One completion with the accepted descriptor (close-on-exec), or -errno; multishot.
    virtual void accept(int fd, Completion& done) = 0;

    /// Readiness (`events` as in poll(2)); the result holds the events that are ready.
    /// Edge-triggered when multishot.
    virtual void poll(int fd, uint32_t events, bool multishot, Completion& done) = 0;

    /// One completion with -ETIME at `deadline_ns` on the monotonic clock.
    virtual void timer(int64_t deadline_ns, Completion& done) = 0;

    /// Asks for the end of an operation; its completion still comes, usually with -ECANCELED.
    virtual void cancel(Completion& operation) = 0;

    /// Runs `work` on the offload lane (bounded, for calls that block), then completes with its
    /// result on the loop; a long piece of work delays only what has the same offload_owner().
    /// `work` must own all it touches. False if the lane is full; then nothing happens.
    virtual bool offload(std::function<int32_t()> work, Completion& done) = 0;

    /// Hooks run in the order in which they were added and must outlive the reactor's last turn.
    virtual void at_turn_end(TurnEnd& hook) = 0;

    /// From a turn-end hook: do not sleep, another turn has work.
    virtual void run_again() = 0;
    /// From a turn-end hook: what already arrived is not all dealt with, because a turn deals with
    /// so much only, or what comes of it leaves only with this turn.
    virtual bool is_behind() { return false; }
};

}  // namespace noded::reactor
