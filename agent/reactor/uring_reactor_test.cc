// The reactor against the real kernel: files, sockets, timers, signals, the offload lane and KJ's
// loop on it.
#include "agent/reactor/uring_reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <string>
#include <thread>

#include "agent/limits.h"

namespace noded::reactor {
namespace {

constexpr int64_t millisecond_ns = 1'000'000;

// Remembers what it was told, and in which order among its kind.
struct Recorder final : Completion {
    explicit Recorder(std::string name = "", std::vector<std::string>* order = nullptr)
        : name(std::move(name)), order(order) {}
    void complete(int32_t with, bool more) override {
        results.push_back(with);
        ended = !more;
        if (order != nullptr) order->push_back(name);
    }
    std::string name;
    std::vector<std::string>* order;
    std::vector<int32_t> results;
    bool ended = false;
};

class ReactorTest : public testing::Test {
protected:
    void SetUp() override {
        auto created = UringReactor::create();
        ASSERT_TRUE(created) << created.error().message;
        reactor = std::move(*created);
    }
    void run(const Recorder& until) {
        reactor->run_until([&] { return until.ended; });
    }
    int64_t in_ms(int64_t ms) { return reactor->clock().monotonic_ns() + ms * millisecond_ns; }

    std::unique_ptr<UringReactor> reactor;
};

TEST_F(ReactorTest, timers_fire_in_the_order_of_their_deadlines) {
    std::vector<std::string> order;
    Recorder late("late", &order), early("early", &order), past("past", &order);
    const int64_t start = reactor->clock().monotonic_ns();
    reactor->timer(in_ms(20), late);
    reactor->timer(in_ms(5), early);
    reactor->timer(start - 1, past);
    EXPECT_TRUE(order.empty()) << "never from inside the call";
    run(late);
    EXPECT_EQ(order, (std::vector<std::string>{"past", "early", "late"}));
    EXPECT_EQ(late.results, std::vector<int32_t>{-ETIME});
    EXPECT_GE(reactor->clock().monotonic_ns() - start, 20 * millisecond_ns);
}

TEST_F(ReactorTest, cancelled_timer_completes_once_with_ecanceled) {
    Recorder cancelled, other;
    reactor->timer(in_ms(5), cancelled);
    reactor->timer(in_ms(15), other);
    reactor->cancel(cancelled);
    EXPECT_TRUE(cancelled.results.empty());
    run(other);
    EXPECT_EQ(cancelled.results, std::vector<int32_t>{-ECANCELED});
}

TEST_F(ReactorTest, poll_is_cancelled_in_the_kernel) {
    std::array<int, 2> ends;
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd in(ends[0]), out(ends[1]);
    Recorder polled;
    reactor->poll(in.get(), POLLIN, false, polled);
    reactor->cancel(polled);
    run(polled);
    EXPECT_EQ(polled.results, std::vector<int32_t>{-ECANCELED});
}

TEST_F(ReactorTest, multishot_poll_reports_each_edge_until_cancelled) {
    std::array<int, 2> ends;
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd in(ends[0]), out(ends[1]);
    Recorder polled;
    reactor->poll(in.get(), POLLIN, true, polled);
    for (size_t edge = 1; edge <= 3; ++edge) {
        ASSERT_EQ(::write(out.get(), "x", 1), 1);
        reactor->run_until([&] { return polled.results.size() >= edge; });
        EXPECT_EQ(polled.results.size(), edge);
        EXPECT_TRUE(polled.results.back() & POLLIN);
        EXPECT_FALSE(polled.ended);
    }
    reactor->cancel(polled);
    run(polled);
    EXPECT_EQ(polled.results.back(), -ECANCELED);
}

TEST_F(ReactorTest, exit_of_a_child_is_readiness_of_its_pidfd) {
    const pid_t child = fork();
    if (child == 0) _exit(7);
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    ASSERT_TRUE(pidfd.valid());
    Recorder exited;
    reactor->poll(pidfd.get(), POLLIN, false, exited);
    run(exited);
    EXPECT_TRUE(exited.results.at(0) & POLLIN);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, WNOHANG), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(ReactorTest, durable_write_is_read_back) {
    std::string path = "/tmp/reactor-test-XXXXXX";
    const Fd file(mkstemp(path.data()));
    ASSERT_TRUE(file.valid());
    unlink(path.c_str());
    Recorder written, back, refused;
    reactor->write(file.get(), as_bytes("the log is the system"), 4096, true, written);
    run(written);
    EXPECT_EQ(written.results, std::vector<int32_t>{21});
    Buffer buffer(64);
    reactor->read(file.get(), buffer, 4096, back);
    run(back);
    ASSERT_EQ(back.results, std::vector<int32_t>{21});
    EXPECT_EQ(as_text(Bytes(buffer).subspan(0, 21)), "the log is the system");
    reactor->write(-1, as_bytes("x"), 0, true, refused);
    run(refused);
    EXPECT_EQ(refused.results, std::vector<int32_t>{-EBADF});
}

TEST_F(ReactorTest, more_operations_than_the_ring_has_entries_all_complete) {
    const Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    const size_t count = 5 * limits::ring_entries;
    std::vector<Recorder> reads(count);
    std::vector<uint8_t> bytes(count);
    for (size_t i = 0; i < count; ++i)
        reactor->read(zero.get(), std::span(bytes).subspan(i, 1), 0, reads[i]);
    for (Recorder& read : reads) run(read);
    for (const Recorder& read : reads) ASSERT_EQ(read.results, std::vector<int32_t>{1});
}

TEST_F(ReactorTest, accepts_until_cancelled_and_moves_messages) {
    const Fd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX};
    ASSERT_EQ(bind(listening.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
    ASSERT_EQ(listen(listening.get(), 8), 0);
    socklen_t size = sizeof address;
    ASSERT_EQ(getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);

    Recorder accepted;
    reactor->accept(listening.get(), accepted);
    std::array<Fd, 2> clients;
    for (size_t i = 0; i < clients.size(); ++i) {
        clients[i].reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(connect(clients[i].get(), reinterpret_cast<sockaddr*>(&address), size), 0);
        reactor->run_until([&] { return accepted.results.size() > i; });
    }
    const Fd first(accepted.results.at(0)), second(accepted.results.at(1));
    ASSERT_TRUE(first.valid() && second.valid());
    EXPECT_TRUE(fcntl(first.get(), F_GETFD) & FD_CLOEXEC);

    Recorder sent, received;
    std::string text = "hello", into(16, '\0');
    iovec out{text.data(), text.size()}, in{into.data(), into.size()};
    const msghdr send{.msg_iov = &out, .msg_iovlen = 1};
    msghdr receive{.msg_iov = &in, .msg_iovlen = 1};
    reactor->receive_message(clients[0].get(), &receive, received);
    reactor->send_message(first.get(), &send, sent);
    run(received);
    run(sent);
    EXPECT_EQ(sent.results, std::vector<int32_t>{5});
    EXPECT_EQ(into.substr(0, static_cast<size_t>(received.results.at(0))), "hello");
    reactor->cancel(accepted);
    run(accepted);
}

TEST_F(ReactorTest, signals_arrive_on_the_loop) {
    struct Handler final : SignalHandler {
        void signal(const signalfd_siginfo& info) override { numbers.push_back(info.ssi_signo); }
        std::vector<uint32_t> numbers;
    } handler;
    const std::array wanted{SIGUSR1, SIGUSR2};
    ASSERT_TRUE(reactor->signals(wanted, handler));
    kill(getpid(), SIGUSR1);
    reactor->run_until([&] { return handler.numbers.size() == 1; });
    kill(getpid(), SIGUSR2);
    reactor->run_until([&] { return handler.numbers.size() == 2; });
    EXPECT_EQ(handler.numbers, (std::vector<uint32_t>{SIGUSR1, SIGUSR2}));
    reactor->stop();
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    EXPECT_FALSE(sigismember(&mask, SIGUSR1)) << "stop() puts the mask back";
}

TEST_F(ReactorTest, offloaded_work_runs_elsewhere_and_completes_here) {
    Recorder done;
    const auto here = std::this_thread::get_id();
    std::thread::id there;
    ASSERT_TRUE(reactor->offload(
        [&] {
            there = std::this_thread::get_id();
            return 42;
        },
        done));
    run(done);
    EXPECT_EQ(done.results, std::vector<int32_t>{42});
    EXPECT_NE(there, here);
}

TEST_F(ReactorTest, full_lane_refuses_and_queued_work_can_be_cancelled) {
    std::array<int, 2> ends;
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd in(ends[0]), out(ends[1]);
    Recorder blocked, one_more, after;
    std::vector<Recorder> rest(limits::offload_queue_max - 1);
    ASSERT_TRUE(reactor->offload(
        [&] {
            char byte;
            return static_cast<int>(::read(in.get(), &byte, 1));
        },
        blocked));
    for (Recorder& each : rest) ASSERT_TRUE(reactor->offload([] { return 1; }, each));
    EXPECT_FALSE(reactor->offload([] { return 1; }, one_more));
    reactor->cancel(rest.back());
    run(rest.back());
    EXPECT_EQ(rest.back().results, std::vector<int32_t>{-ECANCELED});
    EXPECT_TRUE(reactor->offload([] { return 2; }, after));
    ASSERT_EQ(::write(out.get(), "x", 1), 1);
    run(after);
    EXPECT_EQ(blocked.results, std::vector<int32_t>{1});
    EXPECT_EQ(rest.front().results, std::vector<int32_t>{1});
    EXPECT_TRUE(one_more.results.empty());
}

struct Hook final : TurnEnd {
    explicit Hook(std::function<void()> body) : body(std::move(body)) {}
    void turn_end() override { body(); }
    std::function<void()> body;
};

TEST_F(ReactorTest, turn_end_hooks_run_in_order_before_submission_and_their_work_prevents_sleep) {
    std::vector<std::string> order;
    const Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    uint8_t byte = 1;
    Recorder read("read", &order);
    int turns = 0;
    // The second turn only comes because run_again() was called: nothing else would end a sleep.
    Hook first([&] {
        order.push_back("first");
        if (++turns < 2) reactor->run_again();
    });
    Hook second([&] {
        order.push_back("second");
        if (turns == 2) reactor->read(zero.get(), std::span(&byte, 1), 0, read);
    });
    reactor->at_turn_end(first);
    reactor->at_turn_end(second);
    run(read);
    EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "first", "second", "read"}));
}

