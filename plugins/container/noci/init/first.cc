// The first stage: what is done with the host's rights and eyes, in the order in which each step
// still can be done. See init.h.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "plugins/container/noci/init/init.h"

namespace noded::noci {
namespace {

using shim::sys;
using shim::Text;

/// The file takes its whole content in one write.
long write_file(const char* path, std::string_view text) {
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
    const long result = fd < 0 ? fd : sys(SYS_write, fd, text.data(), text.size());
    shim::close_fd(fd);
    return result;
}

void set_oom_score() {
    if (init.plan->sets_oom_score == 0) return;
    const int wanted = init.launch->oom_score_adj;
    const Text<16> text(wanted < 0 ? "-" : "",
                        static_cast<uint32_t>(wanted < 0 ? -wanted : wanted));
    const long result = write_file("/proc/self/oom_score_adj", text.view());
    // A machine that gives no right to lower it is no reason to have no container.
    if (result < 0 && init.plan->unprivileged == 0)
        init.start.warnings.add("set oom_score_adj to ")
            .add(text.view())
            .add(": ")
            .add(shim::error_name(result))
            .add("\n");
}

/// In the words that runc's users know.
[[noreturn]] void give_up_group(const char* folder, long error) {
    const auto pid = static_cast<uint32_t>(sys(SYS_getpid));
    give_up(Text<launch::path_bytes_max + 128>("error adding pid ", pid, " to cgroups: ", folder,
                                               ": ", shim::error_words(error))
                .view());
}

/// The second stage is born into the v2 group, which is ten times cheaper than to move there: its
/// folder, or -1. In a cgroup namespace of a container the kernel lets nobody in from outside, so
/// an exec moves before it enters.
int join_own_cgroups() {
    shim::join_cgroups(init.start);
    const char* folder = init.text(init.plan->cgroup_v2);
    if (folder == nullptr) return -1;
    if ((init.plan->exec_namespaces & CLONE_NEWCGROUP) == 0) {
        const int fd = static_cast<int>(
            sys(SYS_openat, AT_FDCWD, folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (fd < 0) give_up_group(folder, fd);
        return fd;
    }
    const Text<launch::path_bytes_max + 32> path(folder, "/cgroup.procs");
    const long result = write_file(path.c_str(), "0");
    if (result < 0) give_up_group(folder, result);
    return -1;
}

struct Held {
    int fds[16];
    uint32_t count;
};

/// Their paths may lead through a mount namespace that is about to be left.
void open_joined(Held* held) {
    for (const Joined& joined : init.list<Joined>(init.plan->joined)) {
        const char* path = init.text(joined.path);
        const int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
        if (fd < 0)
            give_up(Text<512>("failed to open ", path, ": ", shim::error_words(fd)).view());
        if (held->count == 16) give_up("there are too many namespaces to join");
        held->fds[held->count++] = fd;
    }
}

/// The host's root may enter namespaces of any owner; as the root of a user namespace it could not
/// any more, so that one is entered last. The mount namespace goes before it: paths are done with.
void join_namespaces(const Held& held) {
    const Items<Joined> joined = init.list<Joined>(init.plan->joined);
    for (int round = 0; round < 3; ++round) {
        for (uint32_t i = 0; i < joined.count; ++i) {
            const uint32_t type = joined.items[i].type;
            const int turn = type == CLONE_NEWUSER ? 2 : type == CLONE_NEWNS ? 1 : 0;
            if (turn != round) continue;
            const long result = sys(SYS_setns, held.fds[i], type);
            if (result < 0)
                give_up("join the namespace", init.text(joined.items[i].path), result);
            if (type == CLONE_NEWUSER) init.userns_fd = held.fds[i];
        }
    }
}

void prepare_time() {
    if ((init.plan->new_namespaces & CLONE_NEWTIME) == 0) return;
    long result = sys(SYS_unshare, CLONE_NEWTIME);
    if (result < 0) give_up("make", "a time namespace", result);
    const char* offsets = init.text(init.plan->time_offsets);
    if (offsets == nullptr) return;
    result = write_file("/proc/self/timens_offsets", offsets);
    if (result < 0) give_up("set", "the offsets of the time namespace", result);
}

/// The other way round: there are no rights before the user namespace is entered, and a copy of a
/// mount can be taken only in a mount namespace that belongs to it.
void enter_unprivileged(const Held& held) {
    const Plan& plan = *init.plan;
    const Items<Joined> joined = init.list<Joined>(plan.joined);
    if ((plan.new_namespaces & CLONE_NEWUSER) != 0)
        init.userns_fd =
            make_user_namespace(init.text(plan.uid_map), init.text_or_empty(plan.gid_map));
    for (uint32_t i = 0; i < held.count; ++i)
        if (joined.items[i].type == CLONE_NEWUSER) init.userns_fd = held.fds[i];
    long result = sys(SYS_setns, init.userns_fd, CLONE_NEWUSER);
    if (result < 0) give_up("enter", "the user namespace", result);
    if ((plan.new_namespaces & CLONE_NEWNS) != 0) {
        result = sys(SYS_unshare, CLONE_NEWNS);
        if (result < 0) give_up("make", "a mount namespace", result);
    }
    prepare_time();
    open_sources();
    for (uint32_t i = 0; i < held.count; ++i) {
        if (joined.items[i].type == CLONE_NEWUSER) continue;
        result = sys(SYS_setns, held.fds[i], joined.items[i].type);
        if (result < 0) give_up("join the namespace", init.text(joined.items[i].path), result);
    }
}

void enter_namespaces() {
    const Plan& plan = *init.plan;
    if (plan.is_exec != 0) {
        if (plan.exec_namespaces == 0) return;
        const long result = sys(SYS_setns, plan.pidfd, plan.exec_namespaces);
        if (result < 0) give_up("enter", "the container's namespaces", result);
        return;
    }
    Held held = {};
    open_joined(&held);
    if (plan.unprivileged != 0) return enter_unprivileged(held);
    prepare_time();
    const char* uid_map = init.text(plan.uid_map);
    if ((plan.new_namespaces & CLONE_NEWUSER) != 0)
        init.userns_fd = make_user_namespace(uid_map, init.text_or_empty(plan.gid_map));
    for (uint32_t i = 0; i < held.count; ++i)
        if (init.list<Joined>(plan.joined).items[i].type == CLONE_NEWUSER)
            init.userns_fd = held.fds[i];
    open_sources();
    join_namespaces(held);
    if ((plan.new_namespaces & CLONE_NEWUSER) != 0) {
        const long result = sys(SYS_setns, init.userns_fd, CLONE_NEWUSER);
        if (result < 0) give_up("enter", "the user namespace", result);
    }
}

}  // namespace

int make_user_namespace(const char* uid_map, const char* gid_map) {
    clone_args arguments = {};
    arguments.flags = CLONE_NEWUSER;
    arguments.exit_signal = SIGCHLD;
    const long parent = sys(SYS_getpid);
    const long pid = sys(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
        // A parent that is gone already sends nothing.
        while (sys(SYS_getppid) == parent) sys(SYS_pause);
        shim::exit_group(0);
    }
    if (pid < 0) give_up("make", "a user namespace", pid);
    const auto path = [&](const char* file) {
        return Text<64>("/proc/", static_cast<uint32_t>(pid), "/", file);
    };
    long result = 0;
    if (init.plan->asks_for_maps != 0) {
        say(init.report_fd, Say::map_ids, static_cast<int>(pid), "");
        int unused = -1;
        if (!hear_go(init.report_fd, &unused)) shim::exit_group(125);
    } else {
        // Who gives away its own group may not be in others that forbid something.
        if (init.plan->unprivileged != 0) write_file(path("setgroups").c_str(), "deny");
        result = write_file(path("uid_map").c_str(), uid_map);
    }
    if (init.plan->asks_for_maps == 0 && result >= 0)
        result = write_file(path("gid_map").c_str(), gid_map);
    int fd = -1;
    if (result >= 0)
        result = fd = static_cast<int>(
            sys(SYS_openat, AT_FDCWD, path("ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    sys(SYS_kill, pid, SIGKILL);
    sys(SYS_wait4, pid, nullptr, 0, nullptr);
    if (result < 0) give_up("map the ids of", "a user namespace", result);
    return fd;
}

/// Without a wish of the configuration the process may run wherever its cpuset lets it, not only
/// where whoever called noci is bound to.
void set_affinity(ListAt wanted) {
    const Items<uint64_t> words = init.list<uint64_t>(wanted);
    uint64_t all[128];
    for (uint64_t& word : all) word = ~uint64_t{0};
    const void* mask = words.count != 0 ? static_cast<const void*>(words.items) : all;
    const size_t bytes = words.count != 0 ? words.count * sizeof(uint64_t) : sizeof all;
    const long result = sys(SYS_sched_setaffinity, 0, bytes, mask);
    if (result < 0 && words.count != 0) give_up("set", "the CPU affinity", result);
}

void first_stage() {
    const Plan& plan = *init.plan;
    set_oom_score();
    if (plan.is_exec != 0 && plan.affinity_first.count != 0) set_affinity(plan.affinity_first);
    const int group = join_own_cgroups();
    // Of a container's first process the affinity is not the configuration's to say.
    if (plan.is_exec == 0) set_affinity({});
    else if (plan.affinity.count != 0 || plan.affinity_first.count == 0)
        set_affinity(plan.affinity);
    enter_namespaces();
    clone_args arguments = {};
    if (group >= 0) arguments.cgroup = static_cast<uint64_t>(group);
    // The user and the time namespace are entered already; the root of a cgroup namespace is where
    // its maker stands, which is the second stage's to do.
    const uint64_t entered = CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWCGROUP |
                             (plan.unprivileged != 0 ? CLONE_NEWNS : 0);
    arguments.flags = CLONE_PARENT | (group >= 0 ? CLONE_INTO_CGROUP : 0) |
                      (plan.new_namespaces & ~entered);
    const long pid = sys(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) return;
    if (pid == -EBUSY && group >= 0) give_up_group(init.text(plan.cgroup_v2), pid);
    if (pid < 0) give_up("clone", "the container's process", pid);
    say(init.report_fd, Say::born, static_cast<int>(pid), "");
    shim::exit_group(0);
}

}  // namespace noded::noci
