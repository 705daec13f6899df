// The two bodies of a child. Each line is a step whose place matters; why is said where it is not
// plain.
#include "plugins/container/shim/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstring>

#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

void join_network(Start& start) {
    const char* path = start.container->netns;
    if (path == nullptr) return;
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
    const long result = fd < 0 ? fd : sys(SYS_setns, fd, CLONE_NEWNET);
    if (result < 0) give_up(start, 125, "join the network namespace", path, result);
    close_fd(fd);
}

/// But for the PID namespace, which the shim joined: a process is born into one.
void join_namespaces(Start& start) {
    for (uint32_t i = 0; i < start.container->join_count; ++i) {
        const launch::Pair& join = start.container->joins[i];
        const uint32_t kind = launch::namespace_flag(join.first);
        if (kind == CLONE_NEWPID) continue;
        int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, join.second, O_RDONLY | O_CLOEXEC));
        const long result = fd < 0 ? fd : sys(SYS_setns, fd, kind);
        if (result < 0) give_up(start, 125, "join the namespace", join.second, result);
        close_fd(fd);
    }
}

/// All mounts below /sys, which enter_rootfs has made; /sys itself is a real folder.
void open_kernel(Start& start) {
    if (!start.container->has(launch::flag_writable_kernel)) return;
    mount_attr writable = {};
    writable.attr_clr = MOUNT_ATTR_RDONLY;
    const long result = sys(SYS_mount_setattr, AT_FDCWD, "/sys", AT_RECURSIVE, &writable,
                            sizeof writable);
    if (result < 0) give_up(start, 125, "make writable", "/sys", result);
}

/// Of the shim's descriptors and those that were open around the clone, the ones that a container's
/// child goes on with: all are pipes, sockets, namespaces or mounts of its own.
void keep_needed(const Start& start) {
    int kept[18] = {start.report_fd, start.container_pidfd};
    size_t count = 2;
    for (int fd : start.stdio) kept[count++] = fd;
    kept[count++] = start.user_fd;
    if (start.spare == nullptr)
        for (int fd : start.owned) kept[count++] = fd;
    if (start.of_zygote) kept[count++] = start.cgroup_trees[launch::cgroups_max];
    if (start.spare != nullptr) {
        for (int fd : start.spare->namespaces) kept[count++] = start.of_zygote ? -1 : fd;
        for (int fd : start.spare->names.mounts) kept[count++] = fd;
        kept[count++] = start.spare->names.hostname;
    }
    keep_only(kept, count);
}

/// From here on paths of the container are looked at.
void keep_streams(const Start& start) {
    const int kept[] = {start.report_fd, start.stdio[0], start.stdio[1], start.stdio[2],
                        start.user_fd};
    keep_only(kept, 5);
}

}  // namespace

/// Dies with the shim while it is being made, and afterwards: a container without its shim would be
/// one that nobody can stop, whose output goes nowhere and whose exit nobody learns.
void die_with_shim(Start& start) {
    sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    // The rootfs may be waiting there already, so it is not asked whether there is something to
    // read.
    pollfd shim = {start.report_fd, 0, 0};
    if (sys(SYS_poll, &shim, 1, 0) > 0 && (shim.revents & POLLHUP) != 0) exit_group(125);
}

