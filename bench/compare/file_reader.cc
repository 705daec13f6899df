// The peer of stats-cost that no program beats who reads files: those that tell what containers use
// are opened once, and read again and again from their start, into a buffer that nobody looks at.
//
// usage: file_reader HZ SECONDS PID...
//
// Prints the CPU time, user and system, of one look at one container, in nanoseconds, and how many
// files were read for it.
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

std::string text_of(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// The folder of a process in the hierarchy of a controller; "" is v2.
std::string folder_of(const std::string& pid, const std::string& controller) {
    std::istringstream lines(text_of("/proc/" + pid + "/cgroup"));
    std::string path;
    for (std::string line; std::getline(lines, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
        if (controller.empty() ? names == ",," : names.find("," + controller + ",") != names.npos)
            path = line.substr(second + 1);
    }
    const std::string root = "/sys/fs/cgroup";
    const bool hybrid = access((root + "/unified").c_str(), F_OK) == 0;
    return root + (controller.empty() ? (hybrid ? "/unified" : "") : "/" + controller) + path;
}

void open_files(const std::string& pid, std::vector<int>& fds) {
    const auto add = [&](const std::string& path) {
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd >= 0) fds.push_back(fd);
    };
    const std::string v2 = folder_of(pid, ""), memory = folder_of(pid, "memory");
    for (const char* file : {"cpu.stat", "cpu.pressure", "memory.pressure", "io.pressure",
                             "memory.current", "memory.stat", "memory.max", "pids.current",
                             "pids.max", "io.stat"})
        add(v2 + "/" + file);
    add(folder_of(pid, "cpu") + "/cpu.stat");
    for (const char* file : {"memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes"})
        add(memory + "/" + file);
    for (const char* file : {"pids.current", "pids.max"}) add(folder_of(pid, "pids") + "/" + file);
    for (const char* file : {"io_service_bytes_recursive", "io_serviced_recursive"})
        add(folder_of(pid, "blkio") + "/blkio.throttle." + file);
    add("/proc/" + pid + "/net/dev");
}

int64_t cpu_ns() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return int64_t{used.tv_sec} * kSecondNs + used.tv_nsec;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: file_reader HZ SECONDS PID...\n");
        return 2;
    }
    const long hz = atol(argv[1]), seconds = atol(argv[2]);
    if (hz < 1 || seconds < 1) return 2;
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    std::vector<int> fds;
    for (int i = 3; i < argc; ++i) open_files(argv[i], fds);
    if (fds.empty()) {
        fprintf(stderr, "file_reader: these processes have no files to read\n");
        return 1;
    }
    std::vector<char> buffer(64 << 10);
    timespec next{};
    clock_gettime(CLOCK_MONOTONIC, &next);
    const int64_t begun = cpu_ns();
    for (long look = 0; look < hz * seconds; ++look) {
        for (const int fd : fds)
            if (pread(fd, buffer.data(), buffer.size(), 0) < 0) buffer[0] = 0;
        next.tv_nsec += kSecondNs / hz;
        if (next.tv_nsec >= kSecondNs) {
            ++next.tv_sec;
            next.tv_nsec -= kSecondNs;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    }
    const double containers = argc - 3;
    printf("%.1f %.1f\n", double(cpu_ns() - begun) / containers / double(hz * seconds),
           double(fds.size()) / containers);
    return 0;
}
