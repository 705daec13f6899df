// The io_uring reactor; see the header. All knowledge of io_uring that noded has is in this file.
#include "agent/reactor/uring_reactor.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/limits.h"

namespace noded::reactor {

namespace {

constexpr size_t io_bytes_max = 1 << 30;  // One read or write; a longer one is a bug of the caller.
constexpr int64_t second_ns = 1'000'000'000;

// KJ never asks the port for news while it has events to run, unless told to; so many events may
// run in between. Each turn of commands is a write to the disk, so what a client sent at once, 64
// calls for example, should be one turn; and a turn should not keep others for long.
constexpr uint busy_poll_interval = 256;

constexpr int stop_rounds_max = 1000;  // A loop that finds no end even so is left with what it has.

int set_up_ring(io_uring& ring, unsigned flags) {
    io_uring_params parameters{};
    parameters.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
    parameters.cq_entries = 4 * limits::ring_entries;
    return io_uring_queue_init_params(limits::ring_entries, &ring, &parameters);
}

}  // namespace

// The eventfd through which wake() and the offload lane end a sleep.
class UringReactor::WakeWatch final : public Completion {
public:
    explicit WakeWatch(UringReactor& reactor) : reactor_(reactor) { watch(); }

    void complete(int32_t result, bool more) override {
        // The poll is edge-triggered: empty the counter first, so that the next wake() makes an
        // edge.
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t taken =
            ::read(reactor_.wake_fd_.get(), &count, sizeof count);
        reactor_.collect_offloaded();
        if (!more && result != -ECANCELED) watch();
    }

private:
    void watch() { reactor_.poll(reactor_.wake_fd_.get(), POLLIN, true, *this); }

    UringReactor& reactor_;
};

// The signalfd, and the mask that was there before it.
class UringReactor::SignalWatch final : public Completion {
public:
    SignalWatch(UringReactor& reactor, Fd fd, const sigset_t& before, SignalHandler& handler)
        : reactor_(reactor), fd_(std::move(fd)), before_(before), handler_(handler) {
        watch();
    }
    ~SignalWatch() override { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    void complete(int32_t result, bool more) override {
        if (result == -ECANCELED) return;
        signalfd_siginfo info;
        while (::read(fd_.get(), &info, sizeof info) == sizeof info) handler_.signal(info);
        if (!more) watch();
    }

private:
    void watch() { reactor_.poll(fd_.get(), POLLIN, true, *this); }

    UringReactor& reactor_;
    Fd fd_;
    const sigset_t before_;
    SignalHandler& handler_;
};

Result<std::unique_ptr<UringReactor>> UringReactor::create() {
    io_uring ring;
    constexpr unsigned wanted =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    bool defers = true;
    int error = set_up_ring(ring, wanted);
    if (error == -EINVAL) {
        defers = false;
        error = set_up_ring(ring, 0);
        if (error == 0) {
            log_line(Severity::warning, "reactor",
                     "this kernel has no DEFER_TASKRUN for io_uring (Linux 6.1): latency will be "
                     "higher");
        }
    }
    if (error < 0) {
        return fail_errno(
            -error, "create an io_uring of " + std::to_string(limits::ring_entries) + " entries");
    }
    Fd wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_fd.valid()) {
        const int eventfd_error = errno;
        io_uring_queue_exit(&ring);
        return fail_errno(eventfd_error, "create an eventfd for the reactor");
    }
    return std::unique_ptr<UringReactor>(new UringReactor(ring, defers, std::move(wake_fd)));
}

UringReactor::UringReactor(const io_uring& ring, bool defers, Fd wake_fd)
    : ring_(ring),
      defers_(defers),
      wake_fd_(std::move(wake_fd)),
      lane_([this] { eventfd_write(wake_fd_.get(), 1); }),
      loop_(static_cast<kj::EventPort&>(*this)),
      scope_(loop_) {
    scope_.setBusyPollInterval(busy_poll_interval);
    // Saves the look-up of the ring's descriptor in every enter; where it is refused nothing is
    // lost.
    [[maybe_unused]] const int registered = io_uring_register_ring_fd(&ring_);
    wake_watch_ = std::make_unique<WakeWatch>(*this);
}

UringReactor::~UringReactor() noexcept {
    stop();
    io_uring_queue_exit(&ring_);
}

// ------------------------------------------------------------------------------------------
// Operations.

io_uring_sqe* UringReactor::next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
        submit();
        sqe = io_uring_get_sqe(&ring_);
    }
    CHECK_MSG(sqe != nullptr, "the kernel took no submission");
    return sqe;
}

