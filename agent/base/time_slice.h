// How long a thread may go on while another one waits for its CPU.
#pragma once

#include <cstdint>

namespace noded {

/// Of the calling thread, and of what it starts from now on. A short one lets those who wake up in
/// at once, for the price of more switches; its share of the CPU stays. Does nothing where the
/// kernel knows no such thing (before Linux 6.12; sched_setattr(2), sched_runtime of SCHED_OTHER).
void set_time_slice(int64_t slice_ns);

}  // namespace noded
