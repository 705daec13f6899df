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

constexpr char view[] = "/sys/fs/cgroup";
constexpr char v2_name[] = "unified";
constexpr unsigned view_attributes =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

void join(Start& start, int at, const char* tasks, const char* folder) {
    int fd = static_cast<int>(sys(SYS_openat, at, tasks, O_WRONLY | O_CLOEXEC));
    const long written = fd < 0 ? fd : sys(SYS_write, fd, "0", 1);
    if (written < 0) give_up(start, 125, "join cgroup", folder, written);
    close_fd(fd);
}

int open_or_give_up(Start& start, const char* folder) {
    const int tree = open_group(folder);
    if (tree < 0) give_up(start, 125, "open the cgroup", folder, tree);
    return tree;
}

void make_folder(Start& start, const Path& path) {
    const long made = sys(SYS_mkdirat, AT_FDCWD, path.c_str(), 0755);
    if (made < 0) give_up(start, 125, "make the folder", path.view(), made);
}

/// Makes /sys/fs/cgroup/<name>, unless it is there, and moves the tree to it.
void place(Start& start, int& tree, const char* name, bool is_there = false) {
    if (tree < 0) return;
    const Path target(view, name[0] != 0 ? "/" : "", name);
    if (name[0] != 0 && !is_there) make_folder(start, target);
    const long result =
        sys(SYS_move_mount, tree, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "mount the cgroup at", target.view(), result);
    close_fd(tree);
}

bool shows_v1(const launch::Launch& container) {
    for (uint32_t i = 0; i < container.cgroup_count; ++i)
        if (container.cgroups[i].second[0] != 0) return true;
    return false;
}

void mount_view(Start& start) {
    constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const long mounted = sys(SYS_mount, "tmpfs", view, "tmpfs", flags, "mode=755");
    if (mounted < 0) give_up(start, 125, "mount tmpfs on", view, mounted);
}

/// All mounts of the view at once, which is a call less for each hierarchy; or one tree that is not
/// yet there.
void protect(Start& start, int at, const char* path, unsigned flags) {
    mount_attr read_only = {.attr_set = view_attributes,
                            .attr_clr = 0,
                            .propagation = MS_PRIVATE,  // the host's may be shared
                            .userns_fd = 0};
    const long result = sys(SYS_mount_setattr, at, path, flags, &read_only, sizeof read_only);
    if (result < 0) give_up(start, 125, "make read-only", view, result);
}

/// The zygote has done the rest. By value: the shim is still to close the tree by its number.
void place_v2(Start& start, int tree, bool below_v1) {
    if (tree < 0) return;
    protect(start, tree, "", AT_EMPTY_PATH);
    place(start, tree, below_v1 ? v2_name : "", true);
}

/// The v2 group was entered by clone3 itself.
void enter_groups(Start& start) {
    const launch::Launch& container = *start.container;
    for (uint32_t i = 0; i < container.cgroup_count; ++i) {
        const char* folder = container.cgroups[i].first;
        start.cgroup_trees[i] = -1;
        if (start.is_exec || start.exact != nullptr || container.cgroups[i].second[0] == 0) {
            join(start, AT_FDCWD, Path(folder, "/tasks").c_str(), folder);
        } else {
            // The container will see it, too: one walk along a long path for both.
            start.cgroup_trees[i] = open_or_give_up(start, folder);
            join(start, start.cgroup_trees[i], "tasks", folder);
        }
    }
    int& v2 = start.cgroup_trees[launch::cgroups_max];
    v2 = -1;
    if (!start.is_exec && start.exact == nullptr && container.cgroup_v2 != nullptr)
        v2 = open_or_give_up(start, container.cgroup_v2);
}

}  // namespace

int open_group(const char* folder) {
    return static_cast<int>(
        sys(SYS_open_tree, AT_FDCWD, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

void open_spare_groups(Start& start, int* trees) {
    const Spare& spare = *start.spare;
    for (size_t i = 0; i < spare.group_count; ++i) {
        const char* folder = spare.groups[2 * i];
        trees[i] = folder[0] != 0 ? open_or_give_up(start, folder) : -1;
    }
}

void enter_spare_groups(Start& start, int* trees) {
    Spare& spare = *start.spare;
    if (spare.group_count == 0) return;
    mount_view(start);
    for (size_t i = 0; i < spare.group_count; ++i) {
        const char* name = spare.groups[2 * i + 1];
        if (trees[i] < 0) make_folder(start, Path(view, "/", name));
        else join(start, trees[i], "tasks", spare.groups[2 * i]);
        place(start, trees[i], name);
    }
    protect(start, AT_FDCWD, view, AT_RECURSIVE);
    spare.shows_groups = true;
}

void join_cgroups(Start& start) {
    if (!start.of_zygote) enter_groups(start);
    if (start.is_exec || (start.container->namespaces & CLONE_NEWCGROUP) == 0) return;
    // Only now: the namespace's root is where its maker stands.
    const long result = sys(SYS_unshare, CLONE_NEWCGROUP);
    if (result < 0) give_up(start, 125, "unshare", "the cgroup namespace", result);
}

void mount_cgroup_trees(Start& start) {
    const launch::Launch& container = *start.container;
    int* trees = start.cgroup_trees;
    int& v2 = trees[launch::cgroups_max];
    if (start.of_zygote) return place_v2(start, v2, shows_v1(container));
    // A view of groups that were not this container's after all.
    if (start.spare != nullptr && start.spare->shows_groups)
        sys(SYS_umount2, view, MNT_DETACH);
    if (!shows_v1(container)) {
        if (v2 < 0) return;
        place(start, v2, "");
    } else {
        mount_view(start);
        for (uint32_t i = 0; i < container.cgroup_count; ++i)
            place(start, trees[i], container.cgroups[i].second);
        place(start, v2, v2_name);
    }
    protect(start, AT_FDCWD, view, AT_RECURSIVE);
}

}  // namespace noded::shim
