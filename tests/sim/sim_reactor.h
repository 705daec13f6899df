// SimReactor: the Reactor in virtual time. Completions that are due together come in seeded order,
// offloaded work runs when its completion is due. Descriptors are only polled: they are the socket
// pairs between the container plugin and the shims that the simulator plays in this same thread.
//
// The run asks next_ns(), sets the world's time and calls turn(). Dropped with its node in a crash:
// what was under way is never told.
#pragma once

#include <list>

#include "agent/reactor/reactor.h"
#include "tests/sim/world.h"

namespace noded::sim {

class SimReactor final : public reactor::Reactor, private Clock {
public:
    SimReactor(World& world, const int64_t& realtime_offset_ns)
        : world_(world), realtime_offset_ns_(realtime_offset_ns) {}

    Clock& clock() override { return *this; }
    void read(int, std::span<uint8_t>, uint64_t, reactor::Completion&) override;
    void write(int, Bytes, uint64_t, bool, reactor::Completion&) override;
    void send_message(int, const msghdr*, reactor::Completion&) override;
    void receive_message(int, msghdr*, reactor::Completion&) override;
    void accept(int, reactor::Completion&) override;
    void poll(int fd, uint32_t events, bool multishot, reactor::Completion& done) override;
    void timer(int64_t deadline_ns, reactor::Completion& done) override;
    void cancel(reactor::Completion& operation) override;
    bool offload(std::function<int32_t()> work, reactor::Completion& done) override;
    void at_turn_end(reactor::TurnEnd& hook) override { hooks_.push_back(&hook); }
    void run_again() override { wake_ns_ = world_.now_ns; }

    bool offload_is_idle() const { return offloaded_ == 0; }
    /// When the next turn is due, INT64_MAX for never.
    int64_t next_ns() const;
    void turn();
    /// Looks which descriptors have become ready.
    void scan();

private:
    struct Operation {
        uint64_t number;
        reactor::Completion* done;
        int64_t due_ns;
        int32_t result;
        bool more = false;
        int fd = -1;
        uint32_t events = 0;
        uint32_t told = 0;   ///< POLLOUT is told once per watch, as by an edge
        std::function<int32_t()> work;
    };

    int64_t realtime_ns() const override { return kEpochNs + realtime_offset_ns_ + world_.now_ns; }
    int64_t monotonic_ns() const override { return world_.now_ns; }
    void add(Operation operation);
    void complete(std::list<Operation>::iterator at);

    static constexpr int64_t kEpochNs = 1'700'000'000'000'000'000;
    World& world_;
    const int64_t& realtime_offset_ns_;
    std::list<Operation> operations_;
    std::vector<reactor::TurnEnd*> hooks_;
    size_t offloaded_ = 0;
    uint64_t numbers_ = 0;
    int64_t wake_ns_ = INT64_MAX;
};

}  // namespace noded::sim
