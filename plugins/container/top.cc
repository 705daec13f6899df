// The processes of a container, as `top` shows them: read from /proc (proc(5)) for the pids in its
// cgroup, on the offload lane, since a process that holds its memory lock can make a reader wait.
#include <sstream>
#include <unistd.h>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

struct ProcessView {
    uint32_t pid = 0;
    uint32_t ppid = 0;
    uint32_t uid = 0;
    uint64_t tty = 0;
    uint64_t cpu_ticks = 0;
    uint64_t start_ticks = 0;  ///< since boot
    std::string command;
};

struct Snapshot {
    std::vector<ProcessView> processes;
    int64_t boot_ns = 0;
    double uptime_s = 0;
};

/// "[name]" as ps shows a process without arguments, else its arguments with spaces between.
std::string command_of(Sys& sys, const std::string& folder, const std::string& name) {
    std::string line = sys.read_file(folder + "/cmdline").value_or("");
    while (!line.empty() && line.back() == '\0') line.pop_back();
    for (char& c : line)
        if (c == '\0') c = ' ';
    return line.empty() ? "[" + name + "]" : line;
}

uint32_t uid_of(Sys& sys, const std::string& folder) {
    const std::string status = sys.read_file(folder + "/status").value_or("");
    const size_t at = status.find("\nUid:");
    return at == std::string::npos ? 0 : uint32_t(strtoul(status.c_str() + at + 5, nullptr, 10));
}

/// Fields by their numbers in proc(5).
std::optional<ProcessView> view(Sys& sys, uint32_t pid) {
    const std::string folder = "/proc/" + std::to_string(pid);
    const std::string stat = sys.read_file(folder + "/stat").value_or("");
    const size_t open = stat.find('(');
    const size_t close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open)
        return std::nullopt;
    std::istringstream rest(stat.substr(close + 1));
    std::vector<std::string> fields = {"", "", ""};
    for (std::string field; rest >> field;) fields.push_back(field);
    if (fields.size() < 23) return std::nullopt;
    const auto number = [&](size_t n) { return strtoull(fields[n].c_str(), nullptr, 10); };
    ProcessView out;
    out.pid = pid;
    out.ppid = uint32_t(number(4));
    out.tty = number(7);
    out.cpu_ticks = number(14) + number(15);
    out.start_ticks = number(22);
    out.uid = uid_of(sys, folder);
    out.command = command_of(sys, folder, stat.substr(open + 1, close - open - 1));
    return out;
}

void look(Sys& sys, const std::vector<uint32_t>& pids, Snapshot& out) {
    for (uint32_t pid : pids) {
        if (out.processes.size() >= limits::processes_listed_max) break;
        if (auto process = view(sys, pid)) out.processes.push_back(std::move(*process));
    }
    out.uptime_s = strtod(sys.read_file("/proc/uptime").value_or("0").c_str(), nullptr);
    const std::string stat = sys.read_file("/proc/stat").value_or("");
    if (const size_t at = stat.find("\nbtime "); at != std::string::npos)
        out.boot_ns = int64_t(strtoull(stat.c_str() + at + 7, nullptr, 10)) * 1'000'000'000;
}

std::string tty_name(uint64_t device) {
    constexpr uint64_t kFirstPtyMajor = 136;
    const uint64_t major = (device >> 8) & 0xfff;
    const uint64_t minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    if (major < kFirstPtyMajor || major > kFirstPtyMajor + 7) return "?";
    return "pts/" + std::to_string(minor + ((major - kFirstPtyMajor) << 8));
}

void fill_process(const ProcessView& from, const Snapshot& all, double ticks_per_s,
                  schema::Process::Builder out) {
    out.setPid(from.pid);
    out.setPpid(from.ppid);
    out.setUid(from.uid);
    const std::string user = from.uid == 0 ? "root" : std::to_string(from.uid);
    out.setUser(text(user));
    const double age_s = all.uptime_s - double(from.start_ticks) / ticks_per_s;
    const double cpu_s = double(from.cpu_ticks) / ticks_per_s;
    out.setCpuPercent(age_s > 0 ? uint32_t(cpu_s / age_s * 100) : 0);
    out.setStartedNs(all.boot_ns + int64_t(double(from.start_ticks) / ticks_per_s * 1e9));
    const std::string tty = tty_name(from.tty);
    out.setTty(text(tty));
    out.setCpuTimeMs(uint64_t(cpu_s * 1000));
    out.setCommand(text(from.command));
}

}  // namespace

void Effects::top(uint64_t token, const std::string& reference) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    if (container->phase != Phase::RUNNING)
        return host_.refuse(token, NODED_REJECT_CONFLICT,
                            "Container " + container->id + " is not running");
    auto snapshot = std::make_shared<Snapshot>();
    auto work = [snapshot, sys = sys_, cgroups = cgroups_, group = cgroup_of(*container)] {
        look(*sys, cgroups->processes(group), *snapshot);
    };
    auto done = [this, token, snapshot] {
        Message<schema::Container::TopResults> results;
        auto list = results->initProcesses(unsigned(snapshot->processes.size()));
        const auto ticks_per_s = double(sysconf(_SC_CLK_TCK));
        for (unsigned i = 0; i < list.size(); ++i)
            fill_process(snapshot->processes[i], *snapshot, ticks_per_s, list[i]);
        host_.respond(token, results);
    };
    if (!host_.offload(std::move(work), std::move(done)))
        host_.refuse(token, NODED_REJECT_BUSY, "the node is busy, try again");
}

}  // namespace noded::container
