// The plan: what noci tells the first process of a container, or of an exec, beyond a launch spec
// (shim/launch.h): the things that an OCI configuration can say and a container of noded's cannot.
// One flat block in a memfd that the first process maps and reads in place: this header, arrays,
// texts and the launch spec, all by offset. Both sides are in one binary and the block is made for
// one start, so nothing here is versioned. Plain structs only: the reader has no C++ library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::noci {

/// Offset of a NUL-terminated text from the beginning of the block; 0: there is none.
using TextAt = uint32_t;

/// `count` elements of one type at an offset that suits it.
struct ListAt {
    uint32_t offset;
    uint32_t count;
};

enum class StepKind : uint32_t {
    bind = 1,
    file_system = 2,
    symlink = 3,  ///< `source` is what it says, `target` where it stands
    device = 4,   ///< of a user namespace, which can make none: `node` of Plan::nodes
};

/// One entry of the table of mounts, in the order given.
struct Step {
    StepKind kind;
    TextAt source;
    TextAt target;
    TextAt type;
    TextAt data;
    TextAt uid_map;  ///< of an idmapped mount, as /proc/PID/uid_map takes it
    TextAt gid_map;
    uint32_t inside;           ///< the source is below the rootfs: with what is mounted there
    uint32_t recursive;        ///< a bind takes what is mounted below along
    uint32_t recursive_idmap;
    uint32_t own_idmap;        ///< the container's user namespace maps it
    uint32_t real_folder;      ///< the target may not be, or lie behind, a symbolic link
    uint32_t read_only_late;   ///< made read-only when the devices are made
    uint32_t copy_up;          ///< a tmpfs begins with what the rootfs has there
    uint32_t inherits_mode;    ///< and with the mode of the folder there
    uint32_t may_cover_proc;   ///< what it stands on may be the container's procfs
    uint32_t node;
    uint64_t flags;            ///< of a file system: MS_*
    uint64_t attributes;       ///< of a bind: MOUNT_ATTR_*
    uint64_t attributes_cleared;
    uint64_t below_set;  ///< for all that is mounted below, too
    uint64_t below_cleared;
    uint64_t propagation[4];  ///< MS_SHARED, MS_SLAVE …, with MS_REC for all below; in order
};

struct Device {
    TextAt path;
    uint32_t mode;  ///< type and permissions
    uint32_t major, minor;
    uint32_t uid, gid;
    uint32_t exact;  ///< of a node: owner, as the host has it, and mode have to be these
};

struct Joined {
    uint32_t type;  ///< CLONE_NEW*
    TextAt path;
};

struct Hook {
    TextAt path;
    ListAt arguments;    ///< of TextAt
    ListAt environment;  ///< of TextAt
    uint32_t timeout_seconds;  ///< 0: none
};

/// struct sched_attr of sched_setattr(2).
struct SchedulerAttributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t utilization_min, utilization_max;
};
static_assert(sizeof(SchedulerAttributes) == 56);

/// The start is waited for under a filter that notifies, in this system call, so that whoever is
/// notified knows the container from its creation on.
enum class FilteredWait : uint32_t {
    none = 0,  ///< the filter comes after the start
    futex = 1,
    read = 2,
};

struct Plan {
    uint32_t size;
    uint32_t is_exec;
    ListAt launch;  ///< bytes of the launch spec
    // Descriptors of the process that reads this.
    int32_t sync_fd;      ///< seqpacket to noci
    int32_t listen_fd;    ///< where start is waited for; -1: noci says when, over sync_fd
    int32_t console_fd;   ///< takes the terminal
    int32_t pidfd;        ///< of the container, for an exec
    uint32_t preserved;   ///< descriptors from 3 on that the process has, too
    uint32_t new_namespaces;  ///< CLONE_NEW*
    uint32_t exec_namespaces; ///< that an exec enters by pidfd
    ListAt joined;            ///< of Joined
    TextAt uid_map, gid_map;  ///< of a new user namespace
    uint32_t unprivileged;    ///< the caller has root's rights in the user namespace only
    uint32_t asks_for_maps;   ///< noci has others write them
    TextAt time_offsets;
    TextAt cgroup_v2;         ///< absolute folder; v1's are in the launch spec
    uint32_t sets_oom_score;  ///< Launch::oom_score_adj is meant
    TextAt rootfs;
    uint64_t rootfs_propagation;  ///< MS_*; 0 is the default
    uint32_t has_own_mounts;      ///< a mount namespace of its own
    uint32_t no_pivot;
    uint32_t read_only_rootfs;
    uint32_t fills_devices;  ///< /dev is not the host's
    ListAt steps;            ///< of Step
    ListAt devices;          ///< of Device
    ListAt nodes;            ///< of Device, for steps
    ListAt masked;           ///< of TextAt: hidden in the container, if they are there
    ListAt protected_paths;  ///< of TextAt: read-only
    uint32_t waits_for_hooks;      ///< noci has hooks to run before the root changes
    ListAt create_container_hooks;  ///< of Hook
    ListAt start_container_hooks;
    uint32_t uid, gid;
    ListAt groups;  ///< of uint32_t
    uint32_t keeps_groups;  ///< those of whoever calls noci instead
    uint32_t umask;
    uint32_t keeps_keyring;
    TextAt keyring;
    uint64_t effective, permitted, inheritable, ambient;
    uint32_t seccomp_flags;   ///< SECCOMP_FILTER_FLAG_*
    FilteredWait filtered_wait;
    TextAt apparmor;
    TextAt selinux;
    uint32_t sets_personality;
    uint32_t personality;
    uint32_t sets_io_priority;
    uint32_t io_priority;
    uint32_t sets_scheduler;
    SchedulerAttributes scheduler;
    uint32_t has_cpus;  ///< its cpuset is not all of the machine's
    uint32_t sets_memory_policy;
    int32_t memory_mode;    ///< of set_mempolicy(2), with its flags
    ListAt memory_nodes;    ///< of uint64_t: bit n is node n
    ListAt affinity_first;  ///< of uint64_t: CPUs before the cgroups are joined; none: as it was
    ListAt affinity;        ///< of uint64_t: CPUs of the process; none: all of its cpuset
};

constexpr size_t plan_bytes_max = 8 << 20;
constexpr size_t steps_max = 1024;

/// Over sync_fd and, from start on, over the connection: a packet is this and a text.
enum class Say : uint32_t {
    // From the first process.
    born = 1,      ///< pid of the container's process
    hooks = 2,     ///< the mounts are made: noci's hooks may run; answered by go and the state
    ready = 3,     ///< all is made; answered by go
    executing = 4, ///< the next thing is the exec
    failed = 5,    ///< a sentence; number: 1 while the container was being made, else 0
    listener = 6,  ///< with the descriptor of seccomp notifications
    warning = 7,   ///< a sentence
    map_ids = 8,   ///< pid of a process whose user namespace waits for its maps; answered by go
    // Between both stages.
    map_tree = 9,  ///< number of a step, with its tree; answered by one with the result
    // From noci.
    go = 100,  ///< after hooks: with a memfd that holds the state
};

struct Packet {
    Say say;
    int32_t number;
};

}  // namespace noded::noci
