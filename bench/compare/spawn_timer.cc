// spawn_timer: wall time of a command from before it is started until it is reaped, many times in a
// row.
//
// A scripting language would add its own milliseconds, so bench/compare measures command lines
// through this. The command reads from /dev/null and writes to /dev/null; its errors pass through.
// The first run that fails ends the measurement: a figure over failures is none.
//
// usage: spawn_timer RUNS PROGRAM [ARGUMENT...]      prints nanoseconds, one run a line
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <vector>

extern char** environ;

namespace {

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

/// Nanoseconds of one run, or -1 after saying what went wrong.
int64_t time_once(char** command, const posix_spawn_file_actions_t& actions) {
    const int64_t start_ns = now_ns();
    pid_t pid;
    const int error = posix_spawnp(&pid, command[0], &actions, nullptr, command, environ);
    if (error != 0) {
        std::fprintf(stderr, "spawn_timer: start %s: %s\n", command[0], std::strerror(error));
        return -1;
    }
    int status;
    while (wait4(pid, &status, 0, nullptr) < 0) {
        if (errno != EINTR) {
            std::fprintf(stderr, "spawn_timer: wait for %s: %s\n", command[0],
                         std::strerror(errno));
            return -1;
        }
    }
    const int64_t end_ns = now_ns();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "spawn_timer: %s ended with wait status 0x%x\n", command[0], status);
        return -1;
    }
    return end_ns - start_ns;
}

}  // namespace

int main(int argc, char** argv) {
    unsigned runs = 0;
    if (argc >= 3) {
        std::string_view text = argv[1];
        std::from_chars(text.data(), text.data() + text.size(), runs);
    }
    if (runs == 0 || runs > 1'000'000) {
        std::fprintf(stderr, "usage: spawn_timer RUNS PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);

    // Printed at the end, so that a reader of the output does not run between two measurements.
    std::vector<int64_t> times_ns;
    for (unsigned run = 0; run < runs; ++run) {
        const int64_t time_ns = time_once(argv + 2, actions);
        if (time_ns < 0) {
            return 1;
        }
        times_ns.push_back(time_ns);
    }
    for (int64_t time_ns : times_ns) {
        std::printf("%lld\n", static_cast<long long>(time_ns));
    }
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}
