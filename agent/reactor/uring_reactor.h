// UringReactor: the reactor of noded, on one io_uring, and KJ's event port on it, so that Cap'n
// Proto RPC runs in the same loop.
//
// Invariants: everything happens on the thread that called create() (the ring has a single issuer),
// except wake() and the offload lane's threads. There is one kj::EventLoop per thread, and the
// reactor owns it. Every operation gets its last completion exactly once, at the latest inside
// stop(). Timers are not in the ring: they are a heap whose first deadline bounds the sleep. Built
// by main, used by whoever waits for something.
#pragma once

#include <kj/async.h>
#include <liburing.h>
#include <sys/signalfd.h>

#include <atomic>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/reactor/offload_lane.h"
#include "agent/reactor/reactor.h"

namespace noded::reactor {

class SignalHandler {
public:
    virtual ~SignalHandler() = default;
    virtual void signal(const signalfd_siginfo& info) = 0;
};

class UringReactor final : public Reactor, public kj::EventPort {
public:
    /// Falls back to a plain ring, with one line of warning, where the kernel lacks DEFER_TASKRUN.
    static Result<std::unique_ptr<UringReactor>> create();
    ~UringReactor() noexcept override;

    Clock& clock() override { return clock_; }
    void read(int fd, std::span<uint8_t> into, uint64_t offset, Completion& done) override;
    void write(int fd, Bytes from, uint64_t offset, bool durable, Completion& done) override;
    void send_message(int fd, const msghdr* message, Completion& done) override;
    void receive_message(int fd, msghdr* message, Completion& done) override;
    void accept(int fd, Completion& done) override;
    void poll(int fd, uint32_t events, bool multishot, Completion& done) override;
    void timer(int64_t deadline_ns, Completion& done) override;
    void cancel(Completion& operation) override;
    bool offload(std::function<int32_t()> work, Completion& done) override;
    void at_turn_end(TurnEnd& hook) override;
    void run_again() override { again_ = true; }
    bool is_behind() override;

    /// Blocks these signals for the process and hands them to `handler` from the loop, until
    /// stop(). Call it once, before other threads start; the handler must outlive stop().
    Status signals(std::span<const int> numbers, SignalHandler& handler);

    /// How the ring was set up, for people: "io_uring, DEFER_TASKRUN".
    std::string description() const {
        const bool deferred = (ring_.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
        return deferred ? "io_uring, SINGLE_ISSUER, DEFER_TASKRUN" : "io_uring";
    }

    /// What promise.wait() needs. Waiting on it runs the loop.
    kj::WaitScope& wait_scope() { return scope_; }

    /// Runs the loop until `done` says so; it is asked after every turn.
    void run_until(const std::function<bool()>& done);

    /// Cancels everything under way and delivers the last completion of each; what is started
    /// afterwards ends with -ECANCELED at once. The owner calls it before it takes down the owners
    /// of completions.
    void stop();

    // kj::EventPort: called by KJ alone, except wake(), which any thread may call.
    bool wait() override;
    bool poll() override;
    void wake() const override;

private:
    class WakeWatch;
    class SignalWatch;
    struct Ready {
        Completion* completion;
        int32_t result;
        bool more;
    };
    using Timers = std::multimap<int64_t, Completion*>;

    UringReactor(const io_uring& ring, bool defers, Fd wake_fd);

    io_uring_sqe* next_sqe();
    io_uring_sqe* start(Completion& done);
    void submit();
    void turn(bool may_sleep);
    void enter(bool sleep);
    void enter_and_sleep();
    bool has_kernel_work() const;
    void deliver();
    void collect_ring();
    void collect_timers();
    void collect_offloaded();
    void drain();

    SystemClock clock_;
    io_uring ring_;
    // The ring runs its task work only when entered, and says when there is some.
    const bool defers_;
    Fd wake_fd_;
    mutable std::atomic<bool> woken_ = false;
    std::unique_ptr<WakeWatch> wake_watch_;
    std::unique_ptr<SignalWatch> signal_watch_;
    OffloadLane lane_;
    size_t in_flight_ = 0;  // Operations that the kernel owes a last completion.
    Timers timers_;
    std::unordered_map<Completion*, Timers::iterator> timer_of_;
    std::vector<Ready> ready_;
    std::vector<Ready> delivering_;
    std::vector<TurnEnd*> hooks_;
    bool again_ = false;
    bool stopping_ = false;
    kj::EventLoop loop_;
    kj::WaitScope scope_;
};

}  // namespace noded::reactor
