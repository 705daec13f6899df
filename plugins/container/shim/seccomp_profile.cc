// The allow-list by name, which libseccomp knows the numbers of. Those that are newer than it, and
// matter, stand here by number.
#include "plugins/container/shim/seccomp_profile.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <cerrno>
#include <vector>

#include "plugins/container/shim/seccomp_program.h"

namespace noded {
namespace {

constexpr const char* allowed[] = {
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
constexpr uint32_t clone_namespaces = 0x7e020000;
constexpr uint32_t allow = SECCOMP_RET_ALLOW;
constexpr uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;

using Kind = SeccompAnswer::Kind;

SeccompAnswer always(uint32_t action) { return {Kind::always, action, action, {}}; }

/// Names that the architecture has no number for, or that are newer than the library, are passed
/// over.
void set(SeccompTable& table, const char* name, const SeccompAnswer& answer) {
    // The library names architectures as the kernel does.
    const int number = seccomp_syscall_resolve_name_arch(table.architecture, name);
    if (number >= 0) table.set(uint32_t(number), uint32_t(number) + 1, answer);
}

/// Every family but AF_ALG and AF_VSOCK, which reach past the network namespace.
SeccompAnswer sockets() { return {Kind::none_of, allow, refuse, {38, 40}}; }

void set_conditional(SeccompTable& table, uint64_t capabilities) {
    for (const Unlocked& entry : unlocked)
        if ((capabilities >> entry.capability & 1) != 0) set(table, entry.name, always(allow));
    if ((capabilities >> CAP_SYS_ADMIN & 1) == 0) {
        set(table, "clone", {Kind::no_bit_of, allow, refuse, {clone_namespaces}});
        set(table, "clone3", always(unknown));
    }
    set(table, "personality",
        {Kind::one_of, allow, refuse, {0x0, 0x8, 0x20000, 0x20008, 0xffffffff}});
    set(table, "socket", sockets());
}

/// What the library says of these is how they are multiplexed: by socketcall and ipc, which are
/// allowed. They have numbers, too.
void set_multiplexed(SeccompTable& table) {
    constexpr uint32_t socket = 359, shutdown = 373, semget = 393, msgctl = 402;
    for (const uint32_t number : {337u, 345u})  // recvmmsg, sendmmsg
        table.set(number, number + 1, always(allow));
    table.set(socket, shutdown + 1, always(allow));
    table.set(socket, socket + 1, sockets());
    table.set(semget, msgctl + 1, always(allow));
}

/// Native system calls that the library may not know.
void set_new_ones(SeccompTable& table) {
    constexpr uint32_t uretprobe = 335, first_new = 451, lsm = 459, mseal = 462, end = 467;
    constexpr uint32_t x32 = 0x40000000;
    table.set(uretprobe, uretprobe + 1, always(allow));
    table.set(first_new, x32, always(unknown));
    table.set(first_new, lsm, always(allow));  // cachestat … listmount
    table.set(mseal, end, always(allow));      // mseal, *xattrat
    table.set(x32, ~0u, always(unknown));
}

}  // namespace

Result<Buffer> seccomp_default_bpf(uint64_t capabilities) {
    std::vector<SeccompTable> tables;
    // 32-bit programs run too. x32 has no table: no distribution's kernel answers it.
    for (const uint32_t architecture : {uint32_t(AUDIT_ARCH_X86_64), uint32_t(AUDIT_ARCH_I386)}) {
        SeccompTable& table = tables.emplace_back();
        table.architecture = architecture;
        table.first = always(refuse);
        for (const char* name : allowed) set(table, name, always(allow));
        set_conditional(table, capabilities);
        if (architecture == AUDIT_ARCH_X86_64) set_new_ones(table);
        else set_multiplexed(table);
    }
    return seccomp_program(tables, unknown);
}

}  // namespace noded
