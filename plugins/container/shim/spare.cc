// The part of a container that can be made before anybody knows which: network, IPC, UTS and mount
// namespaces, loopback, in the last one the kernel's file systems of all of them, and a place in
// spare groups of v1. A child of a waiting shim makes them, leaves the namespaces as descriptors in
// the table that both share, and waits in them until a container is born of it. A container that is
// made by other rules enters what it can use of them; a start without a spare calls the same
// functions for itself.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "plugins/container/shim/names.h"
#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

constexpr unsigned safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct Option {
    const char* key;
    const char* value;
};

template <size_t N>
int make_mount(Start& start, const char* type, const Option (&options)[N], unsigned attributes) {
    int context = static_cast<int>(sys(SYS_fsopen, type, FSOPEN_CLOEXEC));
    long result = context;
    for (size_t i = 0; i < N && result >= 0; ++i)
        if (options[i].key != nullptr)
            result = sys(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[i].key,
                         options[i].value, 0);
    if (result >= 0) result = sys(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
    if (result >= 0) result = sys(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
    if (result < 0) give_up(start, 125, "make a file system of type", type, result);
    close_fd(context);
    return static_cast<int>(result);
}

void fill_devices(Start& start, int folder) {
    struct Device {
        const char* name;
        uint32_t major, minor;
    };
    constexpr Device devices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                  {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    constexpr const char* links[][2] = {
        {"pts/ptmx", "ptmx"},          {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"},
        {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}};
    const auto made = [&](long answer, const char* name) {
        if (answer < 0) give_up(start, 125, "fill", "/dev", answer);
        give_to_root(start, folder, name);
    };
    for (const Device& device : devices)
        made(sys(SYS_mknodat, folder, device.name, S_IFCHR | 0666,
                 device.major << 8 | device.minor),
             device.name);
    for (const auto& link : links) made(sys(SYS_symlinkat, link[0], folder, link[1]), link[1]);
    for (const char* name : {"pts", "mqueue", "shm"})
        made(sys(SYS_mkdirat, folder, name, 0755), name);
    give_to_root(start, folder, "");
}

/// Leaves the host's mounts, by a copy of a namespace that has none of them if there is one: what
/// is left is a tmpfs with three folders.
void empty_mount_namespace(Start& start, NameFiles* names) {
    const int no_mounts = start.spare->no_mounts;
    NameTexts texts;
    read_name_texts(false, &texts);
    long result = 0;
    if (no_mounts >= 0) result = sys(SYS_setns, no_mounts, CLONE_NEWNS);
    if (no_mounts >= 0 && result == 0) result = sys(SYS_unshare, CLONE_NEWNS);
    if (no_mounts < 0) make_mounts_private(start);
    int root = make_mount(start, "tmpfs", {Option{"size", "64k"}, Option{"mode", "555"}}, safe);
    if (result == 0)
        result = sys(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
    if (result == 0) result = sys(SYS_fchdir, root);
    if (no_mounts >= 0 && result == 0) result = sys(SYS_chroot, ".");
    if (no_mounts < 0 && result == 0) result = sys(SYS_pivot_root, ".", ".");
    if (no_mounts < 0 && result == 0) result = sys(SYS_umount2, ".", MNT_DETACH);
    if (result < 0) give_up(start, 125, "empty", "the spare mount namespace", result);
    close_fd(root);
    for (const char* folder : kernel_folders) {
        result = sys(SYS_mkdirat, AT_FDCWD, folder, 0555);
        if (result < 0) give_up(start, 125, "make the folder", folder, result);
    }
    make_name_files(start, "/", texts, names);
}

void attach(Start& start, int mount, const char* target) {
    const long result = sys(SYS_move_mount, mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0) give_up(start, 125, "attach the mount of", target, result);
    close_fd(mount);
}

}  // namespace

void tell_stage(Spare& spare, Stage stage) {
    __atomic_store_n(&spare.stage, stage, __ATOMIC_RELEASE);
    sys(SYS_futex, &spare.stage, FUTEX_WAKE, 1);
}

/// Not a private futex: the kernel's own wake at the end of a process is not one.
uint32_t await_change(Spare& spare, Stage from) {
    uint32_t stage;
    while ((stage = __atomic_load_n(&spare.stage, __ATOMIC_ACQUIRE)) == from)
        sys(SYS_futex, &spare.stage, FUTEX_WAIT, from, nullptr);
    return stage;
}

void tell_reaped(Spare& spare) {
    __atomic_store_n(&spare.reaped, 1, __ATOMIC_RELEASE);
    sys(SYS_futex, &spare.reaped, FUTEX_WAKE, 1);
}

void await_reaped(Spare& spare) {
    while (__atomic_load_n(&spare.reaped, __ATOMIC_ACQUIRE) == 0)
        sys(SYS_futex, &spare.reaped, FUTEX_WAIT, 0, nullptr);
}

void raise_loopback(Start& start) {
    ifreq request = {};
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int fd = static_cast<int>(sys(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const long result = fd < 0 ? fd : sys(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
    if (result < 0) give_up(start, 125, "bring up", "lo", result);
    close_fd(fd);
}

/// Nobody else is in there: any user of the container may have any port, and ping, as in docker. A
/// kernel that lacks one of these, or a range that the ids of the container do not have, keeps what
/// it is. --sysctl comes later.
void open_network() {
    constexpr const char* settings[][2] = {
        {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
        {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
    };
    for (const auto& [path, value] : settings) {
        int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
        if (fd < 0) continue;
        sys(SYS_write, fd, value, strlen(value));
        close_fd(fd);
    }
}

void make_kernel_mounts(Start& start, KernelMounts* mounts) {
    mounts->sysfs =
        make_mount(start, "sysfs", {Option{nullptr, nullptr}}, safe | MOUNT_ATTR_RDONLY);
    mounts->devices = make_mount(start, "tmpfs", {Option{"mode", "755"}, Option{"size", "65536k"}},
                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
    fill_devices(start, mounts->devices);
    // Every mount of devpts is an instance of its own. 5 is the group of terminals.
    const uint32_t terminals = host_id(start.container, true, 5);
    const Text<16> group(terminals != ~0u ? terminals : root_id(start.container, true));
    mounts->terminals = make_mount(
        start, "devpts", {Option{"ptmxmode", "0666"}, Option{"mode", "0620"},
         Option{"gid", group.c_str()}},
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    give_to_root(start, mounts->terminals, "");
    mounts->queues = make_mount(start, "mqueue", {Option{nullptr, nullptr}}, safe);
    give_to_root(start, mounts->queues, "");
}

void attach_kernel_mounts(Start& start, const KernelMounts& mounts) {
    attach(start, mounts.sysfs, "/sys");
    attach(start, mounts.devices, "/dev");
    attach(start, mounts.terminals, "/dev/pts");
    attach(start, mounts.queues, "/dev/mqueue");
}

void enter_spare(Start& start) {
    for (int fd : start.spare->namespaces) {
        const long result = sys(SYS_setns, fd, 0);
        if (result < 0) give_up(start, 125, "enter", "the spare namespaces", result);
    }
}

void spare_child(void* argument) {
    Start& start = *static_cast<Start*>(argument);
    Spare& spare = *start.spare;
    constexpr const char* names[] = {"mnt", "net", "ipc", "uts"};
    int groups[launch::cgroups_max];
    sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (sys(SYS_getppid) != spare.shim) exit_group(0);
    sys(SYS_umask, 0);
    // What it shows is always of now, and it is needed when /proc is gone.
    spare.own = static_cast<int>(
        sys(SYS_openat, AT_FDCWD, "/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC));
    raise_loopback(start);
    open_network();
    open_spare_groups(start, groups);
    KernelMounts mounts;
    make_kernel_mounts(start, &mounts);
    empty_mount_namespace(start, &spare.names);
    attach_kernel_mounts(start, mounts);
    for (int i = 0; i < 4; ++i) {
        const long fd = sys(SYS_openat, spare.own, names[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0) give_up(start, 125, "open the namespace", names[i], fd);
        spare.namespaces[i] = static_cast<int>(fd);
    }
    close_fd(spare.own);
    close_fd(spare.no_mounts);
    spare.detached_overlay = can_open_overlay();
    // Last: what was made until here is not on a container's account.
    enter_spare_groups(start, groups);
    tell_stage(spare, zygote_waits);
    // With the shim's descriptors as they are then.
    if (await_change(spare, zygote_waits) == zygote_forks) {
        const long pid = clone_sharing_memory(*spare.fork, container_child, spare.child);
        if (pid < 0) spare.forked = static_cast<int>(pid);
    }
    exit_group(0);
}

}  // namespace noded::shim
