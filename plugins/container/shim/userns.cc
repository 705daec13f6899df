// See userns.h.
#include "plugins/container/shim/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstring>

namespace noded::shim {
namespace {

using Path = Text<launch::path_bytes_max + 32>;

bool is_of_container(const launch::Launch& container, bool group, uint32_t id) {
    for (uint32_t i = 0; i < container.id_map_count; ++i) {
        const launch::IdMap& map = container.id_maps[i];
        if ((map.group != 0) == group && id >= map.host && id - map.host < map.count) return true;
    }
    return false;
}

/// Storage gave the upper folder the owner that the image's root has in its layer. Once the
/// container has chosen another one, that stays.
void own_upper(Start& start, int top_layer) {
    const launch::Launch& container = *start.container;
    struct stat upper, top;
    long result = sys(SYS_newfstatat, AT_FDCWD, container.upper, &upper, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && is_of_container(container, false, upper.st_uid)) return;
    if (result == 0) result = sys(SYS_fstat, top_layer, &top);
    if (result == 0) {
        const bool known = is_of_container(container, false, top.st_uid) &&
                           is_of_container(container, true, top.st_gid);
        result = sys(SYS_fchownat, AT_FDCWD, container.upper,
                     known ? top.st_uid : root_id(&container, false),
                     known ? top.st_gid : root_id(&container, true), AT_SYMLINK_NOFOLLOW);
        // A change of the owner takes setuid and setgid bits.
        if (result == 0)
            result = sys(SYS_fchmodat, AT_FDCWD, container.upper, upper.st_mode & 07777);
    }
    if (result < 0) give_up(start, 125, "give to the container", container.upper, result);
}

/// A layer as `name` in the current folder.
void place_layer(Start& start, uint32_t index, const Text<16>& name) {
    const launch::Launch& container = *start.container;
    const char* layer = container.lowers.items[index];
    int tree = static_cast<int>(
        sys(SYS_open_tree, AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (tree < 0) give_up(start, 125, "open the layer", layer, tree);
    long result = map_ids(tree, start.user_fd, false);
    if (result < 0) give_up_mapping(start, layer, result);
    result = sys(SYS_mkdirat, AT_FDCWD, name.c_str(), 0700);
    if (result == 0)
        result = sys(SYS_move_mount, tree, "", AT_FDCWD, name.c_str(), MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "attach the layer", layer, result);
    if (index == 0 && container.upper != nullptr) own_upper(start, tree);
    close_fd(tree);
}

}  // namespace

uint32_t host_id(const launch::Launch* container, bool group, uint32_t id) {
    if (!is_mapped(container)) return id;
    for (uint32_t i = 0; i < container->id_map_count; ++i) {
        const launch::IdMap& map = container->id_maps[i];
        if ((map.group != 0) == group && id >= map.container && id - map.container < map.count)
            return map.host + (id - map.container);
    }
    return ~0u;
}

void give_to_root(Start& start, int folder, const char* name) {
    if (!is_mapped(start.container) || start.entered) return;
    const long result = sys(SYS_fchownat, folder, name, root_id(start.container, false),
                            root_id(start.container, true), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "give to the container's root", name, result);
}

long make_as_root(const launch::Launch& container, int folder, const char* name, bool is_folder) {
    // Its rights over files stay with it, and so does the way back.
    const long bits = sys(SYS_prctl, PR_GET_SECUREBITS);
    long made = sys(SYS_prctl, PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP);
    if (made < 0) return made;
    const long group = sys(SYS_setfsgid, root_id(&container, true));
    const long user = sys(SYS_setfsuid, root_id(&container, false));
    if (is_folder) {
        made = sys(SYS_mkdirat, folder, name, 0755);
    } else {
        made = sys(SYS_openat, folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   0644);
        if (made >= 0) made = sys(SYS_close, made);
    }
    sys(SYS_setfsuid, user);
    sys(SYS_setfsgid, group);
    sys(SYS_prctl, PR_SET_SECUREBITS, bits);
    sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);  // a change of ids takes it away
    return made;
}

void give_stream(const launch::Launch& container, int fd) {
    if (is_mapped(&container) && fd >= 0)
        sys(SYS_fchown, fd, root_id(&container, false), root_id(&container, true));
}

long map_ids(int tree, int user_fd, bool recursive) {
    mount_attr mapped = {};
    mapped.attr_set = MOUNT_ATTR_IDMAP;
    mapped.userns_fd = static_cast<uint64_t>(user_fd);
    return sys(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &mapped,
               sizeof mapped);
}

void give_up_mapping(Start& start, const char* path, long error) {
    if (error != -EINVAL) give_up(start, 125, "map the ids of", path, error);
    give_up(start, 125,
            Sentence(
                "map the ids of ", path,
                ": this kernel cannot do that with its file system (idmapped mounts); run the "
                "container with --userns host, or keep the files on another file system")
                .view());
}

/// The layers are named by numbers in a tmpfs that nobody else sees: mount(2) takes one page of
/// options, and kernels before 6.15 want layers that are attached.
void mount_mapped_overlay(Start& start) {
    const launch::Launch& container = *start.container;
    const char* folder = container.runtime;
    long result = sys(SYS_mount, "tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700");
    if (result == 0) result = sys(SYS_chdir, folder);
    if (result < 0) give_up(start, 125, "mount tmpfs on", folder, result);
    Text<4096> options("lowerdir=");
    for (uint32_t i = 0; i < container.lowers.count; ++i) {
        const Text<16> name(i);
        place_layer(start, i, name);
        if (i > 0) options.add(":");
        options.add(name.view());
    }
    mount_overlay(start, options);
}

void join_owned_namespaces(Start& start) {
    if (!is_mapped(start.container)) return;
    // The numbers stay: the shim is about to close its own.
    for (int fd : start.owned) {
        if (fd < 0) continue;
        const long result = sys(SYS_setns, fd, 0);
        if (result < 0) give_up(start, 125, "enter", "the namespaces of the container", result);
        sys(SYS_close, fd);
    }
}

/// The copy of the mounts belongs to the user namespace: a container that may mount can do so, and
/// what confines it is locked there.
void enter_user_namespace(Start& start) {
    if (!is_mapped(start.container)) return;
    set_rlimits(start);  // with the rights of the host's root
    long result = sys(SYS_setns, start.user_fd, CLONE_NEWUSER);
    if (result < 0) give_up(start, 125, "enter", "the user namespace", result);
    sys(SYS_close, start.user_fd);
    result = sys(SYS_unshare, CLONE_NEWNS);
    if (result < 0) give_up(start, 125, "unshare", "the mounts", result);
    become_mapped_root(start);
}

void become_mapped_root(Start& start) {
    if (!is_mapped(start.container)) return;
    long result = sys(SYS_setgroups, 0, nullptr);
    if (result == 0) result = sys(SYS_setresgid, 0, 0, 0);
    if (result == 0) result = sys(SYS_setresuid, 0, 0, 0);
    if (result < 0) give_up(start, 125, "become root of", "the user namespace", result);
    start.entered = true;
    die_with_shim(start);  // a change of ids has taken that away
}

}  // namespace noded::shim
