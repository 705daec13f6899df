// See storm_checks.h. Processes of other tests come and go meanwhile: each file of /proc may vanish
// between two looks, and only what names this node counts.
#include "tests/integration/storm_checks.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/integration/text.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const char* const kCgroups = "/sys/fs/cgroup";

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (auto at = fs::directory_iterator(folder, error);
         !error && at != fs::directory_iterator(); at.increment(error))
        names.push_back(at->path().filename());
    return names;
}

std::vector<pid_t> processes() {
    std::vector<pid_t> pids;
    for (const std::string& name : names_in("/proc"))
        if (isdigit(static_cast<unsigned char>(name[0]))) pids.push_back(atoi(name.c_str()));
    return pids;
}

std::string proc(pid_t pid, const std::string& file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

/// Field 22 of /proc/PID/stat, with its state; empty when there is no such process, or a zombie.
std::string start_time(pid_t pid) {
    const std::string stat = read_text(proc(pid, "stat"));
    const size_t end = stat.rfind(')');
    if (end == std::string::npos) return {};
    std::istringstream fields(stat.substr(end + 1));
    std::string field;
    for (int number = 3; number <= 22; ++number) {
        fields >> field;
        if (number == 3 && (field == "Z" || field == "X")) return {};
    }
    return field;
}

/// Each thread has its own list: the shims are children of the reactor or of the lane.
std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> found;
    for (const std::string& thread : names_in(proc(parent, "task"))) {
        std::istringstream pids(read_text(proc(parent, "task/" + thread + "/children")));
        for (pid_t pid = 0; pids >> pid;) found.push_back(pid);
    }
    return found;
}

/// How often each container, exec or command saw each event.
struct Counts {
    std::map<std::string, std::map<std::string, int>> of;

    int operator()(const std::string& id, const std::string& type) const {
        const auto& types = of.at(id);
        const auto found = types.find(type);
        return found == types.end() ? 0 : found->second;
    }
};

void add(const Json& event, Counts& counts) {
    const std::string type = event["type"];
    const Json& payload = event["payload"];
    for (const char* key : {"id", "containerId", "execId"})
        if (payload.contains(key) && payload[key].is_string())
            counts.of[payload[key].get<std::string>()][type] += 1;
    counts.of[event["commandId"].get<std::string>()]["of " + type] += 1;
}

}  // namespace

std::vector<std::string> history_faults(const std::string& events) {
    Counts counts;
    for (const std::string& line : lines_of(events)) add(Json::parse(line), counts);
    std::vector<std::string> faults;
    for (const auto& [id, types] : counts.of) {
        const auto expect = [&](const std::string& what, int intents, int outcomes) {
            if (intents != outcomes)
                faults.push_back(id + ": " + what + ": " + std::to_string(intents) + " intents, " +
                                 std::to_string(outcomes) + " outcomes");
        };
        expect("start", counts(id, "ContainerStartRequested"),
               counts(id, "ContainerStarted") + counts(id, "ContainerStartFailed"));
        expect("run", counts(id, "ContainerStarted"), counts(id, "ContainerExited"));
        expect("removal", counts(id, "ContainerRequested"), counts(id, "ContainerRemoved"));
        expect("removal of files", counts(id, "ContainerRemoved"), counts(id, "RootfsRemoved"));
        // An exec is told of under its container's id, too: the sums agree there as well.
        expect("exec", counts(id, "ExecRequested"),
               counts(id, "ExecExited") + counts(id, "ExecFailed"));
        if (counts(id, "of ContainerCommitRequested") > 0)
            expect("commit", counts(id, "of ContainerCommitRequested"),
                   counts(id, "of ImageImported") + counts(id, "of ImageImportFailed"));
    }
    return faults;
}

