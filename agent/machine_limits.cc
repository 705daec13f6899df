// See machine_limits.h. The files are those of proc(5), cgroups(7) and the kernel's admin-guide.
#include "agent/machine_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "agent/base/proc_text.h"

namespace noded {
namespace {

constexpr uint64_t kNone = UINT64_MAX;
/// v1 writes the largest number of pages for "no limit".
constexpr uint64_t kNoMemoryLimit = uint64_t{1} << 62;

/// The number in a file; kNone for "max", and where there is no such file.
uint64_t number_in(const std::string& path) {
    std::ifstream file(path);
    std::string text;
    if (!(file >> text) || text.find_first_not_of("0123456789") != std::string::npos) return kNone;
    return strtoull(text.c_str(), nullptr, 10);
}

/// Where the hierarchy of a v1 controller, or for "" the v2 tree, is mounted; empty: nowhere.
std::string mount_of(const std::string& root, const std::string& controller) {
    std::ifstream file(root + "/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        const auto mount = parse_mount_line(line);
        if (!mount) continue;
        if (controller.empty() ? mount->type == "cgroup2"
                               : mount->type == "cgroup" &&
                                     has_word(mount->super_options, controller))
            return root + unescape_mount(mount->place);
    }
    return "";
}

/// noded's own group there, "/system.slice/noded.service".
std::string group_of(const std::string& root, const std::string& controller) {
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const auto group = parse_cgroup_line(line);
        if (!group) continue;
        if (controller.empty() ? group->controllers.empty()
                               : has_word(group->controllers, controller))
            return std::string(group->path);
    }
    return "";
}

/// The smallest of a limit's file in noded's group and all above it.
uint64_t least_above(const std::string& root, const std::string& controller,
                     const std::string& file) {
    const std::string mount = mount_of(root, controller);
    if (mount.empty()) return kNone;
    uint64_t least = kNone;
    for (std::string group = group_of(root, controller);;) {
        least = std::min(least, number_in(mount + group + "/" + file));
        if (group.empty() || group == "/") return least;
        group.erase(group.rfind('/'));
    }
}

std::string shown(uint64_t number) { return std::to_string(number); }

void warn_if_less(std::vector<std::string>& warnings, uint64_t has, uint64_t wants,
                  const std::string& what, const std::string& how) {
    if (has >= wants) return;
    warnings.push_back("this machine allows " + shown(has) + " " + what + ", and " +
                       shown(FullNode::containers) + " containers need about " + shown(wants) +
                       ": " + how);
}

/// Of the whole machine, bytes.
uint64_t memory_of(const std::string& root) {
    std::ifstream file(root + "/proc/meminfo");
    uint64_t kilobytes = 0;
    for (std::string name, rest; file >> name && std::getline(file, rest);)
        if (name == "MemTotal:") kilobytes = strtoull(rest.c_str(), nullptr, 10);
    return kilobytes == 0 ? kNone : kilobytes * 1024;
}

/// What the kernel gives a few containers of as a rule, but not a full node.
void look_at_kernel(const std::string& root, std::vector<std::string>& warnings) {
    const auto number = [&](const char* name) { return number_in(root + "/proc/sys/" + name); };
    warn_if_less(warnings, number("fs/inotify/max_user_watches"), FullNode::watches,
                 "watches of files and folders to one user",
                 "raise fs.inotify.max_user_watches with sysctl");
    warn_if_less(warnings, number("fs/inotify/max_user_instances"), FullNode::watchers,
                 "watchers of files and folders to one user",
                 "raise fs.inotify.max_user_instances with sysctl");
    warn_if_less(warnings, number("kernel/keys/root_maxkeys"), FullNode::keyrings,
                 "keys and keyrings to root, where each container has one",
                 "raise kernel.keys.root_maxkeys with sysctl");
    warn_if_less(warnings, number("kernel/pty/max"), FullNode::terminals, "terminals",
                 "raise kernel.pty.max with sysctl");
    warn_if_less(warnings, memory_of(root), FullNode::memory_bytes, "bytes of memory in all",
                 "give it more, or run fewer");
}

uint64_t namespaces_of(const std::string& root) {
    uint64_t least = kNone;
    for (const char* kind : {"mnt", "pid", "net", "ipc", "uts", "cgroup"})
        least = std::min(least,
                         number_in(root + "/proc/sys/user/max_" + kind + "_namespaces"));
    return least;
}

}  // namespace

MachineLimits look_at_machine(const std::string& root) {
    MachineLimits out;
    rlimit files{};
    out.files_max = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : kNone;
    out.files_max = std::min(out.files_max, number_in(root + "/proc/sys/fs/file-max"));
    out.processes_max = std::min(number_in(root + "/proc/sys/kernel/pid_max"),
                                 number_in(root + "/proc/sys/kernel/threads-max"));
    out.shims_max = std::min({out.processes_max, least_above(root, "pids", "pids.max"),
                              least_above(root, "", "pids.max")});
    out.memory_max = std::min(least_above(root, "memory", "memory.limit_in_bytes"),
                              least_above(root, "", "memory.max"));
    if (out.memory_max > kNoMemoryLimit) out.memory_max = kNone;
    out.namespaces_max = namespaces_of(root);
    warn_if_less(out.warnings, out.files_max, FullNode::files, "open files to noded",
                 "raise LimitNOFILE in its unit, or the hard limit of who starts it (ulimit -Hn)");
    warn_if_less(out.warnings, out.shims_max, FullNode::shims,
                 "processes in the cgroup of noded, where each container has one",
                 "raise TasksMax in its unit, or pids.max of its cgroup");
    warn_if_less(out.warnings, out.processes_max, FullNode::processes, "processes",
                 "raise kernel.pid_max and kernel.threads-max with sysctl");
    warn_if_less(out.warnings, out.memory_max, FullNode::memory_bytes,
                 "bytes of memory to the cgroup of noded",
                 "raise MemoryMax in its unit, or memory.max of its cgroup");
    warn_if_less(out.warnings, out.namespaces_max, FullNode::namespaces,
                 "namespaces of one kind", "raise user.max_*_namespaces with sysctl");
    look_at_kernel(root, out.warnings);
    return out;
}

}  // namespace noded
