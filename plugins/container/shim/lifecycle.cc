// From a spec to a running process and from its end to a durable record. The child shares this
// memory until its exec, so its progress is read from its Start; the report socket only says when
// to look.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <new>

#include "plugins/container/shim/names.h"
#include "plugins/container/shim/shim.h"
#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

bool refuse(Sentence* out, std::string_view what, std::string_view on, long error) {
    out->clear();
    out->add(what).add(" ").add(on).add(": ").add(error_name(error));
    return false;
}

/// A pipe whose `ours` end never blocks. 0 or a negative errno.
long make_pipe(int* ours, int* theirs, bool we_read) {
    int ends[2];
    const long result = sys(SYS_pipe2, ends, O_CLOEXEC);
    if (result < 0) return result;
    *ours = ends[we_read ? 0 : 1];
    *theirs = ends[we_read ? 1 : 0];
    return sys(SYS_fcntl, *ours, F_SETFL, O_NONBLOCK);
}

bool counts_oom_kill(const char* folder, const char* file) {
    const Text<launch::path_bytes_max + 32> path(folder, file);
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd < 0) return false;
    char text[512];
    const long size = sys(SYS_read, fd, text, sizeof text);
    close_fd(fd);
    const std::string_view content(text, size > 0 ? static_cast<size_t>(size) : 0);
    const size_t at = content.find("oom_kill ");
    return at != std::string_view::npos && at + 9 < content.size() && content[at + 9] != '0';
}

}  // namespace

/// Copies the spec behind a fresh Launch and decodes it there. nullptr, or what is wrong with it.
const char* Shim::read_spec(Process& process, const uint8_t* payload, size_t size, int memfd) {
    struct stat info = {};
    if (memfd >= 0 && (sys(SYS_fstat, memfd, &info) < 0 || info.st_size < 0))
        return "the launch spec's memfd cannot be read";
    const size_t spec_size = memfd >= 0 ? static_cast<size_t>(info.st_size) : size;
    if (spec_size > launch::spec_bytes_max) return "the launch spec has an impossible size";
    constexpr size_t offset = (sizeof(launch::Launch) + 15) & ~size_t{15};
    const long mapped = sys(SYS_mmap, nullptr, offset + spec_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped < 0 && mapped > -4096) return "there is no memory for the launch spec";
    process.memory = reinterpret_cast<char*>(mapped);
    process.memory_bytes = offset + spec_size;
    // The mapping is zero already; only what is not zero by default has to be written.
    process.launch = reinterpret_cast<launch::Launch*>(process.memory);
    process.launch->cwd = "/";
    process.launch->user = "";
    process.launch->stop_signal = SIGTERM;
    process.launch->shm_bytes = 64 << 20;
    char* bytes = process.memory + offset;
    if (memfd < 0) memcpy(bytes, payload, size);
    else if (sys(SYS_pread64, memfd, bytes, spec_size, 0) != static_cast<long>(spec_size))
        return "the launch spec's memfd cannot be read";
    const char* problem = launch::decode(bytes, spec_size, process.launch);
    if (problem == nullptr) memcpy(process.id.text, process.launch->id, strlen(process.launch->id));
    return problem;
}

void Shim::free_process(Process& process) {
    for (size_t part = 0; part < 2; ++part) close_output(process, part);
    close_input(process);
    if (process.memory != nullptr) sys(SYS_munmap, process.memory, process.memory_bytes);
    const size_t index = static_cast<size_t>(&process - processes_);
    sys(SYS_madvise, stacks_[index], sizeof stacks_[index], MADV_DONTNEED);
    memset(static_cast<void*>(&process), 0, sizeof process);
}

