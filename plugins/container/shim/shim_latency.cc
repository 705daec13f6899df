// How long a container takes, on this machine, now: prints medians over many runs of /bin/true on
// busybox. Not a test. Usage: shim_latency [RUNS]; NODED_SHIM names the shim.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "plugins/container/shim/test_box.h"

namespace {

using Clock = std::chrono::steady_clock;

double us(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

void print(const char* what, std::vector<double> values) {
    std::sort(values.begin(), values.end());
    std::printf("%-28s median %7.0f us   p10 %7.0f   p90 %7.0f\n", what, values[values.size() / 2],
                values[values.size() / 10], values[values.size() * 9 / 10]);
}

}  // namespace

int main(int argc, char** argv) {
    const int runs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 200;
    // As on a real node: the runtime folder on a tmpfs, layers and log on a disk.
    char runtime[] = "/dev/shm/shim-latency.XXXXXX";
    if (mkdtemp(runtime) == nullptr) return 1;
    std::vector<double> spawned, started, exited;
    for (int run = 0; run < runs; ++run) {
        noded::ShimBox box(false);
        noded::LaunchSpec spec = box.spec(std::vector<std::string>{"/bin/true"});
        spec.runtime_dir = runtime;
        const auto before_spawn = Clock::now();
        box.spawn();
        spawned.push_back(us(Clock::now() - before_spawn));
        usleep(2000);  // noded keeps a spare shim waiting, which has long settled
        const auto begin = Clock::now();
        box.start(spec);
        started.push_back(us(Clock::now() - begin));
        box.wait_exit();
        exited.push_back(us(Clock::now() - begin));
        box.release();
        box.wait_shim_gone();
    }
    rmdir(runtime);
    print("spawn a shim", spawned);
    print("LAUNCH to STARTED", started);
    print("LAUNCH to EXITED", exited);
}
