// Clock: the only way to learn the time. The reactor's is the kernel's; the simulator has its own.
#pragma once

#include <cstdint>

namespace noded {

class Clock {
public:
    virtual ~Clock() = default;
    /// Nanoseconds since the Unix epoch; for time stamps in events, may jump.
    virtual int64_t realtime_ns() const = 0;
    /// Nanoseconds on a clock that never jumps; for deadlines.
    virtual int64_t monotonic_ns() const = 0;
};

/// The kernel's clocks.
class SystemClock final : public Clock {
public:
    int64_t realtime_ns() const override;
    int64_t monotonic_ns() const override;
};

}  // namespace noded