/// Done while the shim waits for its container. When it fails, the container's own child does it
/// all and says why it cannot.
void Shim::make_spare() {
    spare_start_.spare = &spare_;
    for (int& fd : spare_.namespaces) fd = -1;
    spare_.names = {{-1, -1, -1}, -1};
    spare_.shim = sys(SYS_getpid);
    spare_.stage = zygote_prepares;
    clone_args arguments = {};
    arguments.flags = CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID | spare_namespaces;
    // Entered later, and copied then.
    if (spare_.no_mounts >= 0) arguments.flags &= ~uint64_t{CLONE_NEWNS};
    arguments.child_tid = reinterpret_cast<uint64_t>(&spare_.stage);
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<uint64_t>(stacks_[processes_max]);
    arguments.stack_size = child_stack_bytes;
    const long pid = clone_sharing_memory(arguments, spare_child, &spare_start_);
    if (pid > 0) spare_pid_ = static_cast<int>(pid);
    else spare_.stage = zygote_gone;
}

/// The spare if this container can use it. Waiting for one that is being made is never slower than
/// making everything again.
Spare* Shim::take_spare() {
    const launch::Launch& spec = *container().launch;
    const bool made = await_change(spare_, zygote_prepares) == zygote_waits;
    const bool fits = !is_mapped(&spec) && (spec.namespaces & spare_namespaces) == spare_namespaces;
    // A kernel that mounts the overlay by path needs the host's mounts for it.
    const bool detached =
        spec.rootfs != nullptr || (spare_.detached_overlay && fits_open_overlay(spec));
    return made && fits && detached ? &spare_ : nullptr;
}

/// The host's mounts are out of a zygote's sight, and its groups have to be the container's.
bool Shim::zygote_fits() {
    const launch::Launch& spec = *container().launch;
    size_t groups = 0;
    for (size_t i = 0; i < spare_.group_count; ++i) groups += spare_.groups[2 * i][0] != 0;
    return container().start.spare != nullptr && spec.has(launch::flag_spare_groups) &&
           groups == spec.cgroup_count &&
           spec.mount_count == 0 && spec.rootfs == nullptr && spec.join_count == 0 &&
           spec.netns == nullptr;
}

void Shim::dismiss_zygote() {
    if (await_change(spare_, zygote_prepares) == zygote_waits) tell_stage(spare_, zygote_dismissed);
}

/// It ends when it has forked or was dismissed; only then its stack, its place in the groups and
/// the descriptors that it shares are free.
void Shim::reap_zygote() {
    if (spare_pid_ > 0) sys(SYS_wait4, spare_pid_, nullptr, 0, nullptr);
    spare_pid_ = 0;
}

/// The container's child has its own copies by now; it is still reading the numbers, so they stay.
/// The mount namespace is held: who is the last to leave it unmounts what is in it.
void Shim::drop_spare() {
    dismiss_zygote();
    reap_zygote();
    // A zygote that came to its end early has left them in the table that both share.
    close_fd(spare_.own);
    close_fd(spare_.no_mounts);
    holds_mounts_ = container().start.spare != nullptr;
    mounts_fd_ = spare_.namespaces[0];
    for (int fd : spare_.namespaces)
        if (fd >= 0 && !(holds_mounts_ && fd == mounts_fd_)) sys(SYS_close, fd);
    close_name_files(spare_.names);
    sys(SYS_madvise, stacks_[processes_max], child_stack_bytes, MADV_DONTNEED);
}

/// 0 or a negative errno.
long Shim::open_streams(Process& process) {
    Start& start = process.start;
    long result = 0;
    for (size_t part = 0; part < 2 && result == 0; ++part) {
        result = make_pipe(&process.output_fd[part], &start.stdio[part + 1], true);
        process.output_open[part] = start.stdio[part + 1] >= 0;
    }
    if (result == 0 && process.launch->has(launch::flag_open_stdin)) {
        result = make_pipe(&process.input_fd, &start.stdio[0], false);
        process.input_open = start.stdio[0] >= 0;
    }
    for (int fd : start.stdio) give_stream(*start.container, fd);
    return result;
}

