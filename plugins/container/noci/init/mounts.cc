// The file tree of a container as its configuration lists it: mounts in the order given, on paths
// that are resolved below the rootfs only, devices, and the change of the root. Until then the
// host's tree is still there, because hooks want to see it. See init.h and shim/rootfs.cc, whose
// order is noded's own.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cstring>

#include "plugins/container/noci/init/copy_up.h"
#include "plugins/container/noci/init/init.h"

namespace noded::noci {
namespace {

/// Of file systems on one another at one place.
constexpr int kStackedMax = 64;

using shim::open_path;
using shim::sys;
using shim::Text;
using Sentence = shim::Text<1024>;

[[noreturn]] void give_up_mount(const Step& step, std::string_view what, long error) {
    give_up(Sentence("error mounting \"", init.text_or_empty(step.source), "\" to rootfs at \"",
                     init.text_or_empty(step.target), "\": ", what, what.empty() ? "" : ": ",
                     shim::error_words(error))
                .view());
}

long set_attributes(int fd, unsigned recursive, uint64_t set, uint64_t clear,
                    uint64_t propagation) {
    mount_attr attributes = {
        .attr_set = set, .attr_clr = clear, .propagation = propagation, .userns_fd = 0};
    return sys(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | recursive, &attributes,
               sizeof attributes);
}

/// The access time is one field of several values: to set one the field is cleared.
uint64_t with_time_field(uint64_t set, uint64_t clear) {
    constexpr uint64_t times = MOUNT_ATTR__ATIME;
    return ((set | clear) & times) != 0 ? clear | times : clear & ~times;
}

/// What the options say of a mount that exists: its own attributes, those of all below, and whose
/// peer it is.
long apply_options(const Step& step, int fd, uint64_t default_propagation) {
    long result = 0;
    if (step.kind != StepKind::file_system && (step.attributes | step.attributes_cleared) != 0) {
        constexpr uint64_t all = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                 MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
        const uint64_t set = step.attributes;
        const uint64_t cleared = step.attributes_cleared | (all & ~set);
        result = set_attributes(fd, 0, set, with_time_field(set, cleared), 0);
        // Somebody else's mount keeps what it is locked to.
        if (result == -EPERM) result = set_attributes(fd, 0, set, with_time_field(set, 0), 0);
    }
    bool told = false;
    for (uint64_t change : step.propagation) {
        if (change == 0 || result < 0) continue;
        told = true;
        const unsigned recursive = (change & MS_REC) != 0 ? AT_RECURSIVE : 0;
        result = set_attributes(fd, recursive, 0, 0, change & ~uint64_t{MS_REC});
    }
    if (!told && default_propagation != 0 && result == 0)
        result = set_attributes(fd, AT_RECURSIVE, 0, 0, default_propagation);
    if (result == 0 && (step.below_set | step.below_cleared) != 0)
        result = set_attributes(fd, AT_RECURSIVE, step.below_set,
                                with_time_field(step.below_set, step.below_cleared), 0);
    return result;
}

bool is_mapped(const Step& step) { return step.uid_map != 0 || step.own_idmap != 0; }

/// The user namespace whose ids the tree of a step shows.
int open_id_space(const Step& step) {
    const int space = step.uid_map != 0 ? make_user_namespace(init.text(step.uid_map),
                                                              init.text_or_empty(step.gid_map))
                                        : init.userns_fd;
    if (space < 0) give_up_mount(step, "idmap without a user namespace", -EINVAL);
    return space;
}

long map_tree(const Step& step, int tree, int space) {
    mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP,
                             .attr_clr = 0,
                             .propagation = 0,
                             .userns_fd = static_cast<uint64_t>(space)};
    const unsigned recursive = step.recursive_idmap != 0 ? AT_RECURSIVE : 0;
    return sys(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attributes,
               sizeof attributes);
}

uint32_t index_of(const Step& step) {
    return static_cast<uint32_t>(&step - init.list<Step>(init.plan->steps).items);
}

/// The tree of a step that the second stage has opened.
long map_tree_late(const Step& step, int tree) {
    const uint32_t number = index_of(step);
    if (init.mapper_fd < 0) return map_tree(step, tree, init.id_spaces[number]);
    Packet answer = {};
    int unused = -1;
    say(init.mapper_fd, Say::map_tree, static_cast<int>(number), "", tree);
    return hear(init.mapper_fd, &answer, &unused) ? answer.number : -EPIPE;
}

/// The root of a user namespace may map no ids of a file system that is the host's: a child of the
/// first stage, which has the host's rights, does it for the second until that has all its mounts.
void start_mapper() {
    int ends[2];
    long result = sys(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (result < 0) give_up("make", "a socket pair", result);
    clone_args arguments = {};
    arguments.flags = CLONE_PARENT;  // the first stage waits for nobody
    result = sys(SYS_clone3, &arguments, sizeof arguments);
    if (result < 0) give_up("clone", "the process that maps ids", result);
    shim::close_fd(ends[result == 0 ? 0 : 1]);
    init.mapper_fd = ends[result == 0 ? 1 : 0];
    if (result > 0) return;
    for (;;) {
        Packet asked = {};
        int tree = -1;
        if (!hear(init.mapper_fd, &asked, &tree)) shim::exit_group(0);
        const uint32_t number = static_cast<uint32_t>(asked.number);
        const Step& step = init.list<Step>(init.plan->steps).items[number];
        result = map_tree(step, tree, init.id_spaces[number]);
        say(init.mapper_fd, Say::map_tree, static_cast<int>(result), "");
        shim::close_fd(tree);
    }
}

void map_ids(const Step& step, int tree, bool late) {
    if (!is_mapped(step)) return;
    const int space = late ? -1 : open_id_space(step);
    const long result = late ? map_tree_late(step, tree) : map_tree(step, tree, space);
    if (result < 0) give_up_mount(step, "failed to set MOUNT_ATTR_IDMAP", result);
    if (space >= 0 && space != init.userns_fd) sys(SYS_close, space);
}

/// `late`: by the second stage, which may have no way through the folders above the rootfs.
int open_bind(const Step& step, bool late = false) {
    const unsigned recursive = step.recursive != 0 ? AT_RECURSIVE : 0;
    const char* source = init.text(step.source);
    const char* path = source;
    if (late && step.inside != 0) {
        path += strlen(init.text(init.plan->rootfs));
        while (*path == '/') ++path;
        if (*path == 0) path = ".";
    }
    const int tree = static_cast<int>(sys(SYS_open_tree, path == source ? AT_FDCWD : init.rootfs_fd,
                                          path,
                                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive));
    if (tree < 0) give_up_mount(step, Sentence("stat ", source).view(), tree);
    map_ids(step, tree, late);
    // A copy of a shared mount is its peer; unless that is asked for it only follows.
    const long result = apply_options(step, tree, MS_SLAVE);
    if (result < 0) give_up_mount(step, "set the options", result);
    return tree;
}

uint64_t number_of(const Device& device) {
    return (device.minor & 0xff) | (uint64_t{device.major} & 0xfff) << 8 |
           (uint64_t{device.minor} & ~0xffull) << 12;
}

/// A node as a mount of its own, on a file system of the host's root, from which a user namespace
/// may use it; or a negative errno.
int make_node(const Device& device) {
    static int folder = -1;
    static uint32_t count = 0;
    long result = 0;
    if (folder < 0) {
        int context = static_cast<int>(sys(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
        if (context < 0) return context;
        result = sys(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
        if (result == 0) result = sys(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
        shim::close_fd(context);
        if (result < 0) return static_cast<int>(result);
        folder = static_cast<int>(result);
    }
    const Text<16> name("", count++);
    result = sys(SYS_mknodat, folder, name.c_str(), device.mode, number_of(device));
    if (result == 0)
        result = sys(SYS_fchownat, folder, name.c_str(), device.uid, device.gid, 0);
    if (result == 0) result = sys(SYS_fchmodat, folder, name.c_str(), device.mode & 07777);
    if (result == 0)
        result = sys(SYS_open_tree, folder, name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return static_cast<int>(result);
}

/// The host's own node if it will do, because other programs know that one, too.
int open_device(const Step& step) {
    const Device& device = init.list<Device>(init.plan->nodes).items[step.node];
    struct stat info = {};
    const bool same = sys(SYS_newfstatat, AT_FDCWD, init.text(step.source), &info, 0) == 0 &&
                      (info.st_mode & S_IFMT) == (device.mode & S_IFMT) &&
                      (S_ISFIFO(info.st_mode) || info.st_rdev == number_of(device));
    const bool exact = same && (device.exact == 0 ||
                                ((info.st_mode & 07777) == (device.mode & 07777) &&
                                 info.st_uid == device.uid && info.st_gid == device.gid));
    if (exact) return open_bind(step);
    const int tree = make_node(device);
    // Who may make none has to take what is there.
    if (tree < 0) return open_bind(step);
    const long result = apply_options(step, tree, MS_SLAVE);
    if (result < 0) give_up_mount(step, "set the options", result);
    return tree;
}

/// Kernels since 6.8 list mounts by their age, which is to be the order of the configuration. Where
/// the host's mounts are seen with the host's rights a bind can wait for its turn; but a peer of
/// one of them, which there are none of when all of them follow or are private, can be made from
/// that one only.
bool binds_in_order(const Step& step) {
    if ((init.plan->new_namespaces & CLONE_NEWNS) == 0 || init.userns_fd >= 0) return false;
    const uint64_t all = init.plan->rootfs_propagation;
    if (all == 0 || ((all & MS_REC) != 0 && (all & MS_SHARED) == 0)) return true;
    for (uint64_t change : step.propagation)
        if ((change & MS_SHARED) != 0) return false;
    return true;
}

/// What lies below the rootfs is bound with the mounts that came before it, too; other ids are
/// mapped at once, by the first stage with the host's rights.
bool is_late(const Step& step) {
    return step.inside != 0 || (binds_in_order(step) && !is_mapped(step));
}

/// What the second stage cannot get any more.
void prepare_late_maps() {
    bool wanted = false;
    for (const Step& step : init.list<Step>(init.plan->steps)) {
        if (step.kind != StepKind::bind || !is_late(step) || !is_mapped(step)) continue;
        init.id_spaces[index_of(step)] = open_id_space(step);
        wanted = true;
    }
    if (wanted && init.userns_fd >= 0) start_mapper();
}

void open_rootfs() {
    const Plan& plan = *init.plan;
    const char* path = init.text(plan.rootfs);
    const uint64_t wanted = plan.rootfs_propagation & ~uint64_t{MS_REC};
    init.rootfs_fd = static_cast<int>(sys(SYS_open_tree, AT_FDCWD, path,
                                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    long result = init.rootfs_fd;
    if (result >= 0)
        result = set_attributes(init.rootfs_fd, AT_RECURSIVE, 0, 0,
                                wanted == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE);
    if (result < 0) give_up("open the rootfs", path, result);
}

int open_below(int root, const char* path, int flags, uint64_t resolve = 0) {
    open_how how = {.flags = static_cast<uint64_t>(flags | O_CLOEXEC),
                    .mode = 0,
                    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    return open_path(root, path, how);
}

/// The kernel's own file systems go on real folders only: a link would move the masks with them.
void check_real_folder(const Step& step) {
    if (step.real_folder == 0) return;
    int fd = open_below(init.rootfs_fd, init.text(step.target), O_PATH | O_DIRECTORY,
                        RESOLVE_NO_SYMLINKS);
    if (fd == -ELOOP || fd == -ENOTDIR)
        give_up(Sentence("error mounting \"", init.text_or_empty(step.source),
                         "\" to rootfs at \"", init.text_or_empty(step.target),
                         "\": filesystem \"", init.text_or_empty(step.type),
                         "\" must be mounted on ordinary directory")
                    .view());
    if (fd >= 0) shim::close_fd(fd);
}

/// By a link, too, nothing gets into the container's procfs that may not be there by its name.
void check_place(const Step& step, int target) {
    struct statfs info = {};
    if (step.may_cover_proc == 0 && sys(SYS_fstatfs, target, &info) == 0 &&
        info.f_type == PROC_SUPER_MAGIC)
        give_up(Sentence("error mounting \"", init.text_or_empty(step.source),
                         "\" to rootfs at \"", init.text_or_empty(step.target),
                         "\": it cannot be mounted because it is inside /proc")
                    .view());
}

void place_bind(const Step& step, int& tree) {
    struct stat info;
    long result = sys(SYS_fstat, tree, &info);
    if (result < 0) give_up_mount(step, "stat", result);
    int target = shim::open_target_below(init.start, init.rootfs_fd, init.text(step.target),
                                         S_ISDIR(info.st_mode));
    check_place(step, target);
    result = sys(SYS_move_mount, tree, "", target, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (result < 0) give_up_mount(step, "", result);
    shim::close_fd(target);
    shim::close_fd(tree);
}

void mount_file_system(const Step& step) {
    check_real_folder(step);
    const char* path = init.text(step.target);
    struct stat before = {};
    int known = step.inherits_mode != 0 ? open_below(init.rootfs_fd, path, O_PATH) : -1;
    const bool inherits = known >= 0 && sys(SYS_fstat, known, &before) == 0;
    if (known >= 0) shim::close_fd(known);
    int target = shim::open_target_below(init.start, init.rootfs_fd, path, true);
    check_place(step, target);
    long result = sys(SYS_fchdir, target);
    if (result < 0) give_up_mount(step, "", result);
    // Without a mode of its own it has that of the folder that it covers.
    Sentence data(init.text_or_empty(step.data));
    if (inherits) {
        const char octal[] = {char('0' + (before.st_mode >> 9 & 7)),
                              char('0' + (before.st_mode >> 6 & 7)),
                              char('0' + (before.st_mode >> 3 & 7)),
                              char('0' + (before.st_mode & 7)), 0};
        data.add(data.empty() ? "mode=" : ",mode=").add(octal);
    }
    const uint64_t flags =
        step.read_only_late != 0 ? step.flags & ~uint64_t{MS_RDONLY} : step.flags;
    result = sys(SYS_mount, init.text(step.source), ".", init.text(step.type), flags,
                 inherits && !data.cut() ? data.c_str() : init.text(step.data));
    if (result < 0) give_up_mount(step, "", result);
    int mounted = open_below(init.rootfs_fd, path, O_PATH);
    if (mounted < 0) give_up_mount(step, "", mounted);
    if (step.copy_up != 0) {
        result = copy_up(target, mounted);
        if (result < 0) give_up_mount(step, "tmpcopyup", result);
    }
    result = apply_options(step, mounted, 0);
    if (result < 0) give_up_mount(step, "set the options", result);
    shim::close_fd(mounted);
    shim::close_fd(target);
}

/// Its folder, made when missing, and its name.
int open_parent(const char* path, const char** name) {
    const std::string_view whole(path);
    size_t slash = whole.size();
    while (slash > 0 && path[slash - 1] != '/') --slash;
    *name = path + slash;
    const shim::Text<launch::path_bytes_max + 1> folder("/", std::string_view(path, slash));
    return shim::open_target_below(init.start, init.rootfs_fd, folder.c_str(), true);
}

void make_link(const char* content, const char* path) {
    const char* name;
    int parent = open_parent(path, &name);
    const long result = sys(SYS_symlinkat, content, parent, name);
    if (result < 0 && result != -EEXIST) give_up("make the link", path, result);
    shim::close_fd(parent);
}

void make_device(const Device& device) {
    const char* path = init.text(device.path);
    const char* name;
    int parent = open_parent(path, &name);
    long result = sys(SYS_mknodat, parent, name, device.mode, number_of(device));
    if (result == 0 && (device.uid != 0 || device.gid != 0))
        result = sys(SYS_fchownat, parent, name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW);
    if (result == 0) result = sys(SYS_fchmodat, parent, name, device.mode & 07777);
    if (result < 0 && result != -EEXIST)
        give_up(Sentence("error creating device nodes: mknod ", path, ": ",
                         shim::error_words(result))
                    .view());
    shim::close_fd(parent);
}

void fill_devices() {
    const Plan& plan = *init.plan;
    if (plan.fills_devices == 0) return;
    for (const Device& device : init.list<Device>(plan.devices)) make_device(device);
    constexpr const char* links[][2] = {{"/proc/self/fd", "/dev/fd"},
                                        {"/proc/self/fd/0", "/dev/stdin"},
                                        {"/proc/self/fd/1", "/dev/stdout"},
                                        {"/proc/self/fd/2", "/dev/stderr"}};
    struct stat info;
    if (sys(SYS_newfstatat, AT_FDCWD, "/proc/kcore", &info, 0) == 0)
        make_link("/proc/kcore", "/dev/core");
    for (const auto& link : links) make_link(link[0], link[1]);
    const char* name;
    int folder = open_parent("/dev/ptmx", &name);
    sys(SYS_unlinkat, folder, name, 0);
    shim::close_fd(folder);
    make_link("pts/ptmx", "/dev/ptmx");
    // While /dev can be written to, whatever its options say.
    if (!init.launch->has(launch::flag_tty)) return;
    int console = shim::open_target_below(init.start, init.rootfs_fd, "/dev/console", false);
    shim::close_fd(console);
}

/// Where its path says, so that hooks find it there. The root of a user namespace may have no way
/// to that path: then on top of everything.
void attach_rootfs() {
    const char* path = init.text(init.plan->rootfs);
    const uint64_t wanted = init.plan->rootfs_propagation & ~uint64_t{MS_REC};
    long result = 0;
    // Without mounts of its own the container's stand among the host's, whose ways stay.
    if (init.plan->has_own_mounts != 0)
        result = sys(SYS_mount, nullptr, "/", nullptr,
                     MS_REC | (wanted == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE), nullptr);
    if (result < 0) give_up("set the propagation of", "/", result);
    result = sys(SYS_move_mount, init.rootfs_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
    if (result == -EACCES && init.plan->has_own_mounts != 0)
        result = sys(SYS_move_mount, init.rootfs_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up("attach the rootfs to", path, result);
}

void wait_for_hooks() {
    if (init.plan->waits_for_hooks == 0) return;
    say(init.report_fd, Say::hooks, 0, "");
    if (!hear_go(init.report_fd, &init.state_fd)) shim::exit_group(125);
}

/// The kernel lets a container mount proc and sysfs anew where it sees whole ones: with the old
/// root still there it would, whatever is masked in its own. There may be several on one another.
void cover_old_root() {
    for (const char* path : {"/proc", "/sys"}) {
        long result = 0;
        for (int mounts = 0; result == 0 && mounts < kStackedMax; ++mounts)
            result = sys(SYS_umount2, path, MNT_DETACH);
        if (result == -EPERM) result = sys(SYS_mount, "tmpfs", path, "tmpfs", 0, nullptr);
        if (result < 0 && result != -EINVAL && result != -ENOENT)
            give_up("cover the host's", path, result);
    }
}

void change_root() {
    long result = sys(SYS_fchdir, init.rootfs_fd);
    if (result < 0) give_up("enter", "the rootfs", result);
    run_hooks(init.plan->create_container_hooks, "createContainer");
    sys(SYS_fchdir, init.rootfs_fd);
    if (init.plan->has_own_mounts == 0) {
        result = sys(SYS_chroot, ".");
    } else if (init.plan->no_pivot != 0) {
        cover_old_root();
        result = sys(SYS_mount, ".", "/", nullptr, MS_MOVE, nullptr);
        if (result == 0) result = sys(SYS_chroot, ".");
    } else {
        // The old root ends up stacked on the new one, where "." reaches it.
        result = sys(SYS_pivot_root, ".", ".");
        if (result == 0) result = sys(SYS_umount2, ".", MNT_DETACH);
    }
    if (result == 0) result = sys(SYS_chdir, "/");
    if (result < 0)
        give_up("error jailing process inside rootfs:",
                init.plan->no_pivot != 0 ? "move" : "pivot_root", result);
}

/// One empty file system hides all folders: making one for each is slow.
void hide_path(const char* path, const char** folder) {
    struct stat info;
    if (sys(SYS_newfstatat, AT_FDCWD, path, &info, 0) < 0 || !S_ISDIR(info.st_mode))
        return shim::hide_path(init.start, path);
    if (*folder == nullptr) {
        shim::hide_path(init.start, path);
        *folder = path;
        return;
    }
    const long result = sys(SYS_mount, *folder, path, nullptr, MS_BIND, nullptr);
    if (result == -ENOENT) {   // a later mask has covered the first
        shim::hide_path(init.start, path);
        *folder = path;
    } else if (result < 0) {
        give_up("mask", path, result);
    }
}

/// A mask is the container's own /dev/null: it may be nothing else.
void check_null() {
    if (init.plan->masked.count == 0) return;
    struct stat info;
    const long result = sys(SYS_newfstatat, AT_FDCWD, "/dev/null", &info, AT_SYMLINK_NOFOLLOW);
    if (result < 0) give_up("mask paths with", "/dev/null", result);
    if (!S_ISCHR(info.st_mode) || info.st_rdev != (1 << 8 | 3))
        give_up("mask paths: the container's /dev/null is not the null device");
}

/// Of the root, now that it is one, and with a place for the process.
void finish_root() {
    const uint64_t propagation = init.plan->rootfs_propagation;
    if ((propagation & (MS_SHARED | MS_UNBINDABLE)) != 0) {
        const long result = sys(SYS_mount, nullptr, "/", nullptr, propagation, nullptr);
        if (result < 0) give_up("set the propagation of", "/", result);
    }
    int cwd = shim::open_target(init.start, init.launch->cwd, true);
    shim::close_fd(cwd);
}

}  // namespace

void close_file_tree() {
    const Plan& plan = *init.plan;
    for (const Step& step : init.list<Step>(plan.steps)) {
        if (step.read_only_late == 0) continue;
        int fd = shim::open_in_container(init.text(step.target), O_PATH | O_CLOEXEC);
        const long result = fd < 0 ? fd : set_attributes(fd, 0, MOUNT_ATTR_RDONLY, 0, 0);
        if (result < 0) give_up_mount(step, "make read-only", result);
        shim::close_fd(fd);
    }
    check_null();
    const char* hidden_folder = nullptr;
    for (const TextAt path : init.list<TextAt>(plan.masked))
        hide_path(init.text(path), &hidden_folder);
    for (const TextAt path : init.list<TextAt>(plan.protected_paths))
        shim::protect_path(init.start, init.text(path));
    if (plan.read_only_rootfs == 0) return;
    mount_attr read_only = {
        .attr_set = MOUNT_ATTR_RDONLY, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
    const long result =
        sys(SYS_mount_setattr, AT_FDCWD, "/", 0, &read_only, sizeof read_only);
    if (result < 0) give_up("error setting rootfs as readonly:", "/", result);
}

void open_sources() {
    const Items<Step> steps = init.list<Step>(init.plan->steps);
    open_rootfs();
    for (uint32_t i = 0; i < steps.count; ++i) {
        const Step& step = steps.items[i];
        init.trees[i] = step.kind == StepKind::device                    ? open_device(step)
                        : step.kind == StepKind::bind && !is_late(step) ? open_bind(step)
                                                                        : -1;
    }
    prepare_late_maps();
}

void make_file_tree() {
    const Items<Step> steps = init.list<Step>(init.plan->steps);
    attach_rootfs();
    for (uint32_t i = 0; i < steps.count; ++i) {
        const Step& step = steps.items[i];
        switch (step.kind) {
            case StepKind::bind:
                if (init.trees[i] < 0) init.trees[i] = open_bind(step, true);
                place_bind(step, init.trees[i]);
                break;
            case StepKind::device: place_bind(step, init.trees[i]); break;
            case StepKind::file_system: mount_file_system(step); break;
            case StepKind::symlink:
                make_link(init.text(step.source), init.text(step.target));
                break;
        }
    }
    shim::close_fd(init.mapper_fd);
    fill_devices();
    wait_for_hooks();
    change_root();
    finish_root();
}

}  // namespace noded::noci
