// DescriptorReceiver: a stream socket at a path, where a program connects and sends one descriptor
// with some bytes beside it. For tests of who is sent what.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <utility>

#include "agent/base/fd.h"

namespace noded::test {

class DescriptorReceiver {
public:
    /// False: nobody can connect there.
    bool listen_at(const std::string& path) {
        socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        return bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                   0 &&
               listen(socket_.get(), 1) == 0;
    }
    /// Readable once somebody has connected.
    int fd() const { return socket_.get(); }

    struct Received {
        std::string bytes;
        Fd fd;  ///< none: nothing came, or it came alone
    };
    /// From the next who connects, for whom it waits.
    Received receive() {
        const Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        char bytes[8192];
        iovec part = {bytes, sizeof bytes};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t size = recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
        const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
        if (rights == nullptr) return {};
        int fd = -1;
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
        return {std::string(bytes, size_t(size)), Fd(fd)};
    }

private:
    Fd socket_;
};

}  // namespace noded::test
