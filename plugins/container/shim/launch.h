// The launch spec: what noded tells a shim about the container it shall create, and about each
// exec. A flat sequence of tagged records that the shim reads in place; PROTOCOL.md describes it.
// Shared by noded (launch_encode) and the shim (launch_decode), which links no C++ library: keep
// this header free of anything that allocates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::launch {

constexpr uint32_t header_magic = 0x314c534e;  ///< "NSL1"

/// Stands once, in front. Everything is in the byte order of the machine: a spec never leaves it.
struct Header {
    uint32_t magic;
    uint32_t size;  ///< of the whole spec, this header included
    uint32_t records;
    uint32_t zero;
};
static_assert(sizeof(Header) == 16);

/// Stands before each value; the value is padded with zero bytes to a multiple of 8.
struct Record {
    uint16_t tag;
    uint16_t zero;
    uint32_t length;  ///< of the value without padding; of a string, its NUL included
};
static_assert(sizeof(Record) == 8);

/// "text" is one NUL-terminated string, "texts" several behind one another. Unless marked with * a
/// tag stands at most once.
enum class Tag : uint16_t {
    id = 1,             ///< text: container id; of an exec, the exec id
    lower = 2,          ///< text*: absolute folder, the topmost layer first
    upper = 3,          ///< text
    work = 4,           ///< text
    rootfs = 5,         ///< text: a plain folder instead of lower, upper and work
    hostname = 6,       ///< text
    argument = 7,       ///< text*
    environment = 8,    ///< text*: NAME=value
    cwd = 9,            ///< text: absolute, created when missing
    user = 10,          ///< text: uid[:gid], name[:group] or a mixture; empty is root
    capabilities = 11,  ///< u64: bit n is capability n
    seccomp = 12,       ///< bytes: sock_filter array; absent or empty means no filter
    flags = 13,         ///< u32: Flag bits
    masked = 14,        ///< text*: path in the container, hidden if it exists
    read_only = 15,     ///< text*: path in the container, made read-only if it exists
    rlimit = 16,        ///< Rlimit*
    /// texts*: type ("bind", "tmpfs"; "of": what is at the target in the mount namespace `source`),
    /// source, target, options; of a bind "make" makes the folders of a source that is missing
    mount = 17,
    namespaces = 18,    ///< u32: CLONE_NEW* bits; without CLONE_NEWNET the network is the host's
    /// text: join the network namespace pinned at this path instead of a new one
    netns = 19,
    cgroup_v2 = 20,  ///< text: absolute folder in the v2 tree
    /// texts*: absolute folder, its name below /sys/fs/cgroup in the container (empty: not shown)
    cgroup_v1 = 21,
    log = 22,            ///< text: absolute folder of the log, appended to
    runtime = 23,        ///< text: absolute folder, exists, belongs to this container alone
    stop_signal = 24,    ///< u32: sent to the container when the shim itself gets SIGTERM
    window = 25,         ///< Window: initial size of the terminal
    oom_score_adj = 26,  ///< i32
    sysctl = 27,         ///< texts*: path below /proc/sys ("net/ipv4/ip_forward"), value
    shm_bytes = 28,      ///< u64: size of /dev/shm; 0: there is none
    log_limits = 29,     ///< LogLimits: how large the log may become
    group = 30,          ///< text*: a supplementary group by name or number
    domainname = 31,     ///< text: of the UTS namespace
    /// texts*: "pid", "ipc", "uts", "net", "cgroup" or "time"; path of a namespace to join instead
    /// of a new one
    join = 32,
    id_map = 33,  ///< IdMap*: of the user namespace that the container gets; none: the host's
};

enum Flag : uint32_t {
    flag_no_new_privs = 1,
    flag_tty = 2,
    flag_open_stdin = 4,  ///< without it standard input is /dev/null
    flag_read_only_rootfs = 8,
    /// overlayfs "volatile": nothing of the upper folder is synced, not even when it is unmounted
    flag_volatile_rootfs = 16,
    flag_nodev_rootfs = 32,  ///< device nodes in the rootfs open nothing
    flag_writable_kernel = 64,  ///< /sys and the cgroups can be written to
    /// this kernel's overlayfs has features on by default that make an upper folder useless to
    /// others
    flag_plain_overlay = 128,
    flag_name_files = 256,  ///< /etc/hosts, /etc/hostname and /etc/resolv.conf are the node's
    flag_privileged = 512,  ///< of an exec: all capabilities, not those of the container
    /// the groups of v1 are those that the spare was given, renamed
    flag_spare_groups = 1024,
};
constexpr uint32_t flags_known = 2047;

struct Rlimit {
    uint32_t resource;  ///< RLIMIT_*
    uint32_t zero;
    uint64_t soft;
    uint64_t hard;
};
static_assert(sizeof(Rlimit) == 24);

/// `count` ids of the container from `container` on are those of the host from `host` on.
struct IdMap {
    uint32_t group;  ///< 1 for group ids, 0 for user ids
    uint32_t container;
    uint32_t host;
    uint32_t count;
};
static_assert(sizeof(IdMap) == 16);

struct LogLimits {
    uint64_t segment_bytes;  ///< whole blocks of 64 KiB are used, at least one
    uint32_t segments;       ///< at least 1
    uint32_t zero;
};
static_assert(sizeof(LogLimits) == 16);

struct Window {
    uint16_t rows;
    uint16_t columns;
};

// What a spec may hold. The encoder refuses more with a sentence, the decoder checks again.
constexpr size_t spec_bytes_max = 2 << 20;
constexpr size_t id_bytes_max = 127;
constexpr size_t text_bytes_max = 128 << 10;  ///< one argument: the kernel's MAX_ARG_STRLEN
constexpr size_t path_bytes_max = 4095;
constexpr size_t lowers_max = 256;
constexpr size_t arguments_max = 4096;
constexpr size_t environment_max = 4096;
constexpr size_t hidden_paths_max = 64;  ///< masked and read-only, each
constexpr size_t rlimits_max = 16;
constexpr size_t mounts_max = 384;  ///< with all devices of a host
constexpr size_t cgroups_max = 16;
constexpr size_t sysctls_max = 32;
constexpr size_t joins_max = 8;
constexpr size_t id_maps_max = 32;  ///< of users and groups together
constexpr uint32_t log_segments_max = 128;  ///< as many as a shim keeps count of
constexpr uint64_t log_segment_bytes_max = uint64_t{1} << 40;
constexpr size_t seccomp_bytes_max = 4096 * 8;  ///< BPF_MAXINSNS instructions
constexpr size_t hostname_bytes_max = 64;
constexpr size_t groups_added_max = 32;
constexpr size_t group_bytes_max = 256;
constexpr size_t groups_max = 256;  ///< supplementary groups of one user

}  // namespace noded::launch
