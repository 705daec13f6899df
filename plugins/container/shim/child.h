// The child of a shim, from clone to exec: it makes itself a container's first process, or enters a
// running container. It runs in the shim's own memory on a stack of its own, so the spec is read
// where it lies, and a failure is a note in Start. But for a zygote it shares no descriptors,
// file-system state or signal handlers with the shim, writes to nothing but Start and its stack,
// and ends by execve or by exit_group. Called by the shim's loop only.
#pragma once

#include "plugins/container/shim/control.h"
#include "plugins/container/shim/launch_decode.h"
#include "plugins/container/shim/sys.h"
#include "plugins/container/shim/text.h"

namespace noded::shim {

/// Kernel file systems that are made but not yet attached; they belong to the namespaces of their
/// maker.
struct KernelMounts {
    int sysfs;
    int devices;    ///< the tmpfs of /dev, filled
    int terminals;  ///< devpts
    int queues;     ///< mqueue
};

/// What names are looked up in, each a detached mount of one file: /etc/hosts and so on.
struct NameFiles {
    int mounts[3];  ///< -1: there are none
    int hostname;   ///< the file of the second, open: its content is known at the start
};

/// Where the kernel's file systems are; each is a tree of mounts.
constexpr const char* kernel_folders[] = {"/proc", "/sys", "/dev"};

struct Start;

/// What noded is told of a failure.
using Sentence = Text<shim_message_bytes_max>;

constexpr unsigned spare_namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

/// Namespaces and mounts made before anybody has asked for a container: more than a third of a
/// start. The mount namespace holds nothing but a tmpfs with the container's /sys and /dev, on top
/// of an empty one that all shims share, so it keeps no mount of the host busy, and a rootfs put on
/// top of it hides it for good.
///
/// The process that made it, the zygote, waits in these namespaces and in spare groups of v1 until
/// a container is asked for, and forks its first process, which has nothing left to enter. noded
/// has renamed the groups by then. A container for which that will not do enters the namespaces by
/// itself.
struct Spare {
    const char* const* groups;  ///< folder and shown name of each, one behind the other
    size_t group_count;
    long shim;              ///< its pid
    int no_mounts;          ///< a mount namespace with nothing in it; -1: leave the host's mounts
    int own;                ///< /proc/self/ns of the zygote while it makes its namespaces
    bool detached_overlay;  ///< open_overlay works here
    bool shows_groups;      ///< their view stands at /sys/fs/cgroup
    int namespaces[4];  ///< mount, network, IPC, UTS
    NameFiles names;
    uint32_t stage;  ///< Stage, a futex

    // What the zygote is asked for. The pid is written by the kernel, before the child runs: a
    // zygote may be killed before it could. Else a negative errno.
    const clone_args* fork;
    Start* child;
    int forked;
    uint32_t reaped;  ///< a futex: the zygote counts no more, so the command may be executed
};

/// Of a zygote. The kernel itself sets the first, and wakes who waits, when the process ends.
enum Stage : uint32_t {
    zygote_gone,
    zygote_prepares,
    zygote_waits,
    zygote_forks,
    zygote_dismissed
};

/// What an OCI configuration says itself where a container of noded's follows docker's rules: who
/// the process is, in numbers, and the places where `noci` has steps of its own. Filled by
/// plugins/container/noci/init.
struct Exact {
    uint32_t uid;
    uint32_t gid;
    uint32_t group_count;
    const uint32_t* groups;
    bool keeps_groups;  ///< those of the caller instead
    uint32_t umask;
    bool keeps_keyring;  ///< the caller's session keyring stays
    // The bounding set is Launch::capabilities.
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
    uint64_t ambient;
    void (*send_terminal)(Start&, int master);
    void (*close_rest)(Start&);  ///< descriptors that the process shall not have
    /// everything is made and the command is found: between create and start
    void (*ready)(Start&);
    long (*load_filter)(Start&, const void* program);
    /// under the filter and with the final rights: the next thing is the exec
    void (*last)(Start&);
};

/// What one child is told, and what it leaves behind when it does not reach its exec.
struct Start {
    launch::Launch* process;  ///< command, environment, folder, user, terminal
    /// everything that confines it; the same object for the container itself
    const launch::Launch* container;
    bool is_exec;
    /// used by a container's child, filled by a spare's; nullptr: make everything now
    Spare* spare;
    /// of a container with ids of its own: its user namespace, and the network, IPC and UTS
    /// namespaces that belong to it; -1
    int user_fd;
    int owned[3];
    bool of_zygote;  ///< it is in the spare namespaces and in its groups of v1 from the beginning
    bool entered;  ///< it is in the user namespace: ids are the container's from here on
    bool kernel_finished;  ///< finish_kernel was called
    const struct NameTexts* names;  ///< of a start without a spare
    /// of a container: its groups as detached mounts, the last is that of v2; -1
    int cgroup_trees[launch::cgroups_max + 1];
    int container_pidfd;  ///< of the container's first process, for an exec
    int report_fd;  ///< socket to the shim: brings the rootfs, carries the terminal, and its end
                    ///< means "executed, or gave up"
    int stdio[3];   ///< -1 stands for /dev/null; unused with a terminal
    int oom_score_adj;  ///< what the shim has, hence what the child was born with
    const Exact* exact;  ///< nullptr: docker's rules
    void (*tell)(Start&);  ///< of a failure, where nobody shares this memory; or nullptr

