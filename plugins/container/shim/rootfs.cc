// The container's file tree, made inside the child's own mount namespace: nothing appears in the
// host's mount table. The image is hostile. Whatever it contains is looked at only when it is the
// root and no path can lead outside; the kernel's own file systems go on real folders only, because
// a /proc that is a link would move every mask to a place of the image's choice.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstring>

#include "plugins/container/shim/child.h"
#include "plugins/container/shim/names.h"
#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

constexpr unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

void mount_at(Start& start, const char* type, const char* target, unsigned long flags,
              const char* options) {
    const long result = sys(SYS_mount, type, target, type, flags, options);
    if (result < 0) give_up(start, 125, Text<64>("mount ", type, " on").view(), target, result);
}

long set_string(int context, const char* key, const char* value) {
    return sys(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}

void add_escaped(Text<4096>& options, const char* path) {
    for (; *path != 0; ++path) {
        if (*path == ':' || *path == ',' || *path == '\\') options.add("\\");
        options.add(std::string_view(path, 1));
    }
}

/// For kernels before 6.8 and very long names. mount(2) takes one page of options.
void mount_overlay_from_options(Start& start) {
    const launch::Launch& container = *start.container;
    Text<4096> options("lowerdir=");
    for (uint32_t i = 0; i < container.lowers.count; ++i) {
        if (i > 0) options.add(":");
        add_escaped(options, container.lowers.items[i]);
    }
    mount_overlay(start, options);
}

/// What the shim made meanwhile. -1: the child mounts the overlay itself, by path.
int receive_rootfs(Start& start) {
    int rootfs;
    long size;
    do {
        size = receive_descriptor(start.report_fd, 0, &rootfs);
    } while (size == -EINTR);
    if (size <= 0) give_up(start, 125, "receive", "the rootfs", size);
    return rootfs;
}

/// A host path, so it is opened before the host's mounts are left. -1: an overlay will come.
int open_rootfs(Start& start) {
    const launch::Launch& container = *start.container;
    if (container.rootfs == nullptr) return -1;
    const int root = static_cast<int>(sys(SYS_open_tree, AT_FDCWD, container.rootfs,
                                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (root < 0) give_up(start, 125, "open the rootfs", container.rootfs, root);
    return root;
}

/// On top of the spare's empty root: the one is the parent mount of the other at its very root, so
/// no path, and no change of root, leads below. Taking the old root away instead would wait for an
/// RCU grace period, a tenth of the whole start.
void cover_root(Start& start, int rootfs) {
    long result = sys(SYS_move_mount, rootfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
    if (result == 0) result = sys(SYS_fchdir, rootfs);
    if (result == 0) result = sys(SYS_chroot, ".");
    if (result < 0) give_up(start, 125, "attach the rootfs to", "/", result);
}

/// Attaches the rootfs to the runtime folder, inside this mount namespace only, and leaves
/// everything else behind.
void pivot(Start& start, int rootfs) {
    const char* folder = start.container->runtime;
    long result = 0;
    if (rootfs < 0 && is_mapped(start.container)) mount_mapped_overlay(start);
    else if (rootfs < 0) mount_overlay_from_options(start);
    else result = sys(SYS_move_mount, rootfs, "", AT_FDCWD, folder, MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "attach the rootfs to", folder, result);
    result = sys(SYS_chdir, folder);
    // The old root ends up stacked on the new one, where "." reaches it.
    if (result == 0) result = sys(SYS_pivot_root, ".", ".");
    if (result == 0) result = sys(SYS_umount2, ".", MNT_DETACH);
    if (result == 0) result = sys(SYS_chdir, "/");
    if (result < 0) give_up(start, 125, "pivot_root to", folder, result);
}

/// The kernel's own file systems are mounted on real folders only.
void need_folder(Start& start, const char* path) {
    open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_NO_SYMLINKS};
    int fd = open_path(AT_FDCWD, path, how);
    if (fd == -ENOENT) {
        const long made = sys(SYS_mkdirat, AT_FDCWD, path, 0755);
        if (made < 0) give_up(start, 125, "make the folder", path, made);
        return give_to_root(start, AT_FDCWD, path);
    }
    if (fd == -ELOOP || fd == -ENOTDIR)
        give_up(start, 125,
                Text<256>("the image has something else than a folder at ", path).view());
    if (fd < 0) give_up(start, 125, "open", path, fd);
    close_fd(fd);
}

/// What of the kernel's trees waits for the container: its processes, the size of its memory.
void mount_own(Start& start) {
    mount_at(start, "proc", "/proc", safe, nullptr);
    if (start.container->shm_bytes == 0) {
        sys(SYS_unlinkat, AT_FDCWD, "/dev/shm", AT_REMOVEDIR);   // what is to be there makes it
        return;
    }
    mount_at(start, "tmpfs", "/dev/shm", safe,
             Text<64>("mode=1777,size=", start.container->shm_bytes).c_str());
    give_to_root(start, AT_FDCWD, "/dev/shm");
}

using TargetPath = Text<launch::path_bytes_max + 1>;

struct MountOptions {
    uint64_t attributes = 0;
    bool recursive = true;
    bool mapped = false;     ///< seen with the container's ids
    bool top_only = false;   ///< the attributes are not for what is mounted below
    bool makes = false;      ///< folders where there is nothing to bind
    uint64_t propagation = MS_PRIVATE;
};

/// 0 if it is no such word. It is for all that is mounted below, with an "r" or without.
uint64_t propagation_of(std::string_view option) {
    if (option == "private" || option == "rprivate") return MS_PRIVATE;
    if (option == "slave" || option == "rslave") return MS_SLAVE;
    if (option == "shared" || option == "rshared") return MS_SHARED;
    return 0;
}

/// The owner of a tmpfs, an id of the container.
long set_owner(Start& start, int context, bool group, std::string_view text) {
    uint64_t id = 0;
    for (char digit : text) {
        if (digit < '0' || digit > '9' || id > 0xffffffff) return -EINVAL;
        id = id * 10 + static_cast<uint64_t>(digit - '0');
    }
    const uint32_t host = host_id(start.container, group, static_cast<uint32_t>(id));
    if (text.empty() || id >= 0xffffffff || host == ~0u) return -EINVAL;
    return set_string(context, group ? "gid" : "uid", Text<16>(host).c_str());
}

/// Applies one option; the key of a tmpfs goes to its context.
void take_option(Start& start, const launch::Mount& mount, std::string_view option, int context,
                 MountOptions* out) {
    const size_t equals = option.find('=');
    if (option == "ro") out->attributes |= MOUNT_ATTR_RDONLY;
    else if (option == "nosuid") out->attributes |= MOUNT_ATTR_NOSUID;
    else if (option == "nodev") out->attributes |= MOUNT_ATTR_NODEV;
    else if (option == "noexec") out->attributes |= MOUNT_ATTR_NOEXEC;
    else if (option == "bind") out->recursive = false;
    else if (option == "toponly") out->top_only = true;
    else if (option == "idmap") out->mapped = true;
    else if (option == "make") out->makes = true;
    else if (propagation_of(option) != 0) out->propagation = propagation_of(option);
    else if (option == "rw" || option == "rbind" || option.empty()) return;
    else if (context >= 0 && equals != std::string_view::npos) {
        const Text<64> key(std::string_view(option.data(), equals));
        option.remove_prefix(equals + 1);
        const bool group = key.view() == "gid";
        const long result = group || key.view() == "uid"
                                ? set_owner(start, context, group, option)
                                : set_string(context, key.c_str(), Text<256>(option).c_str());
        if (result < 0)
            give_up(start, 125, Text<256>("set tmpfs option ", key.view(), " for").view(),
                    mount.target, result);
    } else {
        give_up(start, 125,
                Text<512>("mount on ", mount.target, ": unknown option ", option).view());
    }
}

MountOptions take_options(Start& start, const launch::Mount& mount, int context) {
    MountOptions options;
    std::string_view rest = mount.options;
    while (!rest.empty()) {
        const size_t comma = rest.find(',');
        const size_t length = comma == std::string_view::npos ? rest.size() : comma;
        take_option(start, mount, {rest.data(), length}, context, &options);
        rest.remove_prefix(comma == std::string_view::npos ? length : length + 1);
    }
    return options;
}

int open_tmpfs(Start& start, const launch::Mount& mount) {
    int context = static_cast<int>(sys(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
    if (context < 0) give_up(start, 125, "mount tmpfs on", mount.target, context);
    sys(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", "tmpfs", 0);   // for df alone
    if (is_mapped(start.container))
        for (bool group : {false, true}) set_owner(start, context, group, "0");
    const MountOptions options = take_options(start, mount, context);
    long result = sys(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
    if (result == 0) result = sys(SYS_fsmount, context, FSMOUNT_CLOEXEC, options.attributes);
    if (result < 0) give_up(start, 125, "mount tmpfs on", mount.target, result);
    close_fd(context);
    return static_cast<int>(result);
}

/// All that is missing of a path of the host.
void make_source(Start& start, const char* source) {
    TargetPath path;
    for (std::string_view rest = source; !rest.empty();) {
        const size_t slash = rest.find('/', 1);
        const size_t length = slash == std::string_view::npos ? rest.size() : slash;
        path.add({rest.data(), length});
        rest.remove_prefix(length);
        const long made = sys(SYS_mkdirat, AT_FDCWD, path.c_str(), 0755);
        if (made < 0 && made != -EEXIST) give_up(start, 125, "make the folder", path.c_str(), made);
    }
}

/// It may be on a file system that does not answer, so nobody but this child looks at it.
int open_source(Start& start, const launch::Mount& mount, const MountOptions& options) {
    const unsigned flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursive ? AT_RECURSIVE : 0);
    long tree = sys(SYS_open_tree, AT_FDCWD, mount.source, flags);
    if (tree == -ENOENT && options.makes) {
        make_source(start, mount.source);
        tree = sys(SYS_open_tree, AT_FDCWD, mount.source, flags);
    }
    if (tree == -ENOENT)
        give_up(
            start, 125,
            Sentence("invalid mount config for type \"bind\": bind source path does not exist: ",
                     mount.source)
                .view());
    if (tree < 0) give_up(start, 125, "bind", mount.source, tree);
    return static_cast<int>(tree);
}

int open_bind(Start& start, const launch::Mount& mount) {
    const MountOptions options = take_options(start, mount, -1);
    const unsigned recursive = options.recursive ? AT_RECURSIVE : 0;
    const int tree = open_source(start, mount, options);
    if (options.mapped && is_mapped(start.container)) {
        const long mapped = map_ids(tree, start.user_fd, options.recursive);
        if (mapped < 0) give_up_mapping(start, mount.source, mapped);
    }
    // The copy is a peer of the host's mount until it is told otherwise.
    mount_attr below = {.attr_set = options.top_only ? 0 : options.attributes,
                        .attr_clr = 0,
                        .propagation = options.propagation,
                        .userns_fd = 0};
    long result = sys(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &below, sizeof below);
    mount_attr top = {
        .attr_set = options.attributes, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
    if (result == 0 && options.top_only && options.attributes != 0)
        result = sys(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &top, sizeof top);
    if (result < 0) give_up(start, 125, "set the options of the mount on", mount.target, result);
    return tree;
}

/// What another mount namespace has at the target: a copy of the mount there. Whoever is in that
/// namespace may have changed its tree, but no link is followed, and its root is the root
/// meanwhile.
int open_of(Start& start, const launch::Mount& mount) {
    int own = static_cast<int>(
        sys(SYS_openat, AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    int other = static_cast<int>(sys(SYS_openat, AT_FDCWD, mount.source, O_RDONLY | O_CLOEXEC));
    long result = own < 0 ? own : other;
    if (result >= 0) result = sys(SYS_setns, other, CLONE_NEWNS);
    if (result < 0) give_up(start, 125, "enter the mount namespace", mount.source, result);
    open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_NO_SYMLINKS};
    int place = open_path(AT_FDCWD, mount.target, how);
    result = place;
    if (result >= 0)
        result = sys(SYS_open_tree, place, "",
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    const long back = sys(SYS_setns, own, CLONE_NEWNS);
    if (result < 0) give_up(start, 125, "share", mount.target, result);
    if (back < 0) give_up(start, 125, "leave the mount namespace", mount.source, back);
    for (int* fd : {&own, &other, &place}) close_fd(*fd);
    return static_cast<int>(result);
}

/// Sources are host paths, so they are opened before pivot_root.
void open_mounts(Start& start, int* trees) {
    for (uint32_t i = 0; i < start.container->mount_count; ++i) {
        const launch::Mount& mount = start.container->mounts[i];
        const std::string_view type = mount.type;
        if (mount.target[0] != '/')
            give_up(start, 125, "mount on a path that is not absolute", mount.target, -EINVAL);
        if (type == "tmpfs") trees[i] = open_tmpfs(start, mount);
        else if (type == "bind") trees[i] = open_bind(start, mount);
        else if (type == "of") trees[i] = open_of(start, mount);
        else give_up(start, 125, "mount an unknown type", type, -ENODEV);
    }
}

void place_mounts(Start& start, int* trees) {
    for (uint32_t i = 0; i < start.container->mount_count; ++i) {
        const launch::Mount& mount = start.container->mounts[i];
        struct stat info;
        const long known = sys(SYS_fstat, trees[i], &info);
        if (known < 0) give_up(start, 125, "look at", mount.source, known);
        int target = open_target(start, mount.target, S_ISDIR(info.st_mode));
        const long result = sys(SYS_move_mount, trees[i], "", target, "",
                                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
        struct stat place;
        if (result < 0 && sys(SYS_fstat, target, &place) == 0 &&
            S_ISDIR(info.st_mode) != S_ISDIR(place.st_mode))
            give_up(start, 125,
                    Sentence(
                        "mount ", mount.source, " on ", mount.target,
                        ": not a directory: Are you trying to mount a directory onto a file (or "
                        "vice-versa)? Check if the specified host path exists and is the expected "
                        "type")
                        .view());
        if (result < 0)
            give_up(start, 125, Text<512>("mount ", mount.source, " on").view(), mount.target,
                    result);
        close_fd(target);
        close_fd(trees[i]);
    }
}

int open_inside(int root, const char* path) {
    open_how how = {
        .flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return open_path(root, path, how);
}

void make_entry(Start& start, int parent, const char* path, const Text<256>& name, bool folder) {
    long made;
    if (folder) {
        made = sys(SYS_mkdirat, parent, name.c_str(), 0755);
    } else {
        made = sys(SYS_openat, parent, name.c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        int fd = static_cast<int>(made);
        if (fd >= 0) close_fd(fd);
    }
    if (made == -EOVERFLOW && is_mapped(start.container) && !start.entered)
        made = make_as_root(*start.container, parent, name.c_str(), folder);
    if (made < 0 && made != -EEXIST) give_up(start, 125, "make", path, made);
    if (made >= 0) give_to_root(start, parent, name.c_str());
}

constexpr int links_max = 40;  ///< as many as the kernel follows

/// What is missing of the path, made; or, at a link that leads to nothing yet, -1 and in `next` the
/// path with what the link says in its place.
int make_target(Start& start, int root, const char* path, bool folder, TargetPath* next) {
    TargetPath prefix;
    int parent = root;
    for (std::string_view rest = path; !rest.empty();) {
        const size_t slash = rest.find('/');
        const Text<256> name(std::string_view(
            rest.data(), slash == std::string_view::npos ? rest.size() : slash));
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (name.empty()) continue;
        const size_t before = prefix.view().size();
        prefix.add("/").add(name.view());
        int fd = open_inside(root, prefix.c_str());
        char link[launch::path_bytes_max];
        const long length =
            fd == -ENOENT ? sys(SYS_readlinkat, parent, name.c_str(), link, sizeof link) : -1;
        if (length > 0) {
            if (link[0] != '/') next->add(std::string_view(prefix.c_str(), before)).add("/");
            next->add(std::string_view(link, static_cast<size_t>(length))).add("/").add(rest);
            if (parent != root) close_fd(parent);
            return -1;
        }
        if (fd == -ENOENT) {
            make_entry(start, parent, path, name, folder || !rest.empty());
            fd = open_inside(root, prefix.c_str());
        }
        if (fd < 0) give_up(start, 125, "make", path, fd);
        if (parent != root) close_fd(parent);
        parent = fd;
    }
    if (parent == root) give_up(start, 125, "make", path, -ENOENT);
    return parent;
}

}  // namespace

int open_in_container(const char* path, int flags) {
    int root = static_cast<int>(sys(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (root < 0) return root;
    open_how how = {.flags = static_cast<uint64_t>(flags),
                    .mode = 0,
                    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    const int fd = open_path(root, path, how);
    close_fd(root);
    return fd;
}

long open_overlay(const launch::Launch& container) {
    int context = static_cast<int>(sys(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    if (context < 0) return context;
    long result = 0;
    for (uint32_t i = 0; i < container.lowers.count && result == 0; ++i)
        result = set_string(context, "lowerdir+", container.lowers.items[i]);
    if (result == 0 && container.upper != nullptr)
        result = set_string(context, "upperdir", container.upper);
    if (result == 0 && container.upper != nullptr)
        result = set_string(context, "workdir", container.work);
    if (result == 0 && container.has(launch::flag_volatile_rootfs))
        result = sys(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "volatile", nullptr, 0);
    if (result == 0 && container.has(launch::flag_plain_overlay))
        for (const char* key : {"redirect_dir", "metacopy", "index"})
            if (result == 0) result = set_string(context, key, "off");
    if (result == 0) result = sys(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
    const unsigned attributes = container.has(launch::flag_nodev_rootfs) ? MOUNT_ATTR_NODEV : 0;
    if (result == 0) result = sys(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
    close_fd(context);
    return result;
}

/// A kernel that looks at options last of all takes any; one that looks may still know of no layers
/// one by one.
bool can_open_overlay() {
    int context = static_cast<int>(sys(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    if (context < 0) return false;
    const bool can = set_string(context, "no-such-option", "1") < 0 &&
                     set_string(context, "lowerdir+", "/") == 0;
    close_fd(context);
    return can;
}

bool fits_open_overlay(const launch::Launch& container) {
    constexpr size_t value_bytes_max = 255;  // fsconfig(2)
    const auto fits = [](const char* path) {
        return path == nullptr || strlen(path) <= value_bytes_max;
    };
    for (uint32_t i = 0; i < container.lowers.count; ++i)
        if (!fits(container.lowers.items[i])) return false;
    return fits(container.upper) && fits(container.work);
}

void mount_overlay(Start& start, Text<4096>& options) {
    const launch::Launch& container = *start.container;
    if (container.upper != nullptr) {
        add_escaped(options.add(",upperdir="), container.upper);
        add_escaped(options.add(",workdir="), container.work);
    }
    if (container.has(launch::flag_volatile_rootfs)) options.add(",volatile");
    if (container.has(launch::flag_plain_overlay))
        options.add(",redirect_dir=off,metacopy=off,index=off");
    if (options.cut())
        give_up(start, 125,
                "mount overlay: the names of the layers are longer than this kernel takes");
    const unsigned long flags = container.has(launch::flag_nodev_rootfs) ? MS_NODEV : 0;
    const long result =
        sys(SYS_mount, "overlay", container.runtime, "overlay", flags, options.c_str());
    if (result < 0)
        give_up(start, 125, "mount overlay on",
                container.upper != nullptr ? container.upper : "layers", result);
}

int open_target(Start& start, const char* path, bool folder) {
    int root = static_cast<int>(sys(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (root < 0) give_up(start, 125, "open", "/", root);
    const int fd = open_target_below(start, root, path, folder);
    close_fd(root);
    return fd;
}

int open_target_below(Start& start, int root, const char* path, bool folder) {
    int fd = open_inside(root, path);
    if (fd >= 0) return fd;
    if (fd != -ENOENT) give_up(start, 125, "open", path, fd);
    TargetPath wanted(path);
    for (int links = 0; links < links_max; ++links) {
        TargetPath next;
        fd = make_target(start, root, wanted.c_str(), folder, &next);
        if (fd >= 0) return fd;
        if (next.cut()) give_up(start, 125, "make", path, -ENAMETOOLONG);
        wanted.clear();
        wanted.add(next.view());
    }
    give_up(start, 125, "make", path, -ELOOP);
}

void make_mounts_private(Start& start) {
    const long result = sys(SYS_mount, nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (result < 0) give_up(start, 125, "make private", "/", result);
}

namespace {

/// The kernel's trees stand below the spare's root and are finished there, while the shim makes
/// the rootfs; then they move into it. What the user mounts may have to come before the masks.
void enter_rootfs_by_spare(Start& start, int rootfs) {
    if (!start.of_zygote) enter_spare(start);
    mount_own(start);
    if (start.of_zygote) set_oom_score(start);
    mount_cgroup_trees(start);
    if (start.container->mount_count == 0) finish_kernel(start);
    int trees[3];
    for (int i = 0; i < 3; ++i) {
        trees[i] = static_cast<int>(
            sys(SYS_openat, AT_FDCWD, kernel_folders[i], O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (trees[i] < 0) give_up(start, 125, "open", kernel_folders[i], trees[i]);
    }
    if (rootfs < 0) rootfs = receive_rootfs(start);
    cover_root(start, rootfs);
    for (int i = 0; i < 3; ++i) {
        need_folder(start, kernel_folders[i]);
        const long result = sys(SYS_move_mount, trees[i], "", AT_FDCWD, kernel_folders[i],
                                MOVE_MOUNT_F_EMPTY_PATH);
        if (result < 0) give_up(start, 125, "move the mount of", kernel_folders[i], result);
    }
}

/// Everything is made now and where it will stay.
void enter_rootfs_on_the_spot(Start& start, int rootfs) {
    KernelMounts kernel;
    if (start.container->rootfs == nullptr) rootfs = receive_rootfs(start);
    if ((start.container->namespaces & CLONE_NEWNET) != 0) {
        raise_loopback(start);
        open_network();
    }
    make_kernel_mounts(start, &kernel);
    pivot(start, rootfs);
    for (const char* folder : kernel_folders) need_folder(start, folder);
    attach_kernel_mounts(start, kernel);
    mount_own(start);
    mount_cgroup_trees(start);
}

}  // namespace

void enter_rootfs(Start& start) {
    int trees[launch::mounts_max];
    const bool spare = start.spare != nullptr;
    NameTexts names;
    if (!spare && start.container->has(launch::flag_name_files)) {
        read_name_texts((start.container->namespaces & CLONE_NEWNET) == 0, &names);
        start.names = &names;
    }
    // Before its peers of the host are left: some shall stay peers.
    open_mounts(start, trees);
    if (!spare) make_mounts_private(start);
    const int rootfs = open_rootfs(start);
    if (spare) enter_rootfs_by_spare(start, rootfs);
    else enter_rootfs_on_the_spot(start, rootfs);
    attach_name_files(start);
    place_mounts(start, trees);
    int cwd = open_target(start, start.process->cwd, true);
    close_fd(cwd);
}

void hide_path(Start& start, const char* path) {
    struct stat info;
    long result = sys(SYS_newfstatat, AT_FDCWD, path, &info, 0);
    // Asked first: a bind mount that the kernel refuses has been made and waits to be unmade.
    if (result == 0 && S_ISDIR(info.st_mode))
        result = sys(SYS_mount, "tmpfs", path, "tmpfs", safe | MS_RDONLY, "mode=755");
    else if (result == 0)
        result = sys(SYS_mount, "/dev/null", path, nullptr, MS_BIND, nullptr);
    if (result < 0 && result != -ENOENT) give_up(start, 125, "mask", path, result);
}

void protect_path(Start& start, const char* path) {
    mount_attr read_only = {
        .attr_set = MOUNT_ATTR_RDONLY, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
    long result = sys(SYS_mount, path, path, nullptr, MS_BIND | MS_REC, nullptr);
    if (result == -ENOENT) return;
    if (result == 0)
        result = sys(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &read_only, sizeof read_only);
    if (result < 0) give_up(start, 125, "make read-only", path, result);
}

void hide_paths(Start& start) {
    const launch::Launch& container = *start.container;
    for (uint32_t i = 0; i < container.masked.count; ++i)
        hide_path(start, container.masked.items[i]);
    for (uint32_t i = 0; i < container.read_only.count; ++i)
        protect_path(start, container.read_only.items[i]);
}

void protect_root(Start& start) {
    const launch::Launch& container = *start.container;
    if (!container.has(launch::flag_read_only_rootfs)) return;
    const unsigned long nodev = container.has(launch::flag_nodev_rootfs) ? MS_NODEV : 0;
    const long result =
        sys(SYS_mount, nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | nodev, nullptr);
    if (result < 0) give_up(start, 125, "make read-only", "/", result);
}

}  // namespace noded::shim
