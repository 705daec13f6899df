// See sockets.h.
#include "plugins/container/noci/sockets.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace noded::noci {

Result<Fd> connect_stream(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail("the name of the socket " + path + " is empty or longer than 107 bytes");
    memcpy(address.sun_path, path.data(), path.size());
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.valid() ||
        connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "dial unix " + path);
    return socket;
}

Status send_with_descriptor(int socket, const std::string& text, int fd) {
    iovec part = {const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    if (sendmsg(socket, &message, MSG_NOSIGNAL) != ssize_t(text.size()))
        return fail_errno(errno, "send a descriptor");
    return {};
}

Status send_pidfd(const std::string& path, int pid) {
    const Fd socket = TRY(connect_stream(path));
    const Fd process(int(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid()) return fail_errno(errno, "open the process " + std::to_string(pid));
    return send_with_descriptor(socket.get(), "pidfd", process.get());
}

}  // namespace noded::noci
