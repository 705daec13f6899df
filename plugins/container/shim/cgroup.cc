// A child's way into its cgroups, and the read-only view of them that the container gets. The child
// writes "0" to each v1 tasks file while it is the only thread of its group: the kernel then needs
// no lock over all threads of the machine.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "plugins/container/shim/child.h"

namespace noded::shim {
namespace {

using Path = Text<launch::path_bytes_max + 32>;

void join(Start& start, const char* folder, const char* file) {
    const Path path(folder, file);
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CLOEXEC));
    const long written = fd < 0 ? fd : sys(SYS_write, fd, "0", 1);
    if (written < 0) give_up(start, 125, "join cgroup", folder, written);
    close_fd(fd);
}

/// Makes /sys/fs/cgroup/<name> and moves the tree there.
void place(Start& start, int& tree, const char* name) {
    if (tree < 0) return;
    const Path target("/sys/fs/cgroup", name[0] != 0 ? "/" : "", name);
    long result = 0;
    if (name[0] != 0) result = sys(SYS_mkdirat, AT_FDCWD, target.c_str(), 0755);
    if (result == 0)
        result = sys(SYS_move_mount, tree, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "mount the cgroup at", target.view(), result);
    close_fd(tree);
}

bool shows_v1(const launch::Launch& container) {
    for (uint32_t i = 0; i < container.cgroup_count; ++i)
        if (container.cgroups[i].second[0] != 0) return true;
    return false;
}

}  // namespace

void join_cgroups(Start& start) {
    const launch::Launch& container = *start.container;
    // The v2 group was entered by clone3 itself.
    for (uint32_t i = 0; i < container.cgroup_count; ++i)
        join(start, container.cgroups[i].first, "/tasks");
    if (start.is_exec || (container.namespaces & CLONE_NEWCGROUP) == 0) return;
    // Only now: the namespace's root is where its maker stands.
    const long result = sys(SYS_unshare, CLONE_NEWCGROUP);
    if (result < 0) give_up(start, 125, "unshare", "the cgroup namespace", result);
}

void open_cgroup_trees(Start& start, int* trees) {
    const launch::Launch& container = *start.container;
    for (uint32_t i = 0; i <= launch::cgroups_max; ++i) {
        const char* folder = i == launch::cgroups_max ? container.cgroup_v2
                             : i < container.cgroup_count && container.cgroups[i].second[0] != 0
                                 ? container.cgroups[i].first
                                 : nullptr;
        trees[i] = -1;
        if (folder == nullptr) continue;
        trees[i] = static_cast<int>(
            sys(SYS_open_tree, AT_FDCWD, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        if (trees[i] < 0) give_up(start, 125, "open the cgroup", folder, trees[i]);
    }
}

void mount_cgroup_trees(Start& start, int* trees) {
    const launch::Launch& container = *start.container;
    if (!shows_v1(container)) {
        if (trees[launch::cgroups_max] < 0) return;
        place(start, trees[launch::cgroups_max], "");
    } else {
        constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
        const long mounted =
            sys(SYS_mount, "tmpfs", "/sys/fs/cgroup", "tmpfs", flags, "mode=755");
        if (mounted < 0) give_up(start, 125, "mount tmpfs on", "/sys/fs/cgroup", mounted);
        for (uint32_t i = 0; i < container.cgroup_count; ++i)
            place(start, trees[i], container.cgroups[i].second);
        place(start, trees[launch::cgroups_max], "unified");
    }
    // All at once, which is a call less for each hierarchy.
    mount_attr read_only = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        .attr_clr = 0,
        .propagation = MS_PRIVATE,  // the host's may be shared
        .userns_fd = 0};
    const long result = sys(SYS_mount_setattr, AT_FDCWD, "/sys/fs/cgroup", AT_RECURSIVE, &read_only,
                            sizeof read_only);
    if (result < 0) give_up(start, 125, "make read-only", "/sys/fs/cgroup", result);
}

}  // namespace noded::shim
