// See init_process.h.
#include "plugins/container/noci/init_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace noded::noci {
namespace {

constexpr uint8_t kInit[] = {
#include "plugins/container/noci/init/init_bytes.inc"
};

/// Sealed: a process of the container that executes /proc/self/exe gets a file that cannot change.
Result<Fd> make_program(int lowest_fd) {
    constexpr unsigned executable = 0x10;  // MFD_EXEC, of Linux 6.3
    Fd file(memfd_create("noci-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | executable));
    if (!file.valid()) file.reset(memfd_create("noci-init", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid()) return fail_errno(errno, "make a memfd for the container's first process");
    if (write(file.get(), kInit, sizeof kInit) != ssize_t(sizeof kInit) ||
        fcntl(file.get(), F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return fail_errno(errno, "fill the memfd of the container's first process");
    return lift(std::move(file), lowest_fd);
}

Result<Fd> make_plan(const Buffer& plan, int lowest_fd) {
    Fd file(memfd_create("noci-plan", MFD_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "make a memfd for the plan");
    for (size_t at = 0; at < plan.size();) {
        const ssize_t count = write(file.get(), plan.data() + at, plan.size() - at);
        if (count < 0) return fail_errno(errno, "write the plan");
        at += size_t(count);
    }
    return lift(std::move(file), lowest_fd);
}

}  // namespace

Result<Fd> lift(Fd fd, int lowest_fd) {
    if (fd.get() >= lowest_fd) return fd;
    Fd high(fcntl(fd.get(), F_DUPFD_CLOEXEC, lowest_fd));
    if (!high.valid()) return fail_errno(errno, "move a descriptor");
    return high;
}

Result<SyncPair> make_sync(int lowest_fd) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    Fd ours(ends[0]);
    Fd theirs(ends[1]);
    return SyncPair{std::move(ours), TRY(lift(std::move(theirs), lowest_fd))};
}

Result<int> spawn_init(const Buffer& plan, const std::vector<int>& passed, int lowest_fd) {
    const Fd program = TRY(make_program(lowest_fd));
    const Fd plan_file = TRY(make_plan(plan, lowest_fd));
    const std::string number = std::to_string(plan_file.get());
    const char* arguments[] = {"noci", "init", number.c_str(), nullptr};
    const char* environment[] = {nullptr};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = vfork();
    if (pid == 0) {
        (void)fcntl(plan_file.get(), F_SETFD, 0);
        for (const int fd : passed)
            if (fd >= 0) (void)fcntl(fd, F_SETFD, 0);
        syscall(SYS_execveat, program.get(), "", arguments, environment, AT_EMPTY_PATH);
        _exit(125);
    }
    const int error = errno;
    sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return fail_errno(error, "start the container's first process");
    return pid;
}

Result<Heard> hear(int socket) {
    Packet packet{};
    char text[4096];
    iovec parts[2] = {{&packet, sizeof packet}, {text, sizeof text}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t size;
    do {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    Heard heard;
    if (size < 0 && errno != ECONNRESET)
        return fail_errno(errno, "hear from the container's first process");
    if (size < ssize_t(sizeof packet)) {
        heard.end = true;
        return heard;
    }
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
        int fd;
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
        heard.fd.reset(fd);
    }
    heard.say = packet.say;
    heard.number = packet.number;
    heard.text.assign(text, size_t(size) - sizeof packet);
    return heard;
}

Status say_go(int socket, int passed_fd) {
    Packet packet = {Say::go, 0};
    iovec part = {&packet, sizeof packet};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof passed_fd)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (passed_fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof passed_fd);
        memcpy(CMSG_DATA(rights), &passed_fd, sizeof passed_fd);
    }
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        return fail_errno(errno, "speak to the container's first process");
    return {};
}

}  // namespace noded::noci