    bool executing;  ///< the next thing is execve: an end without a code is success
    int code;        ///< 0, or 125, 126, 127 with a sentence in `message`
    Sentence message;
    Sentence warnings;  ///< one sentence a line
};

/// Notes "what on: ERROR" with docker's exit code and ends the child.
[[noreturn]] void give_up(Start& start, int code, std::string_view what, std::string_view on,
                          long error);
/// The same with a complete sentence.
[[noreturn]] void give_up(Start& start, int code, std::string_view sentence);

/// The detached overlay mount for a container, or a negative errno; -EINVAL also when the kernel is
/// too old to take layers one by one (before 6.8), in which case the child mounts it the old way.
/// Called by the shim, which keeps the descriptor, so that unmounting costs nobody time between the
/// container's end and the news of it.
long open_overlay(const launch::Launch& container);

/// Whether this kernel is new enough for it, and whether the names are short enough.
bool can_open_overlay();
bool fits_open_overlay(const launch::Launch& container);

/// The two bodies of a child, as clone_sharing_memory takes them; the argument is a Start.
[[noreturn]] void container_child(void* start);
[[noreturn]] void exec_child(void* start);
/// the zygote: it shares the shim's descriptors, and leaves them in Start::spare
[[noreturn]] void spare_child(void* start);

/// Really closes all descriptors but the standard streams and these; -1 stands for none. A path of
/// the container may go through /proc/self/fd, and ".." from a folder of the host is the host.
void keep_only(const int* kept, size_t count);
/// One byte over the socket between shim and child, with a descriptor or, for -1, without. What
/// sendmsg(2) answers.
long send_descriptor(int socket, int fd);
/// Its counterpart, with flags of recvmsg(2), whose answer it returns; -1 in `fd` for none.
long receive_descriptor(int socket, int flags, int* fd);
/// What stands at `path` below the root; no link leads out or through /proc/self/fd.
int open_in_container(const char* path, int flags);

// The parts, in the order in which the bodies call them.
void join_cgroups(Start& start);  ///< cgroup.cc; opens what the container will see of them
/// A group as a detached mount, or a negative errno.
int open_group(const char* folder);
void open_spare_groups(Start& start, int* trees);  ///< while the host's mounts are in sight
/// Joins them, and makes the view that the container gets of them, below a root that has a /sys.
void enter_spare_groups(Start& start, int* trees);
void mount_cgroup_trees(Start& start);
void die_with_shim(Start& start);  ///< child.cc
void set_oom_score(Start& start);
void raise_loopback(Start& start);  ///< spare.cc
void open_network();
void make_kernel_mounts(Start& start, KernelMounts* mounts);
/// Attaches them below the present root, to folders that are there; /proc is the container's own.
void attach_kernel_mounts(Start& start, const KernelMounts& mounts);
void enter_spare(Start& start);
/// Sets the stage and wakes who waits for that.
void tell_stage(Spare& spare, Stage stage);
/// Waits until it is another than this one, and returns it.
uint32_t await_change(Spare& spare, Stage from);
/// The shim's word, and the child's way to wait for it.
void tell_reaped(Spare& spare);
void await_reaped(Spare& spare);
void attach_name_files(Start& start);  ///< names.cc
void make_mounts_private(Start& start);  ///< rootfs.cc
/// Puts the overlay on the runtime folder; `options` begin with "lowerdir=…".
void mount_overlay(Start& start, Text<4096>& options);
void enter_rootfs(Start& start);         ///< ends with all mounts in place
void open_signals();                     ///< child.cc
void set_hostname(Start& start);
void set_domainname(Start& start);
void set_sysctls(Start& start);  ///< before /proc/sys becomes read-only
void hide_paths(Start& start);
/// One path each: hidden, or made read-only with all below it; one that is not there is left out.
void hide_path(Start& start, const char* path);
void protect_path(Start& start, const char* path);
/// The kernel as the container sees it, once /proc, /sys and /dev are below the present root: host
/// name, sysctls, masks.
void finish_kernel(Start& start);
/// Last of all, if the container's root is to be read-only.
void protect_root(Start& start);
/// A descriptor (O_PATH) of `path` below the root, made when missing, with links resolved inside
/// the root only.
int open_target(Start& start, const char* path, bool folder);
/// The same below any folder.
int open_target_below(Start& start, int root, const char* path, bool folder);
void set_rlimits(Start& start);  ///< process.cc
[[noreturn]] void become_process(Start& start);  ///< process.cc: terminal, user, rights, exec

}  // namespace noded::shim
