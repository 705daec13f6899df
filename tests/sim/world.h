// World: virtual time, seeded chance, and what is to happen when. One per run; nodes, clients and
// faults share it. There is no other source of order or chance, so a seed repeats a run exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <vector>

namespace noded::sim {

/// xorshift64*, seeded by splitmix64.
class Random {
public:
    explicit Random(uint64_t seed);
    uint64_t next();
    /// In [0, bound).
    uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
    int64_t between(int64_t low, int64_t high) {
        return low + int64_t(below(uint64_t(high - low + 1)));
    }
    bool chance(double probability) {
        return double(next() >> 11) * 0x1.0p-53 < probability;
    }

private:
    uint64_t state_;
};

class World {
public:
    explicit World(uint64_t seed) : random(seed) {}

    Random random;
    int64_t now_ns = 0;
    bool faults = true;   ///< false: the run is to come to rest
    /// How often each fault occurred, by its name in the workload.
    std::map<std::string, uint64_t> occurred;
    bool traced = false;  ///< what happens is told on standard output

    void after(int64_t delay_ns, std::function<void()> run);
    /// INT64_MAX if nothing is to come.
    int64_t next_ns() const { return events_.empty() ? INT64_MAX : events_.top().at_ns; }
    /// Runs the first of what is due.
    void run_next();

    /// True if a fault is to come; whoever lets it come counts it in `occurred`.
    bool draws(double probability) { return faults && random.chance(probability); }
    /// True if this fault is to occur now: it is counted.
    bool occurs(const std::string& fault, double probability) {
        if (!draws(probability)) return false;
        ++occurred[fault];
        return true;
    }

    /// One line of the trace, if there is one: `who` did `what`.
    void tell(const std::string& who, const std::string& what) const {
        if (traced) trace(who, what);
    }
    /// A checker's verdict; the first one counts and ends the run.
    void fail(const std::string& sentence) {
        if (failure_.empty()) failure_ = sentence;
    }
    const std::string& failure() const { return failure_; }
    bool failed() const { return !failure_.empty(); }

private:
    struct Event {
        int64_t at_ns;
        uint64_t order;   ///< drawn, so that what is due together comes in seeded order
        uint64_t number;
        std::function<void()> run;
        bool operator<(const Event& other) const {
            return std::tie(other.at_ns, other.order, other.number) <
                   std::tie(at_ns, order, number);
        }
    };
    void trace(const std::string& who, const std::string& what) const;

    std::priority_queue<Event> events_;
    uint64_t numbers_ = 0;
    std::string failure_;
};

}  // namespace noded::sim
