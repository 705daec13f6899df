// Chance and the queue of what is to come, see world.h.
#include "tests/sim/world.h"

#include <cstdio>
#include <utility>

#include "agent/base/check.h"

namespace noded::sim {

Random::Random(uint64_t seed) {
    uint64_t mixed = seed + 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    state_ = (mixed ^ (mixed >> 31)) | 1;
}

uint64_t Random::next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
}

void World::after(int64_t delay_ns, std::function<void()> run) {
    CHECK(delay_ns >= 0);
    events_.push({now_ns + delay_ns, random.next(), ++numbers_, std::move(run)});
}

void World::run_next() {
    CHECK(!events_.empty() && events_.top().at_ns <= now_ns);
    const std::function<void()> run = events_.top().run;
    events_.pop();
    run();
}

void World::trace(const std::string& who, const std::string& what) const {
    printf("%14.6f %s: %s\n", double(now_ns) / 1e9, who.c_str(), what.c_str());
}

}  // namespace noded::sim
