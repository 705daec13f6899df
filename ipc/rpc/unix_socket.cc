// Unix stream sockets; see the header.
#include "ipc/rpc/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace noded::rpc {

namespace {

struct Address {
    sockaddr_un un{.sun_family = AF_UNIX};
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&un); }
};

Result<Address> address_of(const std::string& path) {
    Address address;
    if (path.empty() || path.size() >= sizeof address.un.sun_path) {
        return fail_errno(ENAMETOOLONG, "use unix:" + path + " as a socket: 1 to " +
                                            std::to_string(sizeof address.un.sun_path - 1) +
                                            " bytes are possible");
    }
    memcpy(address.un.sun_path, path.c_str(), path.size() + 1);
    return address;
}

Result<Fd> new_socket(int flags = 0) {
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!fd.valid()) return fail_errno(errno, "create a unix socket");
    return fd;
}

int connect_to(int fd, const Address& address) {
    int result = 0;
    do {
        result = connect(fd, address.get(), sizeof address.un);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? errno : 0;
}

// What is at `path` must be a socket without a listener, or nothing.
Status make_way(const std::string& path, const Address& address) {
    struct stat existing;
    if (lstat(path.c_str(), &existing) < 0) {
        if (errno == ENOENT) return {};
        return fail_errno(errno, "look at " + path);
    }
    if (!S_ISSOCK(existing.st_mode)) {
        return fail_errno(EEXIST, "listen on unix:" + path + ", which is not a socket");
    }
    // One that was killed listens until the kernel has taken its ring apart, just after its end.
    bool listens = true;
    for (int tries = 0; listens && tries < 100; ++tries) {
        if (tries > 0) usleep(10'000);
        const Fd probe = TRY(new_socket(SOCK_NONBLOCK));  // it may not accept any more
        const int error = connect_to(probe.get(), address);
        listens = error != ECONNREFUSED && error != ENOENT;
    }
    if (listens) {
        return fail_errno(EADDRINUSE, "listen on unix:" + path + ", where another process listens");
    }
    if (unlink(path.c_str()) < 0 && errno != ENOENT) {
        return fail_errno(errno, "remove the socket unix:" + path + ", which nobody listens on");
    }
    return {};
}

std::string advice(int error, const std::string& path) {
    switch (error) {
        case ENOENT:
        case ECONNREFUSED:
            return ": is noded running?";
        case EACCES: {
            struct stat socket;
            if (stat(path.c_str(), &socket) < 0) return ": a folder on the way may not be searched";
            return ": write permission on the socket is needed, and it is owned by uid " +
                   std::to_string(socket.st_uid) + " and gid " + std::to_string(socket.st_gid);
        }
        default:
            return "";
    }
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, mode_t mode, int backlog) {
    const Address address = TRY(address_of(path));
    TRY_STATUS(make_way(path, address));
    Fd fd = TRY(new_socket());
    // Before bind the mode only narrows (umask still applies), so the socket is never open too
    // wide.
    if (fchmod(fd.get(), mode) < 0) return fail_errno(errno, "set the mode of unix:" + path);
    if (bind(fd.get(), address.get(), sizeof address.un) < 0)
        return fail_errno(errno, "bind unix:" + path);
    if (chmod(path.c_str(), mode) < 0) return fail_errno(errno, "set the mode of unix:" + path);
    if (listen(fd.get(), backlog) < 0) return fail_errno(errno, "listen on unix:" + path);
    return fd;
}

Result<Fd> connect_unix(const std::string& path) {
    const Address address = TRY(address_of(path));
    Fd fd = TRY(new_socket());
    if (const int error = connect_to(fd.get(), address); error != 0) {
        auto failed = fail_errno(error, "connect to unix:" + path);
        failed.error().message += advice(error, path);
        return failed;
    }
    return fd;
}

Result<PeerCredentials> peer_of(int socket) {
    ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
        return fail_errno(errno, "ask who is at the other end of a socket");
    }
    return PeerCredentials{credentials.uid, credentials.gid, credentials.pid};
}

}  // namespace noded::rpc