/// Signals as a new program expects them; the shim itself blocks them all. It ignores none, so none
/// is ignored here.
void open_signals() {
    const uint64_t none = 0;
    sys(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

/// Through a /proc that shows this process: the host's own, so before the mount namespace is
/// entered or left behind; or, of a child that was born behind it, the container's.
void set_oom_score(Start& start) {
    const int wanted = start.container->oom_score_adj;
    if (wanted == start.oom_score_adj) return;
    const Text<16> text(wanted < 0 ? "-" : "",
                        static_cast<uint32_t>(wanted < 0 ? -wanted : wanted));
    int fd = static_cast<int>(
        sys(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    const long result = fd < 0 ? fd : sys(SYS_write, fd, text.c_str(), text.view().size());
    if (result < 0)
        start.warnings.add("set oom_score_adj to ")
            .add(text.view())
            .add(": ")
            .add(error_name(result))
            .add("\n");
    close_fd(fd);
}

void set_hostname(Start& start) {
    const char* name = start.container->hostname;
    if (name == nullptr || (start.container->namespaces & CLONE_NEWUTS) == 0) return;
    const long result = sys(SYS_sethostname, name, strlen(name));
    if (result < 0) give_up(start, 125, "set the host name to", name, result);
}

void set_domainname(Start& start) {
    const char* name = start.container->domainname;
    if (name == nullptr || (start.container->namespaces & CLONE_NEWUTS) == 0) return;
    const long result = sys(SYS_setdomainname, name, strlen(name));
    if (result < 0) give_up(start, 125, "set the domain name to", name, result);
}

void set_sysctls(Start& start) {
    for (uint32_t i = 0; i < start.container->sysctl_count; ++i) {
        const launch::Pair& sysctl = start.container->sysctls[i];
        const Text<512> path("/proc/sys/", sysctl.first);
        if (path.cut() || path.view().find("..") != std::string_view::npos)
            give_up(start, 125, "write to the sysctl", sysctl.first, -EINVAL);
        int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CLOEXEC));
        const long result = fd < 0 ? fd : sys(SYS_write, fd, sysctl.second, strlen(sysctl.second));
        if (result < 0) give_up(start, 125, "write to", path.view(), result);
        close_fd(fd);
    }
}

void finish_kernel(Start& start) {
    set_hostname(start);
    set_domainname(start);
    open_kernel(start);
    set_sysctls(start);  // before /proc/sys becomes read-only
    hide_paths(start);
    start.kernel_finished = true;
}

long send_descriptor(int socket, int fd) {
    char byte = 'd';
    iovec part = {&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    return sys(SYS_sendmsg, socket, &message, MSG_NOSIGNAL);
}

long receive_descriptor(int socket, int flags, int* fd) {
    char byte;
    iovec part = {&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const long size = sys(SYS_recvmsg, socket, &message, flags | MSG_CMSG_CLOEXEC);
    *fd = -1;
    const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(rights), sizeof *fd);
    return size;
}

void keep_only(const int* kept, size_t count) {
    for (unsigned from = 3;;) {
        unsigned next = ~0u;
        for (size_t i = 0; i < count; ++i)
            if (kept[i] >= 0 && static_cast<unsigned>(kept[i]) >= from &&
                static_cast<unsigned>(kept[i]) < next)
                next = static_cast<unsigned>(kept[i]);
        if (next > from) sys(SYS_close_range, from, next == ~0u ? next : next - 1, 0);
        if (next == ~0u) return;
        from = next + 1;
    }
}

void give_up(Start& start, int code, std::string_view sentence) {
    start.message.clear();
    start.message.add(sentence);
    start.code = code;
    if (start.tell != nullptr) start.tell(start);
    exit_group(code);
}

void give_up(Start& start, int code, std::string_view what, std::string_view on, long error) {
    Sentence sentence(what, " ", on, ": ", error_name(error));
    give_up(start, code, sentence.view());
}

void container_child(void* argument) {
    Start& start = *static_cast<Start*>(argument);
    keep_needed(start);
    die_with_shim(start);
    open_signals();
    sys(SYS_umask, 0);
    if (!start.of_zygote) set_oom_score(start);
    join_cgroups(start);
    join_network(start);
    join_namespaces(start);
    join_owned_namespaces(start);
    sys(SYS_setsid);
    enter_rootfs(start);
    keep_streams(start);
    if (!start.kernel_finished) finish_kernel(start);
    protect_root(start);
    enter_user_namespace(start);
    // Until then the container's limit of processes counts one that is not its own.
    if (start.of_zygote) await_reaped(*start.spare);
    become_process(start);
}

void exec_child(void* argument) {
    Start& start = *static_cast<Start*>(argument);
    keep_needed(start);
    die_with_shim(start);
    open_signals();
    set_oom_score(start);
    join_cgroups(start);
    unsigned namespaces =
        CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (is_mapped(start.container)) {
        set_rlimits(start);
        namespaces |= CLONE_NEWUSER;
    }
    // The shim has set the PID namespace for its children already; the mount namespace brings its
    // root along.
    const long result = sys(SYS_setns, start.container_pidfd, namespaces);
    if (result < 0) give_up(start, 125, "enter", "the container's namespaces", result);
    keep_streams(start);
    become_mapped_root(start);
    sys(SYS_setsid);
    become_process(start);
}

}  // namespace noded::shim
