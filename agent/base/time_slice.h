// How long a thread may go on while another one waits for its CPU.
#pragma once

#include <cstdint>

namespace noded {

constexpr int64_t kUsualTimeSlice = 0;

/// Of the calling thread alone: what it starts has the usual one. Who wakes up and asks for a short
/// one interrupts those who ask for longer; its share of the CPU stays as it is. 0.1 to 100 ms, or
/// the usual one. Does nothing where the kernel knows no such thing (before Linux 6.12;
/// sched_setattr(2), sched_runtime of SCHED_OTHER).
void set_time_slice(int64_t slice_ns);

}  // namespace noded
