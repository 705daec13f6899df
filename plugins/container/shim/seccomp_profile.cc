// The allow-list by name. Names that libseccomp does not know yet are newer than it; those that
// matter stand in the prefix by number.
#include "plugins/container/shim/seccomp_profile.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "agent/base/fd.h"

namespace noded {
namespace {

constexpr const char* always[] = {
    "accept", "accept4", "access", "adjtimex", "alarm", "arch_prctl", "bind", "brk", "capget",
    "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64",
    "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup",
    "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat",
    "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchown", "fchown32", "fchownat", "fcntl",
    "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr",
    "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64",
    "futex", "futex_time64", "futex_waitv", "futimesat", "get_robust_list", "get_thread_area",
    "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid", "geteuid32",
    "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt",
    "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "ipc",
    "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown",
    "lchown32", "lgetxattr", "link", "linkat", "listen", "listxattr", "llistxattr", "_llseek",
    "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "membarrier",
    "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock",
    "mlock2", "mlockall", "mmap", "mmap2", "modify_ldt", "mprotect", "mq_getsetattr", "mq_notify",
    "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64",
    "mq_unlink", "mremap", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall",
    "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open", "openat",
    "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc",
    "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv",
    "preadv2", "prlimit64", "process_mrelease", "process_vm_readv", "process_vm_writev", "pselect6",
    "pselect6_time64", "ptrace", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
    "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
    "remap_file_pages", "removexattr", "rename", "renameat", "renameat2", "restart_syscall",
    "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg",
    "sendto", "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32",
    "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer",
    "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid",
    "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setsockopt", "setuid",
    "setuid32", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack",
    "signalfd", "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair", "splice",
    "stat", "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname",
    "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "vfork", "vmsplice",
    "wait4", "waitid", "waitpid", "write", "writev"};

struct Unlocked {
    int capability;
    const char* name;
};

constexpr Unlocked unlocked[] = {
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"}, {CAP_SYS_ADMIN, "bpf"}, {CAP_SYS_ADMIN, "clone"},
    {CAP_SYS_ADMIN, "clone3"}, {CAP_SYS_ADMIN, "fanotify_init"}, {CAP_SYS_ADMIN, "fsconfig"},
    {CAP_SYS_ADMIN, "fsmount"}, {CAP_SYS_ADMIN, "fsopen"}, {CAP_SYS_ADMIN, "fspick"},
    {CAP_SYS_ADMIN, "lookup_dcookie"}, {CAP_SYS_ADMIN, "mount"}, {CAP_SYS_ADMIN, "mount_setattr"},
    {CAP_SYS_ADMIN, "move_mount"}, {CAP_SYS_ADMIN, "open_tree"}, {CAP_SYS_ADMIN, "perf_event_open"},
    {CAP_SYS_ADMIN, "quotactl"}, {CAP_SYS_ADMIN, "quotactl_fd"}, {CAP_SYS_ADMIN, "setdomainname"},
    {CAP_SYS_ADMIN, "sethostname"}, {CAP_SYS_ADMIN, "setns"}, {CAP_SYS_ADMIN, "syslog"},
    {CAP_SYS_ADMIN, "umount"}, {CAP_SYS_ADMIN, "umount2"}, {CAP_SYS_ADMIN, "unshare"},
    {CAP_SYS_BOOT, "reboot"}, {CAP_SYS_CHROOT, "chroot"}, {CAP_SYS_MODULE, "delete_module"},
    {CAP_SYS_MODULE, "init_module"}, {CAP_SYS_MODULE, "finit_module"}, {CAP_SYS_PACCT, "acct"},
    {CAP_SYS_PTRACE, "kcmp"}, {CAP_SYS_PTRACE, "pidfd_getfd"}, {CAP_SYS_PTRACE, "process_madvise"},
    {CAP_SYS_RAWIO, "iopl"}, {CAP_SYS_RAWIO, "ioperm"}, {CAP_SYS_TIME, "settimeofday"},
    {CAP_SYS_TIME, "stime"}, {CAP_SYS_TIME, "clock_settime"}, {CAP_SYS_TIME, "clock_settime64"},
    {CAP_SYS_TTY_CONFIG, "vhangup"}, {CAP_SYS_NICE, "get_mempolicy"}, {CAP_SYS_NICE, "mbind"},
    {CAP_SYS_NICE, "set_mempolicy"}, {CAP_SYS_NICE, "set_mempolicy_home_node"},
    {CAP_SYSLOG, "syslog"}, {CAP_BPF, "bpf"}, {CAP_PERFMON, "perf_event_open"}};

/// CLONE_NEW* of mount, UTS, IPC, user, PID, network and cgroup namespaces.
constexpr uint64_t clone_namespaces = 0x7e020000;
constexpr uint64_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

Status add(void* context, uint32_t action, const char* name,
           const scmp_arg_cmp* argument = nullptr) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return {};  // newer than the library, or of no architecture here
    const int result =
        seccomp_rule_add_array(context, action, number, argument != nullptr ? 1 : 0, argument);
    if (result < 0) return fail_errno(-result, std::string("allow the system call ") + name);
    return {};
}

Status add_conditional(void* context, uint64_t capabilities) {
    for (const Unlocked& entry : unlocked)
        if ((capabilities >> entry.capability & 1) != 0)
            TRY_STATUS(add(context, SCMP_ACT_ALLOW, entry.name));
    if ((capabilities >> CAP_SYS_ADMIN & 1) == 0) {
        const scmp_arg_cmp no_namespaces = {0, SCMP_CMP_MASKED_EQ, clone_namespaces, 0};
        TRY_STATUS(add(context, SCMP_ACT_ALLOW, "clone", &no_namespaces));
        TRY_STATUS(add(context, SCMP_ACT_ERRNO(ENOSYS), "clone3"));
    }
    for (uint64_t personality : personalities) {
        const scmp_arg_cmp exactly = {0, SCMP_CMP_EQ, personality, 0};
        TRY_STATUS(add(context, SCMP_ACT_ALLOW, "personality", &exactly));
    }
    // Every family but AF_ALG (38) and AF_VSOCK (40), which reach past the network namespace.
    for (const scmp_arg_cmp& family :
         {scmp_arg_cmp{0, SCMP_CMP_LT, 38, 0}, scmp_arg_cmp{0, SCMP_CMP_EQ, 39, 0},
          scmp_arg_cmp{0, SCMP_CMP_GT, 40, 0}})
        TRY_STATUS(add(context, SCMP_ACT_ALLOW, "socket", &family));
    return {};
}

Result<Buffer> export_bytes(void* context) {
    const Fd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "make a memfd for the seccomp filter");
    const int result = seccomp_export_bpf(context, file.get());
    if (result < 0) return fail_errno(-result, "compile the seccomp filter");
    const off_t size = lseek(file.get(), 0, SEEK_END);
    Buffer bytes(size > 0 ? static_cast<size_t>(size) : 0);
    if (pread(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return fail_errno(errno, "read the compiled seccomp filter");
    return bytes;
}

/// Instructions to stand before those of libseccomp: native system calls from 451 on, which the
/// library may not know. Jumps are relative, so the rest needs no change.
Buffer prefix() {
    constexpr uint32_t allow = SECCOMP_RET_ALLOW;
    constexpr uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;
    const sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 9),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 335, 5, 0),  // uretprobe → allow
        // older: the library's list decides
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 451, 0, 6),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 5, 0),  // x32: likewise
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 467, 3, 0),         // newer than this list → unknown
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 462, 1, 0),         // mseal, *xattrat → allow
        // lsm_* → unknown; cachestat … listmount → allow
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 459, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, allow),
        BPF_STMT(BPF_RET | BPF_K, unknown),
    };
    const auto* start = reinterpret_cast<const uint8_t*>(code);
    return Buffer(start, start + sizeof code);
}

}  // namespace

