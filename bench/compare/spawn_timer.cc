// spawn_timer: wall time of a command from before it is started until it is reaped, many times in a
// row.
//
// A scripting language would add its own milliseconds, so bench/compare measures command lines
// through this. The command reads from /dev/null and writes to /dev/null; its errors pass through.
// The first run that fails ends the measurement: a figure over failures is none.
//
// usage: spawn_timer RUNS PROGRAM [ARGUMENT...]      prints nanoseconds, one run a line
//        spawn_timer RUNSxJOBS PROGRAM [ARGUMENT...]
//            JOBS of them at the same time; prints the nanoseconds from the first start to the last
//            end
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

/// False after saying what went wrong.
bool start(char** command, const posix_spawn_file_actions_t& actions) {
    pid_t pid;
    const int error = posix_spawnp(&pid, command[0], &actions, nullptr, command, environ);
    if (error != 0)
        std::fprintf(stderr, "spawn_timer: start %s: %s\n", command[0], std::strerror(error));
    return error == 0;
}

/// Waits for one of them. False after saying what went wrong.
bool reap(char** command) {
    int status;
    while (wait4(-1, &status, 0, nullptr) < 0) {
        if (errno == EINTR) continue;
        std::fprintf(stderr, "spawn_timer: wait for %s: %s\n", command[0], std::strerror(errno));
        return false;
    }
    const bool succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!succeeded)
        std::fprintf(stderr, "spawn_timer: %s ended with wait status 0x%x\n", command[0], status);
    return succeeded;
}

/// Nanoseconds of one run, or -1.
int64_t time_once(char** command, const posix_spawn_file_actions_t& actions) {
    const int64_t start_ns = now_ns();
    if (!start(command, actions) || !reap(command)) return -1;
    return now_ns() - start_ns;
}

/// Nanoseconds of all, so many at the same time, or -1.
int64_t time_all(unsigned runs, unsigned jobs, char** command,
                 const posix_spawn_file_actions_t& actions) {
    const int64_t start_ns = now_ns();
    for (unsigned begun = 0, ended = 0; ended < runs;) {
        if (begun < runs && begun - ended < jobs) {
            if (!start(command, actions)) return -1;
            ++begun;
            continue;
        }
        if (!reap(command)) return -1;
        ++ended;
    }
    return now_ns() - start_ns;
}

}  // namespace

int main(int argc, char** argv) {
    unsigned runs = 0;
    unsigned jobs = 0;
    if (argc >= 3) {
        std::string_view text = argv[1];
        const char* const end = text.data() + text.size();
        const char* const at = std::from_chars(text.data(), end, runs).ptr;
        if (at != end && (*at != 'x' || std::from_chars(at + 1, end, jobs).ptr != end || jobs == 0))
            runs = 0;
    }
    if (runs == 0 || runs > 1'000'000) {
        std::fprintf(stderr, "usage: spawn_timer RUNS[xJOBS] PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);

    // Printed at the end, so that a reader of the output does not run between two measurements.
    std::vector<int64_t> times_ns;
    for (unsigned run = 0; run < (jobs > 0 ? 1 : runs); ++run) {
        const int64_t time_ns = jobs > 0 ? time_all(runs, jobs, argv + 2, actions)
                                         : time_once(argv + 2, actions);
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
