// Cgroup mounts and folders, see places.h.
#include "plugins/stats/places.h"

#include <algorithm>

#include "agent/base/proc_text.h"

namespace noded::stats {
namespace {

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

bool Mount::has(std::string_view controller) const { return has_word(controllers, controller); }

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    for (const std::string_view line : split(mountinfo, '\n')) {
        const auto found = parse_mount_line(line);
        if (!found || (found->type != "cgroup" && found->type != "cgroup2")) continue;
        Mount mount;
        mount.root = unescape_mount(found->root);
        mount.path = unescape_mount(found->place);
        if (found->type == "cgroup") mount.controllers = found->super_options;
        if (std::ranges::find(mounts, mount.controllers, &Mount::controllers) == mounts.end())
            mounts.push_back(std::move(mount));
    }
    return mounts;
}

Places places_of(const std::vector<Mount>& mounts, std::string_view proc_cgroup,
                 std::string_view id) {
    Places places;
    for (const std::string_view line : split(proc_cgroup, '\n')) {
        const auto group = parse_cgroup_line(line);
        if (!group) continue;
        const std::string_view controller = split(group->controllers, ',')[0];
        for (const Mount& mount : mounts) {
            const bool v2 = mount.controllers.empty();
            if (v2 ? !controller.empty() : !mount.has(controller)) continue;
            const std::string folder = folder_of(mount, group->path, id);
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

}  // namespace noded::stats