std::vector<std::string> agreement_faults(const TestNode& node) {
    std::vector<std::string> faults;
    const Ran listed = node.nodectl({"ps", "-aq", "--no-trunc"});
    for (const std::string& id : lines_of(listed.out)) {
        const Ran ran = node.nodectl(
            {"inspect", "-f", "{{.State.Status}} {{.State.Pid}} {{.State.Running}}", id});
        std::istringstream words(ran.out);
        std::string status, running;
        pid_t pid = 0;
        if (!(words >> status >> pid >> running)) continue;  // it was removed since
        const bool there = pid > 0 && !start_time(pid).empty();
        const bool grouped = says(read_text(proc(pid, "cgroup")), id);
        if (running == "true" && !(there && grouped))
            faults.push_back(id + " is " + status + ", but its process " + std::to_string(pid) +
                             (there ? " is in other cgroups" : " is not there"));
        if (running == "true") continue;
        for (const pid_t other : processes())
            if (says(read_text(proc(other, "cgroup")), id) && !start_time(other).empty())
                faults.push_back(id + " is " + status + ", but has process " +
                                 std::to_string(other));
    }
    return faults;
}

void StormTraces::note() {
    for (const pid_t pid : children_of(node_.pid())) children_[pid] = start_time(pid);
    for (const pid_t pid : processes()) {
        if (!group_.empty()) return;
        const std::string cgroup = read_text(proc(pid, "cgroup"));
        const size_t at = cgroup.find("/noded/");
        // Others run on this machine, too: ours is the one whose shim is a child of our noded.
        const std::string parent = "PPid:\t";
        const std::string status = read_text(proc(pid, "status"));
        const size_t ppid = status.find(parent);
        if (at == std::string::npos || ppid == std::string::npos) continue;
        if (!children_.contains(atoi(status.c_str() + ppid + parent.size()))) continue;
        group_ = cgroup.substr(at + 7, 8);
    }
}

std::vector<std::string> StormTraces::cgroup_parents() const {
    std::vector<std::string> found;
    if (group_.empty()) return found;
    std::vector<std::string> mounts = names_in(kCgroups);
    mounts.push_back("");
    for (const std::string& mount : mounts) {
        const std::string parent = std::string(kCgroups) + "/" + mount + "/noded";
        if (fs::is_symlink(std::string(kCgroups) + "/" + mount)) continue;
        for (const std::string& name : names_in(parent))
            if (name.starts_with(group_)) found.push_back(parent + "/" + name);
    }
    return found;
}

std::vector<std::string> StormTraces::left() const {
    std::vector<std::string> left;
    if (group_.empty()) left.push_back("no container of the node was ever seen in a cgroup");
    for (const std::string& parent : cgroup_parents()) {
        for (const std::string& name : names_in(parent))
            if (!name.starts_with("spare-") && fs::is_directory(parent + "/" + name))
                left.push_back("cgroup " + parent + "/" + name);
    }
    const std::vector<pid_t> now = children_of(node_.pid());
    for (const auto& [pid, time] : children_)
        if (!time.empty() && start_time(pid) == time && std::ranges::count(now, pid) == 0)
            left.push_back("process " + std::to_string(pid) + " " + read_text(proc(pid, "comm")));
    for (const pid_t pid : now)
        if (start_time(pid).empty()) left.push_back("zombie " + std::to_string(pid));
    if (now.size() > idle_shims) left.push_back(std::to_string(now.size()) + " children of noded");
    struct stat own {};
    stat("/proc/self/ns/mnt", &own);
    for (const pid_t pid : processes()) {
        struct stat other {};
        if (stat(proc(pid, "ns/mnt").c_str(), &other) != 0 || other.st_ino == own.st_ino) continue;
        if (says(read_text(proc(pid, "mountinfo")), node_.dir() + "/"))
            left.push_back("mounts in the namespace of process " + std::to_string(pid));
    }
    for (const char* folder : {"/plugins/container/trash", "/plugins/storage/tmp"})
        for (const std::string& name : names_in(node_.state_dir() + folder))
            if (!name.starts_with("spare-")) left.push_back(std::string(folder) + "/" + name);
    return left;
}

std::vector<std::string> open_descriptors(pid_t pid) {
    std::vector<std::string> found;
    std::error_code error;
    for (const std::string& name : names_in(proc(pid, "fd"))) {
        const std::string what = fs::read_symlink(proc(pid, "fd/") + name, error).string();
        if (!says(what, "anon_inode:b")) found.push_back(what);
    }
    std::ranges::sort(found);
    return found;
}

}  // namespace noded::test
