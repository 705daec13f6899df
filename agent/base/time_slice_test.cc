#include "agent/base/time_slice.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace noded {

/// struct sched_attr of the kernel, whose header does not go with pthread.h.
struct Attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static Attributes attributes() {
    Attributes now{};
    EXPECT_EQ(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0), 0);
    return now;
}

TEST(TimeSlice, is_this_threads_and_changes_nothing_else) {
    std::thread([] {
        setpriority(PRIO_PROCESS, 0, 7);
        const Attributes before = attributes();
        set_time_slice(200'000);
        const Attributes after = attributes();
        // Linux 6.12
        if (before.runtime != 0) { EXPECT_EQ(after.runtime, 200'000u); }
        EXPECT_EQ(after.policy, before.policy);
        EXPECT_EQ(after.nice, 7);
        std::thread([&] { EXPECT_EQ(attributes().runtime, before.runtime); }).join();
        set_time_slice(kUsualTimeSlice);
        EXPECT_EQ(attributes().runtime, before.runtime);
    }).join();
    EXPECT_NE(attributes().runtime, 200'000u);
}

}  // namespace noded
