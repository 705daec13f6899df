// Cgroup mounts and folders, see places.h.
#include "plugins/stats/places.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace noded::stats {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(separator, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

/// One line: "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu".
void parse_mount(std::string_view line, std::vector<Mount>& out) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) return;
    Mount mount;
    mount.root = before[3];
    mount.path = before[4];
    if (after[0] == "cgroup") mount.controllers = "," + std::string(after[2]) + ",";
    if (after[0] != "cgroup" && after[0] != "cgroup2") return;
    if (std::ranges::find(out, mount.controllers, &Mount::controllers) == out.end())
        out.push_back(std::move(mount));
}

/// The folder under the mount; empty if the path does not lead through the container's group.
std::string folder_of(const Mount& mount, std::string_view path, std::string_view id) {
    if (mount.root != "/") {
        if (!path.starts_with(mount.root)) return "";
        path.remove_prefix(mount.root.size());
    }
    const std::string part = "/" + std::string(id);
    const size_t at = path.find(part);
    if (id.empty() || at == std::string_view::npos) return "";
    const size_t end = at + part.size();
    if (end != path.size() && path[end] != '/') return "";
    return mount.path + std::string(path.substr(0, end));
}

}  // namespace

bool Mount::has(std::string_view controller) const {
    return controllers.find("," + std::string(controller) + ",") != std::string::npos;
}

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    for (const std::string_view line : split(mountinfo, '\n')) parse_mount(line, mounts);
    return mounts;
}

Places places_of(const std::vector<Mount>& mounts, std::string_view proc_cgroup,
                 std::string_view id) {
    Places places;
    for (const std::string_view line : split(proc_cgroup, '\n')) {
        // "4:memory:/noded/1234abcd/ID", "0::/noded/1234abcd/ID".
        const size_t first = line.find(':');
        const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
        const std::string_view path = line.substr(second + 1);
        for (const Mount& mount : mounts) {
            const bool v2 = mount.controllers.empty();
            if (v2 ? !controllers[0].empty() : !mount.has(controllers[0])) continue;
            const std::string folder = folder_of(mount, path, id);
            if (v2) places.v2 = folder;
            if (mount.has("cpu")) places.cpu = folder;
            if (mount.has("cpuacct")) places.cpuacct = folder;
            if (mount.has("memory")) places.memory = folder;
            if (mount.has("pids")) places.pids = folder;
            if (mount.has("blkio")) places.blkio = folder;
        }
    }
    return places;
}

uint64_t start_time_of(std::string_view proc_stat) {
    // The second field is in brackets and may hold anything.
    const size_t close = proc_stat.rfind(')');
    if (close == std::string_view::npos) return 0;
    const auto fields = split(proc_stat.substr(std::min(close + 2, proc_stat.size())), ' ');
    if (fields.size() < 20) return 0;
    uint64_t value = 0;
    std::from_chars(fields[19].data(), fields[19].data() + fields[19].size(), value);
    return value;
}

}  // namespace noded::stats
