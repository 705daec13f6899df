// Quiet: the moments in which no start is under way. What is owed to nobody is done then: a shim
// that ends, a group that is removed, a spare that is made take the kernel as long as a start does,
// and a start that comes meanwhile would have to share the CPUs with them.
//
// Nothing is put off for long: while starts come close behind one another, what has waited for a
// second, and of more than a few things the oldest, is done all the same.
//
// Lives on the reactor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "plugins/sdk/host.h"

namespace noded::sdk {

class Quiet {
public:
    /// So long after a start: longer than a container that does nothing lives.
    static constexpr int64_t quiet_ns = 10'000'000;
    static constexpr int64_t longest_ns = 1'000'000'000;  ///< so long something is put off

    /// While starts come, at most so many things wait.
    Quiet(Host host, size_t put_off_max) : host_(std::move(host)), put_off_max_(put_off_max) {}
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

    /// A start came.
    void disturb();
    /// Until it is quiet, if no further start comes; 0: it is.
    int64_t left_ns() const;
    /// Does `work` in a quiet moment, after what was put off before it, and, while the host has
    /// timers, not within this call.
    void put_off(std::function<void()> work);
    /// What was put off is forgotten. Before the destructor, while the host lives.
    void stop();

private:
    static void fire(void* self, void* argument) noexcept;
    bool is_due() const;
    void look_again(int64_t delay_ns);
    void stop_timer();
    void do_oldest();
    void work_off();

    Host host_;
    size_t put_off_max_;
    struct PutOff {
        int64_t due_ns;  ///< CLOCK_MONOTONIC: then at the latest
        std::function<void()> work;
    };
    std::deque<PutOff> put_off_;
    int64_t quiet_from_ns_ = 0;  ///< CLOCK_MONOTONIC
    uint64_t timer_ = 0;
};

}  // namespace noded::sdk