Result<Buffer> seccomp_default_bpf(uint64_t capabilities) {
    const Context context(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release);
    if (context == nullptr) return fail("make a seccomp filter: out of memory");
    // 32-bit programs run too. x32 is not added: no distribution's kernel answers it, and it would
    // make the filter half as long again.
    if (const int result = seccomp_arch_add(context.get(), SCMP_ARCH_X86); result < 0)
        return fail_errno(-result, "add an architecture to the seccomp filter");
    if (const int result =
            seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
        result < 0)
        return fail_errno(-result, "set the answer to foreign architectures in the seccomp filter");
    if (const int result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2); result < 0)
        return fail_errno(-result, "ask for a sorted seccomp filter");
    for (const char* name : always) TRY_STATUS(add(context.get(), SCMP_ACT_ALLOW, name));
    TRY_STATUS(add_conditional(context.get(), capabilities));
    Buffer bytes = prefix();
    const Buffer compiled = TRY(export_bytes(context.get()));
    bytes.insert(bytes.end(), compiled.begin(), compiled.end());
    if (bytes.size() % sizeof(sock_filter) != 0 ||
        bytes.size() / sizeof(sock_filter) > BPF_MAXINSNS)
        return fail("the seccomp filter came out longer than the kernel takes");
    return bytes;
}

}  // namespace noded