// An SQE to prepare for `done`, or null while stopping, when the operation is over at once. The
// caller sets user_data last, because preparing clears it.
io_uring_sqe* UringReactor::start(Completion& done) {
    if (stopping_) {
        ready_.push_back({&done, -ECANCELED, false});
        return nullptr;
    }
    ++in_flight_;
    return next_sqe();
}

void UringReactor::submit() {
    // EBUSY and EAGAIN mean that the kernel wants completions taken or has no memory just now.
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const int result = io_uring_submit(&ring_);
        if (result >= 0 && io_uring_sq_space_left(&ring_) > 0) return;
        io_uring_get_events(&ring_);
    }
}

void UringReactor::read(int fd, std::span<uint8_t> into, uint64_t offset, Completion& done) {
    CHECK(into.size() <= io_bytes_max);
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_read(sqe, fd, into.data(), static_cast<unsigned>(into.size()), offset);
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::write(int fd, Bytes from, uint64_t offset, bool durable, Completion& done) {
    CHECK(from.size() <= io_bytes_max);
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_write(sqe, fd, from.data(), static_cast<unsigned>(from.size()), offset);
        sqe->rw_flags = durable ? RWF_DSYNC : 0;
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::send_message(int fd, const msghdr* message, Completion& done) {
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::receive_message(int fd, msghdr* message, Completion& done) {
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_recvmsg(sqe, fd, message, MSG_CMSG_CLOEXEC);
        // Whoever receives again has just taken all there was: the attempt before the wait would
        // fail.
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::accept(int fd, Completion& done) {
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_multishot_accept(sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::poll(int fd, uint32_t events, bool multishot, Completion& done) {
    if (io_uring_sqe* sqe = start(done)) {
        io_uring_prep_poll_add(sqe, fd, events);
        if (multishot) sqe->len = IORING_POLL_ADD_MULTI;
        io_uring_sqe_set_data(sqe, &done);
    }
}

void UringReactor::timer(int64_t deadline_ns, Completion& done) {
    if (stopping_) {
        ready_.push_back({&done, -ECANCELED, false});
        return;
    }
    const auto [where, fresh] = timer_of_.try_emplace(&done);
    CHECK_MSG(fresh, "a completion owns one operation at a time");
    where->second = timers_.emplace(deadline_ns, &done);
}

void UringReactor::cancel(Completion& operation) {
    if (const auto found = timer_of_.find(&operation); found != timer_of_.end()) {
        timers_.erase(found->second);
        timer_of_.erase(found);
        ready_.push_back({&operation, -ECANCELED, false});
        return;
    }
    if (lane_.remove(operation)) {
        ready_.push_back({&operation, -ECANCELED, false});
        return;
    }
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel(sqe, &operation, 0);
    io_uring_sqe_set_data(sqe, nullptr);
}

bool UringReactor::offload(std::function<int32_t()> work, Completion& done) {
    if (stopping_) {
        ready_.push_back({&done, -ECANCELED, false});
        return true;
    }
    return lane_.add(std::move(work), done);
}

void UringReactor::at_turn_end(TurnEnd& hook) { hooks_.push_back(&hook); }

Status UringReactor::signals(std::span<const int> numbers, SignalHandler& handler) {
    CHECK_MSG(signal_watch_ == nullptr, "signals() is called once");
    sigset_t wanted, before;
    sigemptyset(&wanted);
    for (const int number : numbers) sigaddset(&wanted, number);
    Fd fd(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid()) return fail_errno(errno, "create a signalfd");
    if (const int error = pthread_sigmask(SIG_BLOCK, &wanted, &before); error != 0) {
        return fail_errno(error, "block the signals that the reactor handles");
    }
    signal_watch_ = std::make_unique<SignalWatch>(*this, std::move(fd), before, handler);
    return {};
}

// ------------------------------------------------------------------------------------------
// The loop.

bool UringReactor::wait() {
    turn(true);
    return woken_.exchange(false, std::memory_order_acquire);
}

bool UringReactor::poll() {
    turn(false);
    return woken_.exchange(false, std::memory_order_acquire);
}

void UringReactor::wake() const {
    woken_.store(true, std::memory_order_release);
    eventfd_write(wake_fd_.get(), 1);
}

void UringReactor::run_until(const std::function<bool()>& done) {
    while (!done()) {
        loop_.run(busy_poll_interval);
        if (done()) return;
        turn(true);
    }
}

void UringReactor::turn(bool may_sleep) {
    again_ = false;
    for (TurnEnd* hook : hooks_) hook->turn_end();
    enter(may_sleep && !again_ && ready_.empty() && !loop_.isRunnable());
    deliver();
}

bool UringReactor::is_behind() {
    return loop_.isRunnable() || !ready_.empty() || io_uring_sq_ready(&ring_) > 0 ||
           std::ranges::any_of(hooks_, &TurnEnd::has_work);
}

// True if entering the kernel would bring something, as far as can be seen without entering it.
bool UringReactor::has_kernel_work() const {
    if (!defers_ || io_uring_sq_ready(&ring_) > 0) return true;
    const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void UringReactor::enter(bool sleep) {
    if (sleep) {
        enter_and_sleep();
    } else if (has_kernel_work()) {
        // With DEFER_TASKRUN nothing completes until someone enters to get events.
        io_uring_submit_and_get_events(&ring_);
    }
}

void UringReactor::enter_and_sleep() {
    int result = 0;
    if (timers_.empty()) {
        result = io_uring_submit_and_wait(&ring_, 1);
    } else {
        const int64_t left = std::max<int64_t>(timers_.begin()->first - clock_.monotonic_ns(), 0);
        __kernel_timespec timeout{.tv_sec = left / second_ns, .tv_nsec = left % second_ns};
        io_uring_cqe* first = nullptr;
        result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    }
    // A signal, a deadline, or a kernel that wants completions taken first: the next turn goes on.
    // Anything else, EBADR above all, means that completions are lost, and with them the truth
    // about what is durable.
    CHECK_MSG(result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN ||
                  result == -EBUSY,
              "io_uring_enter");
}

void UringReactor::deliver() {
    collect_ring();
    collect_timers();
    // What a completion starts and what is over at once is delivered in the next turn, never within
    // this one.
    delivering_.swap(ready_);
    for (const Ready& one : delivering_) one.completion->complete(one.result, one.more);
    delivering_.clear();
}

void UringReactor::collect_ring() {
    unsigned head = 0;
    unsigned taken = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        ++taken;
        auto* completion = static_cast<Completion*>(io_uring_cqe_get_data(cqe));
        if (completion == nullptr) continue;  // The answer to a cancel.
        const bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
        if (!more) {
            CHECK(in_flight_ > 0);
            --in_flight_;
        }
        ready_.push_back({completion, cqe->res, more});
    }
    io_uring_cq_advance(&ring_, taken);
}

void UringReactor::collect_timers() {
    if (timers_.empty()) return;
    const int64_t now = clock_.monotonic_ns();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Completion* completion = timers_.begin()->second;
        timer_of_.erase(completion);
        timers_.erase(timers_.begin());
        ready_.push_back({completion, -ETIME, false});
    }
}

void UringReactor::collect_offloaded() {
    for (const OffloadLane::Done& done : lane_.take_done()) {
        ready_.push_back({done.completion, done.result, false});
    }
}

void UringReactor::stop() {
    if (stopping_) return;
    CHECK_MSG(delivering_.empty(), "the reactor is stopped from outside of its loop");
    stopping_ = true;
    lane_.stop();
    collect_offloaded();
    for (const auto& [deadline, completion] : timers_)
        ready_.push_back({completion, -ECANCELED, false});
    timers_.clear();
    timer_of_.clear();
    // Promises that the last completions fulfilled still have their say, and what they start in
    // vain ends too.
    for (int round = 0; round < stop_rounds_max; ++round) {
        drain();
        loop_.run(limits::ring_entries);
        if (ready_.empty() && !loop_.isRunnable()) break;
    }
    signal_watch_.reset();
}

void UringReactor::drain() {
    while (in_flight_ > 0 || !ready_.empty()) {
        if (in_flight_ > 0) {
            io_uring_sqe* sqe = next_sqe();
            io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
            io_uring_sqe_set_data(sqe, nullptr);
            // A write that is on its way to the disk cannot be cancelled, only waited for.
            __kernel_timespec timeout{.tv_sec = 0, .tv_nsec = second_ns / 1000};
            io_uring_cqe* first = nullptr;
            io_uring_submit_and_wait_timeout(&ring_, &first, 2, &timeout, nullptr);
        }
        deliver();
    }
}

}  // namespace noded::reactor
