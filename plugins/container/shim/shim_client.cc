// Sockets and packets of shim_client.h.
#include "plugins/container/shim/shim_client.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "plugins/container/shim/launch.h"

namespace noded {
namespace {

/// Where a shim looks for its control socket, and for a mount namespace with nothing in it.
constexpr int control_place = 3, no_mounts_place = 4;

/// What the child needs before its exec.
struct SpawnArguments {
    int program;
    int control;
    int no_mounts;
    char* const* argv;
    int error;
};

/// Runs in the parent's memory: system calls only. The table of descriptors is the parent's, too,
/// until the first of them has made it the child's own.
int spawn_child(void* parents) {
    auto& arguments = *static_cast<SpawnArguments*>(parents);
    char* environment[] = {nullptr};
    const unsigned above = unsigned(std::max({arguments.program, arguments.control,
                                              arguments.no_mounts})) + 1;
    const bool own = syscall(SYS_close_range, above, ~0u, CLOSE_RANGE_UNSHARE) == 0 ||
                     unshare(CLONE_FILES) == 0;
    if (own && arguments.no_mounts < 0) close(no_mounts_place);
    if (own && arguments.no_mounts >= 0) dup2(arguments.no_mounts, no_mounts_place);
    if (own && dup2(arguments.control, control_place) == control_place)
        syscall(SYS_execveat, arguments.program, "", arguments.argv, environment, AT_EMPTY_PATH);
    arguments.error = errno;
    _exit(127);
}

/// The parent waits until the child has executed its program or ended, and the child needs little.
pid_t fork_child(SpawnArguments& arguments, Fd& pidfd) {
    alignas(16) char stack[16384];
    int number = -1;
    const pid_t pid =
        clone(spawn_child, stack + sizeof stack,
              CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, &arguments, &number);
    if (pid >= 0) pidfd.reset(number);
    return pid;
}

/// A descriptor for /dev/null that is not where the shim looks for something.
Fd open_nothing() {
    const Fd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    return Fd(nothing.valid() ? fcntl(nothing.get(), F_DUPFD_CLOEXEC, no_mounts_place + 1) : -1);
}

/// In a mount namespace of its own, which it empties: what is left is a tmpfs without files, to
/// which nobody can write but a container with CAP_SYS_ADMIN that digs for it; of the host there is
/// nothing. Runs in the parent's memory and with its descriptors. Writes the namespace, or -1.
int leave_mounts(void* result) {
    int& no_mounts = *static_cast<int*>(result);
    no_mounts = -1;
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(1);
    const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    const int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    fsconfig(context, FSCONFIG_SET_STRING, "size", "4k", 0);
    fsconfig(context, FSCONFIG_SET_FLAG, "ro", nullptr, 0);
    fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
    const int root = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                           MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    const bool left = move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
                      fchdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
                      umount2(".", MNT_DETACH) == 0;
    close(context);
    close(root);
    if (left) no_mounts = own;
    else close(own);
    _exit(0);
}

/// To leave the host's mounts takes the kernel the longer the more threads the machine has: done
/// once, and each shim begins with a copy of nothing. Invalid where that is not possible.
Fd make_no_mounts() {
    int no_mounts = -1;
    alignas(16) char stack[16384];
    const pid_t pid = clone(leave_mounts, stack + sizeof stack,
                            CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWNS | SIGCHLD,
                            &no_mounts);
    if (pid > 0) waitpid(pid, nullptr, 0);
    return Fd(no_mounts);
}

/// The program on a read-only mount that is attached nowhere. A container can make its process run
/// it (a script whose interpreter is /proc/self/exe) and then reach the file; through this mount it
/// cannot be written.
Result<Fd> open_program(const std::string& path) {
    Fd program(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!program.valid()) return fail_errno(errno, "open " + path);
    mount_attr read_only = {};
    read_only.attr_set = MOUNT_ATTR_RDONLY;
    if (mount_setattr(program.get(), "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0)
        return fail_errno(errno, "make read-only " + path);
    return program;
}

/// Of the shim, as its shim_main() reads it. The strings stay the caller's.
std::vector<char*> argv_of(const SpareGroups& groups) {
    static char name[] = "noded-shim";
    std::vector<char*> argv = {name};
    for (const SpareGroup& group : groups) {
        argv.push_back(const_cast<char*>(group.folder.c_str()));
        argv.push_back(const_cast<char*>(group.name.c_str()));
    }
    argv.push_back(nullptr);
    return argv;
}

}  // namespace

ShimSpawner::ShimSpawner(bool empties_mounts)
    : nothing_(open_nothing()),
      control_(open_nothing()),
      program_(open_nothing()),
      no_mounts_(open_nothing()),
      emptied_(empties_mounts ? not_yet : never) {}

Result<SpawnedShim> ShimSpawner::spawn(const std::string& shim_path, const SpareGroups& groups) {
    if (!nothing_.valid() || !control_.valid() || !program_.valid() || !no_mounts_.valid())
        return fail("there were no descriptors for a shim when noded started: raise its limit of "
                    "open files");
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair for a shim");
    Fd ours(ends[0]);
    Fd theirs(ends[1]);
    Fd program = TRY(open_program(shim_path));
    if (emptied_ == not_yet) {
        const Fd made = make_no_mounts();
        const bool placed = made.valid() && dup3(made.get(), no_mounts_.get(), O_CLOEXEC) >= 0;
        emptied_ = placed ? is_there : never;
    }
    if (dup3(theirs.get(), control_.get(), O_CLOEXEC) < 0 ||
        dup3(program.get(), program_.get(), O_CLOEXEC) < 0)
        return fail_errno(errno, "place the descriptors of a shim");
    theirs.reset();
    program.reset();
    const std::vector<char*> argv = argv_of(groups);
    SpawnArguments arguments = {program_.get(), control_.get(),
                                emptied_ == is_there ? no_mounts_.get() : -1, argv.data(), 0};
    Fd pidfd;
    const pid_t pid = fork_child(arguments, pidfd);
    const int error = errno;
    // What the shim has is to be its alone: its end of the socket tells noded that it is gone.
    dup3(nothing_.get(), control_.get(), O_CLOEXEC);
    dup3(nothing_.get(), program_.get(), O_CLOEXEC);
    if (pid < 0) return fail_errno(error, "fork a shim");
    if (arguments.error != 0) {
        waitpid(pid, nullptr, 0);
        return fail_errno(arguments.error, "execute " + shim_path);
    }
    return SpawnedShim{std::move(ours), pid, std::move(pidfd)};
}

Result<Fd> connect_shim(const std::string& runtime_dir) {
    // A socket's path is limited to 108 bytes and a runtime folder's is not.
    const Fd folder(open(runtime_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return fail_errno(errno, "open " + runtime_dir);
    Fd socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_fd.valid()) return fail_errno(errno, "make a socket");
    sockaddr_un address = {AF_UNIX, {}};
    const std::string path =
        "/proc/self/fd/" + std::to_string(folder.get()) + "/" + shim_socket_name;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "connect to the shim of " + runtime_dir);
    return socket_fd;
}

Status send_control(int socket, ControlType type, uint32_t flags, uint64_t tag, Bytes payload,
                    const std::vector<int>& fds) {
    if (sizeof(ControlHeader) + payload.size() > control_packet_bytes_max)
        return fail("a packet to the shim is too large");
    if (fds.size() > control_fds_max) return fail("a packet to the shim has too many descriptors");
    ControlHeader header = {type, flags, tag};
    iovec parts[2] = {{&header, sizeof header},
                      {const_cast<uint8_t*>(payload.data()), payload.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * control_fds_max)] = {};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
        std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
    }
    if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return fail_errno(errno, "send to the shim");
    return {};
}

ExecId exec_id(std::string_view text) {
    ExecId id = {};
    text.copy(id.text, sizeof id.text - 1);
    return id;
}

Result<ShimExit> parse_exit_record(const std::string& path, std::string_view content) {
    ShimExit exit{};
    ExitRecord& record = exit.record;
    if (content.size() >= exit_record_plain_bytes)
        memcpy(&record, content.data(), std::min(content.size(), sizeof record));
    if (record.magic != exit_record_magic) return fail(path + " is not an exit record");
    const bool plain = record.version == exit_record_version_plain;
    if (!plain && record.version != exit_record_version)
        return fail(path + " has version " + std::to_string(record.version) +
                    ", this noded reads " + std::to_string(exit_record_version));
    const size_t size = plain ? exit_record_plain_bytes : sizeof record;
    if (content.size() < size || record.message_length != content.size() - size)
        return fail(path + " does not have the size that it says");
    exit.message = content.substr(size);
    if (!plain && record.checksum != exit_checksum(record, exit.message.data()))
        return fail("the checksum of " + path + " does not match");
    record.id[sizeof record.id - 1] = 0;
    return exit;
}

}  // namespace noded
