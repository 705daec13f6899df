// The kernel's clocks behind clock.h.
#include "agent/base/clock.h"

#include <ctime>

namespace noded {

static int64_t read_clock(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

int64_t SystemClock::realtime_ns() const { return read_clock(CLOCK_REALTIME); }
int64_t SystemClock::monotonic_ns() const { return read_clock(CLOCK_MONOTONIC); }

}  // namespace noded
