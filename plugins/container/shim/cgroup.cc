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

void join(Start& start, int at, const char* tasks, const char* folder) {
    int fd = static_cast<int>(sys(SYS_openat, at, tasks, O_WRONLY | O_CLOEXEC));
    const long written = fd < 0 ? fd : sys(SYS_write, fd, "0", 1);
    if (written < 0) give_up(start, 125, "join cgroup", folder, written);
    close_fd(fd);
}

int open_folder_tree(Start& start, const char* folder) {
    const int tree = static_cast<int>(
        sys(SYS_open_tree, AT_FDCWD, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (tree < 0) give_up(start, 125, "open the cgroup", folder, tree);
    return tree;
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
    for (uint32_t i = 0; i < container.cgroup_count; ++i) {
        const char* folder = container.cgroups[i].first;
        start.cgroup_trees[i] = -1;
        if (start.is_exec || start.exact != nullptr || container.cgroups[i].second[0] == 0) {
            join(start, AT_FDCWD, Path(folder, "/tasks").c_str(), folder);
        } else {
            // The container will see it, too: one walk along a long path for both.
            start.cgroup_trees[i] = open_folder_tree(start, folder);
            join(start, start.cgroup_trees[i], "tasks", folder);
        }
    }
    int& v2 = start.cgroup_trees[launch::cgroups_max];
    v2 = -1;
    if (!start.is_exec && start.exact == nullptr && container.cgroup_v2 != nullptr)
        v2 = open_folder_tree(start, container.cgroup_v2);
    if (start.is_exec || (container.namespaces & CLONE_NEWCGROUP) == 0) return;
    // Only now: the namespace's root is where its maker stands.
    const long result = sys(SYS_unshare, CLONE_NEWCGROUP);
    if (result < 0) give_up(start, 125, "unshare", "the cgroup namespace", result);
}

void mount_cgroup_trees(Start& start) {
    const launch::Launch& container = *start.container;
    int* trees = start.cgroup_trees;
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