TEST_F(ReactorTest, is_behind_until_what_arrived_is_dealt_with_and_what_comes_of_it_has_left) {
    struct Waiting final : TurnEnd {
        void turn_end() override { waits = false; }
        bool has_work() const override { return waits; }
        bool waits = false;
    } waiting;
    const Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    uint8_t byte = 1;
    Recorder read("read");
    std::vector<bool> behind;
    int turn = 0;
    Hook hook([&] {
        reactor->run_again();
        if (++turn == 1 || turn > 3) return;   // with the first one the reactor's own watch leaves
        behind.push_back(reactor->is_behind());
        if (turn == 2) waiting.waits = true;
        else reactor->read(zero.get(), std::span(&byte, 1), 0, read);
        behind.push_back(reactor->is_behind());
    });
    reactor->at_turn_end(hook);
    reactor->at_turn_end(waiting);
    run(read);
    EXPECT_EQ(behind, (std::vector<bool>{false, true, false, true}));
}

TEST_F(ReactorTest, hook_that_fulfils_a_promise_prevents_sleep) {
    auto pair = kj::newPromiseAndFulfiller<int>();
    Hook hook([&] { pair.fulfiller->fulfill(5); });
    reactor->at_turn_end(hook);
    EXPECT_EQ(pair.promise.wait(reactor->wait_scope()), 5);
}