/// The namespace that the next children are born into. False: nobody can enter it.
bool Shim::join_pid_namespace(const launch::Launch& spec, Sentence* error) {
    for (uint32_t i = 0; i < spec.join_count; ++i) {
        if (launch::namespace_flag(spec.joins[i].first) != CLONE_NEWPID) continue;
        const char* path = spec.joins[i].second;
        int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
        const long result = fd < 0 ? fd : sys(SYS_setns, fd, CLONE_NEWPID);
        close_fd(fd);
        if (result < 0) return refuse(error, "join the namespace", path, result);
        in_pid_namespace_ = true;
    }
    return true;
}

/// Makes the streams and the child; one of the zygote is on its way then, and finish_fork comes
/// next. Without `streams` the child's are /dev/null. False: nothing is left behind.
bool Shim::spawn(Process& process, bool streams, Sentence* error) {
    const size_t index = static_cast<size_t>(&process - processes_);
    const launch::Launch& confinement = *container().launch;
    Start& start = process.start;
    start.process = process.launch;
    start.container = &confinement;
    start.is_exec = process.is_exec;
    start.spare = process.is_exec ? nullptr : take_spare();
    start.of_zygote = !process.is_exec && zygote_fits();
    start.container_pidfd = container_pidfd_;
    start.oom_score_adj = own_oom_score_;
    for (int& fd : start.stdio) fd = -1;
    int pair[2];
    start.entered = start.kernel_finished = false;
    start.user_fd = start.owned[0] = start.owned[1] = start.owned[2] = -1;
    const bool mapped = is_mapped(&confinement);
    if (!start.of_zygote) dismiss_zygote();
    if (mapped && !process.is_exec && !make_user_namespace(start, error)) return false;
    if (!process.is_exec && !join_pid_namespace(confinement, error)) return false;
    long result = sys(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    if (result < 0) return refuse(error, "make", "the report socket", result);
    start.report_fd = pair[1];
    process.report_fd = pair[0];
    if (streams && !process.tty()) result = open_streams(process);
    process.input_expected = process.tty();
    unsigned namespaces =
        process.is_exec ? 0 : confinement.namespaces & ~static_cast<unsigned>(CLONE_NEWCGROUP);
    if (start.spare != nullptr) namespaces &= ~spare_namespaces;
    if (mapped) namespaces &= ~unsigned{CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS};
    group_fd_ = start.cgroup_trees[launch::cgroups_max] = -1;
    if (result == 0 && confinement.cgroup_v2 != nullptr)
        result = group_fd_ = static_cast<int>(
            sys(SYS_openat, AT_FDCWD, confinement.cgroup_v2, O_PATH | O_DIRECTORY | O_CLOEXEC));
    // Without it the child makes the view itself, and can say what is wrong.
    if (start.of_zygote && group_fd_ >= 0) {
        start.cgroup_trees[launch::cgroups_max] = open_group(confinement.cgroup_v2);
        start.of_zygote = start.cgroup_trees[launch::cgroups_max] >= 0;
        if (!start.of_zygote) dismiss_zygote();
    }
    fork_ = {};
    fork_.flags = CLONE_VM | CLONE_PIDFD | namespaces | (group_fd_ >= 0 ? CLONE_INTO_CGROUP : 0);
    fork_.pidfd = reinterpret_cast<uint64_t>(&forked_pidfd_);
    fork_.exit_signal = SIGCHLD;
    fork_.stack = reinterpret_cast<uint64_t>(stacks_[index]);
    fork_.stack_size = child_stack_bytes;
    fork_.cgroup = static_cast<uint64_t>(group_fd_);
    if (result >= 0 && start.of_zygote) return begin_fork(start);
    if (result >= 0)
        result = clone_sharing_memory(fork_, process.is_exec ? exec_child : container_child,
                                      &start);
    return forked(process, result, error);
}

/// The child is the shim's, not the zygote's.
bool Shim::begin_fork(Start& start) {
    fork_.flags |= CLONE_PARENT | CLONE_PARENT_SETTID;
    fork_.exit_signal = 0;
    fork_.parent_tid = reinterpret_cast<uint64_t>(&spare_.forked);
    spare_.fork = &fork_;
    spare_.child = &start;
    spare_.forked = -ECHILD;
    tell_stage(spare_, zygote_forks);
    return true;
}

/// A zygote that could not, or was killed: the child goes the long way. A limit of one process is a
/// reason. One that has forked may still be about to end.
bool Shim::finish_fork(Process& process, Sentence* error) {
    Start& start = process.start;
    if (__atomic_load_n(&spare_.forked, __ATOMIC_ACQUIRE) < 0) reap_zygote();
    long result = spare_.forked;
    // Here, too, the number stays: the child may still have to read it.
    const int tree = start.cgroup_trees[launch::cgroups_max];
    if (tree >= 0) sys(SYS_close, tree);
    if (result < 0) {
        start.of_zygote = false;
        fork_.flags &= ~static_cast<uint64_t>(CLONE_PARENT | CLONE_PARENT_SETTID);
        fork_.exit_signal = SIGCHLD;
        result = clone_sharing_memory(fork_, container_child, &start);
    }
    return forked(process, result, error);
}

/// What clone3 answered. False: nothing is left behind.
bool Shim::forked(Process& process, long result, Sentence* error) {
    Start& start = process.start;
    close_fd(group_fd_);
    // The child reads its Start while this goes on, so the numbers in it stay.
    sys(SYS_close, start.report_fd);
    for (int fd : start.stdio)
        if (fd >= 0) sys(SYS_close, fd);
    if (is_mapped(start.container)) drop_user_namespace(start);
    if (result < 0) {
        close_fd(process.report_fd);
        return refuse(error, "clone", "the container's process", result);
    }
    process.pid = static_cast<int>(result);
    process.state = ShimState::starting;
    starting_ += 1;
    if (process.is_exec) {
        close_fd(forked_pidfd_);
    } else {
        container_pidfd_ = forked_pidfd_;
        holds_pidfd_ = true;
    }
    return true;
}

/// The socket by which a restarted noded finds this shim, and the log. Done while the child is
/// already at work.
bool Shim::open_runtime(Sentence* error) {
    const launch::Launch& spec = *container().launch;
    long result = sys(SYS_chdir, spec.runtime);
    if (result < 0) return refuse(error, "enter the runtime folder", spec.runtime, result);
    sockaddr_un address = {AF_UNIX, {}};
    memcpy(address.sun_path, shim_socket_name, sizeof shim_socket_name);
    sys(SYS_unlinkat, AT_FDCWD, shim_socket_name, 0);
    listener_fd_ = static_cast<int>(
        sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    result =
        listener_fd_ < 0 ? listener_fd_ : sys(SYS_bind, listener_fd_, &address, sizeof address);
    if (result == 0) result = sys(SYS_listen, listener_fd_, 8);
    if (result < 0) return refuse(error, "listen on shim.sock in", spec.runtime, result);
    listening_ = true;
    watch(listener_fd_, Source::listener, 0, 0, EPOLLIN);
    return open_log(spec.log, error);
}

/// The overlay takes the kernel as long as the child takes for its mounts, so it is made meanwhile.
/// A kernel that cannot make it detached leaves it to the child: a byte without it.
bool Shim::give_rootfs(Process& process, Sentence* error) {
    const launch::Launch& spec = *process.launch;
    long rootfs = -EINVAL;
    if (spec.rootfs == nullptr && !is_mapped(&spec)) rootfs = open_overlay(spec);
    holds_rootfs_ = rootfs >= 0;
    rootfs_fd_ = static_cast<int>(rootfs);
    // What is the host's is given back at once.
    drops_rootfs_late_ = spec.has(launch::flag_volatile_rootfs) && spec.mount_count == 0;
    if (process.start.of_zygote && !finish_fork(process, error)) return false;
    if (!process.start.of_zygote) reap_zygote();  // before the container's limits count
    if (spec.rootfs != nullptr) return true;
    if (rootfs < 0 && (rootfs != -EINVAL || process.start.spare != nullptr))
        return refuse(error, "mount overlay on", spec.upper != nullptr ? spec.upper : "its layers",
                      rootfs);
    const long sent = send_descriptor(process.report_fd, holds_rootfs_ ? rootfs_fd_ : -1);
    // Beside the work of a child that will wait for it.
    reap_zygote();
    tell_reaped(spare_);
    // A child that is gone already says why itself.
    return sent >= 0 || sent == -EPIPE || refuse(error, "hand over", "the rootfs", sent);
}

void Shim::launch(uint64_t tag, uint32_t flags, const uint8_t* payload, size_t size, int memfd,
                  int attach_fd) {
    Process& process = container();
    Sentence error;
    process.tag = tag;
    const char* problem = read_spec(process, payload, size, memfd);
    if (problem == nullptr) problem = launch::check_container(*process.launch);
    if (problem != nullptr) {
        close_fd(attach_fd);
        return start_failed(0, 125, problem);
    }
    const bool rooted = spawn(process, true, &error) && give_rootfs(process, &error);
    // Also when there is no child: a failed start has its record, and its noded may come back for
    // it.
    Sentence runtime_error;
    const bool ready = open_runtime(&runtime_error) && rooted;
    if (error.empty()) error = runtime_error;
    if (attach_fd >= 0) add_client(0, attach_fd, flags);
    drop_spare();
    if (!ready) {
        if (process.pid > 0) sys(SYS_kill, process.pid, SIGKILL);
        return start_failed(0, 125, error.view());
    }
    watch(process.report_fd, Source::report, 0, 0, EPOLLIN);
    watch_outputs(0, true);
}

void Shim::exec(Connection& from, uint64_t tag, uint32_t flags, const uint8_t* payload, size_t size,
                int memfd, int attach_fd) {
    const bool running = container().state == ShimState::running;
    const size_t index = running ? free_place() : 0;
    if (index == 0) {
        close_fd(attach_fd);
        return running
                   ? answer(from, tag, EUSERS, "exec: too many execs are running in this container")
                   : answer(from, tag, ESRCH, "exec: the container is not running");
    }
    Process& process = processes_[index];
    Sentence error;
    const char* problem = read_spec(process, payload, size, memfd);
    if (problem == nullptr && find(process.id) != nullptr) problem = "exec: the exec id is taken";
    if (problem != nullptr) {
        close_fd(attach_fd);
        free_process(process);
        return answer(from, tag, EINVAL, problem);
    }
    process.used = true;
    process.is_exec = true;
    process.tag = tag;
    if (attach_fd >= 0) add_client(index, attach_fd, flags);
    if (!in_pid_namespace_) {
        const long result = sys(SYS_setns, container_pidfd_, CLONE_NEWPID);
        if (result < 0) {
            refuse(&error, "enter", "the container's PID namespace", result);
            return start_failed(index, 125, error.view());
        }
        in_pid_namespace_ = true;
    }
    if (!spawn(process, attach_fd >= 0 || process.tty(), &error))
        return start_failed(index, 125, error.view());
    watch(process.report_fd, Source::report, index, 0, EPOLLIN);
    watch_outputs(index, true);
}

/// A byte brings the terminal; the end of the stream means that the child has executed its command
/// or given up.
void Shim::on_report(size_t index) {
    Process& process = processes_[index];
    while (process.used && process.state == ShimState::starting) {
        int master;
        const long size = receive_descriptor(process.report_fd, MSG_DONTWAIT, &master);
        if (size == -EAGAIN || size == -EINTR) return;
        if (size <= 0) return start_done(index);
        if (master >= 0) take_terminal(index, master);
    }
}

void Shim::take_terminal(size_t index, int master) {
    Process& process = processes_[index];
    process.output_fd[0] = master;
    process.output_open[0] = true;
    // A second descriptor, so that reading and writing are watched apart.
    process.input_fd = static_cast<int>(sys(SYS_fcntl, master, F_DUPFD_CLOEXEC, 0));
    process.input_open = process.input_fd >= 0;
    process.input_expected = false;
    watch_outputs(index, true);
    on_input_writable(index);
}

void Shim::start_done(size_t index) {
    Process& process = processes_[index];
    if (process.start.code != 0)
        return start_failed(index, process.start.code, process.start.message.view());
    if (!process.start.executing)
        return start_failed(index, 125, "the container was killed while it was being made");
    unwatch(process.report_fd);
    close_fd(process.report_fd);
    starting_ -= 1;
    process.input_expected = false;
    process.state = ShimState::running;
    process.started = {process.pid, 0, wall_clock_ns(), log_.begin};
    if (process.is_exec) {
        const ExecReply reply = exec_reply(process);
        send_to_all(ControlType::exec_started, process.tag, &reply, sizeof reply, "");
    } else {
        send_to_all(ControlType::started, process.tag, &process.started, sizeof process.started,
                    process.start.warnings.view());
    }
    // The child wrote its own score while it shared this memory, and the kernel then counts both as
    // one.
    if (starting_ == 0 && container().launch->oom_score_adj != own_oom_score_) lower_oom_score();
    sys(SYS_madvise, stacks_[index], sizeof stacks_[index], MADV_DONTNEED);
}

/// Also for a process that has no child yet. The news comes after the child is gone, so that
/// nothing of it is left.
void Shim::start_failed(size_t index, int code, std::string_view sentence) {
    Process& process = processes_[index];
    if (process.state == ShimState::starting) {
        if (!process.reaped) sys(SYS_wait4, process.pid, nullptr, 0, nullptr);
        unwatch(process.report_fd);
        close_fd(process.report_fd);
        starting_ -= 1;
    }
    if (process.start.message.view() != sentence) {
        process.start.message.clear();
        process.start.message.add(sentence);
    }
    process.reaped = true;
    process.input_expected = false;
    process.state = ShimState::start_failed;
    process.exit = {code, 0, 0, 0, wall_clock_ns()};
    for (size_t part = 0; part < 2; ++part) close_output(process, part);
    close_input(process);
    if (process.is_exec) {
        const ExecReply reply = exec_reply(process);
        process.reported = send_to_all(ControlType::exec_failed, process.tag, &reply, sizeof reply,
                                       process.start.message.view());
        pump_clients(index);
    } else {
        container_ended();
    }
    on_input_writable(index);  // whoever waited for a terminal waits in vain
}

void Shim::reap() {
    for (;;) {
        int status;
        const long pid = sys(SYS_wait4, -1, &status, WNOHANG, nullptr);
        if (pid <= 0) return;
        if (pid == spare_pid_) spare_pid_ = 0;
        for (size_t i = 0; i < processes_max; ++i) {
            Process& process = processes_[i];
            if (!process.used || process.pid != pid || process.reaped) continue;
            process.reaped = true;
            if (process.state == ShimState::starting) on_report(i);
            if (process.state == ShimState::running) ended(i, status);
        }
    }
}

void Shim::ended(size_t index, int status) {
    Process& process = processes_[index];
    const bool killed = WIFSIGNALED(status);
    process.state = ShimState::exited;
    process.exit = {killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                    killed ? WTERMSIG(status) : 0, 0, 0, wall_clock_ns()};
    if (process.is_exec) {
        const ExecReply reply = exec_reply(process);
        process.reported = send_to_all(ControlType::exec_exited, 0, &reply, sizeof reply, "");
        pump_clients(index);
    } else {
        process.exit.oom = process.exit.signal == SIGKILL && out_of_memory() ? 1 : 0;
        drain_outputs(index);
        container_ended();
    }
    close_input(process);
}

/// Record first, then the news, and only then the work that nobody waits for.
void Shim::container_ended() {
    Process& process = container();
    if (listening_) write_exit_record();
    const bool failed = process.state == ShimState::start_failed;
    const bool heard = send_to_all(
        failed ? ControlType::start_failed : ControlType::exited, failed ? process.tag : 0,
        &process.exit, sizeof process.exit, failed ? process.start.message.view() : "");
    pump_clients(0);
    if (holds_pidfd_) close_fd(container_pidfd_);
    holds_pidfd_ = false;
    // With --rm they go at the release, which follows soon; without a noded it may never come.
    if (!drops_rootfs_late_ || !heard) drop_mounts();
}

void Shim::drop_mounts() {
    if (holds_mounts_) close_fd(mounts_fd_);
    if (holds_rootfs_) close_fd(rootfs_fd_);
    holds_mounts_ = holds_rootfs_ = false;
}

void Shim::write_exit_record() {
    const Process& process = container();
    const bool failed = process.state == ShimState::start_failed;
    const std::string_view message = failed ? process.start.message.view() : std::string_view();
    ExitRecord record = {exit_record_magic,
                         exit_record_version,
                         process.state,
                         static_cast<uint32_t>(message.size()),
                         {},
                         process.started,
                         process.exit,
                         0};
    memcpy(record.id, process.id.text, sizeof record.id);
    record.checksum = exit_checksum(record, message.data());
    iovec parts[2] = {{&record, sizeof record},
                      {const_cast<char*>(message.data()), message.size()}};
    int fd = static_cast<int>(
        sys(SYS_openat, AT_FDCWD, "exit.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (fd < 0) return;
    const bool written =
        sys(SYS_writev, fd, parts, 2) == static_cast<long>(sizeof record + message.size()) &&
        sys(SYS_fsync, fd) == 0;
    close_fd(fd);
    // Without a record noded still hears of the exit from this shim; a torn record would be worse
    // than none.
    if (written) sys(SYS_renameat, AT_FDCWD, "exit.tmp", AT_FDCWD, exit_record_name);
    else sys(SYS_unlinkat, AT_FDCWD, "exit.tmp", 0);
}

bool Shim::out_of_memory() {
    const launch::Launch& spec = *container().launch;
    if (spec.cgroup_v2 != nullptr && counts_oom_kill(spec.cgroup_v2, "/memory.events")) return true;
    for (uint32_t i = 0; i < spec.cgroup_count; ++i)
        if (counts_oom_kill(spec.cgroups[i].first, "/memory.oom_control")) return true;
    return false;
}

ExecReply Shim::exec_reply(const Process& process) {
    return {process.id, process.state, process.pid, process.exit.code, process.exit.signal};
}

/// An exec's place is free again when noded knows its end, its client has everything, and nobody
/// holds its output open.
bool Shim::is_done(size_t index, bool even_with_output) {
    const Process& process = processes_[index];
    return process.used && process.ended() && process.reported &&
           client_of_exec(index) == nullptr &&
           (even_with_output || (!process.output_open[0] && !process.output_open[1]));
}

void Shim::tidy_execs() {
    for (size_t i = 1; i < processes_max; ++i)
        if (is_done(i, false)) free_process(processes_[i]);
}

/// A place for an exec, 0 when there is none. One that only serves what an exec left in the
/// background is given up for it.
size_t Shim::free_place() {
    for (size_t i = 1; i < processes_max; ++i)
        if (!processes_[i].used) return i;
    for (size_t i = 1; i < processes_max; ++i) {
        if (!is_done(i, true)) continue;
        free_process(processes_[i]);
        return i;
    }
    return 0;
}

}  // namespace noded::shim
