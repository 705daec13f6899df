// See time_slice.h.
#include "agent/base/time_slice.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace noded {

void set_time_slice(int64_t slice_ns) {
    sched_attr attributes{};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    attributes.sched_runtime = static_cast<uint64_t>(slice_ns);
    if (slice_ns != kUsualTimeSlice) attributes.sched_flags |= SCHED_FLAG_RESET_ON_FORK;
    [[maybe_unused]] const long refused = syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace noded