TEST_F(ReactorTest, completions_reach_a_loop_that_is_never_idle) {
    const Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    uint8_t byte = 1;
    struct Fulfil final : Completion {
        ~Fulfil() noexcept override {}  // KJ's destructors may throw, ours do not.
        void complete(int32_t result, bool) override { fulfiller->fulfill(kj::mv(result)); }
        kj::Own<kj::PromiseFulfiller<int32_t>> fulfiller;
    } fulfil;
    auto pair = kj::newPromiseAndFulfiller<int32_t>();
    fulfil.fulfiller = kj::mv(pair.fulfiller);
    bool stop = false;
    std::function<kj::Promise<void>()> busy = [&]() -> kj::Promise<void> {
        if (stop) return kj::READY_NOW;
        return kj::evalLater([&] { return busy(); });
    };
    auto spinning = busy().eagerlyEvaluate(nullptr);
    reactor->read(zero.get(), std::span(&byte, 1), 0, fulfil);
    EXPECT_EQ(pair.promise.wait(reactor->wait_scope()), 1);
    stop = true;
    spinning.wait(reactor->wait_scope());
}

TEST_F(ReactorTest, another_thread_wakes_the_loop_through_kj) {
    auto pair = kj::newPromiseAndCrossThreadFulfiller<int>();
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        pair.fulfiller->fulfill(9);
    });
    EXPECT_EQ(pair.promise.wait(reactor->wait_scope()), 9);
    other.join();
}

TEST_F(ReactorTest, stop_delivers_the_end_of_everything_and_takes_nothing_new) {
    std::array<int, 2> ends;
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd in(ends[0]), out(ends[1]);
    Recorder polled, timer, offloaded, late;
    uint8_t byte;
    Recorder read;
    reactor->poll(in.get(), POLLIN, true, polled);
    reactor->read(in.get(), std::span(&byte, 1), 0, read);
    reactor->timer(in_ms(100'000), timer);
    ASSERT_TRUE(reactor->offload([] { return 3; }, offloaded));
    reactor->stop();
    for (const Recorder* each : {&polled, &timer, &offloaded, &read}) EXPECT_TRUE(each->ended);
    EXPECT_EQ(timer.results, std::vector<int32_t>{-ECANCELED});
    reactor->poll(in.get(), POLLIN, false, late);
    EXPECT_FALSE(late.ended);
}

}  // namespace
}  // namespace noded::reactor
