// Unix stream sockets: listening, connecting, and who is at the other end (unix(7)).
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::rpc {

/// Whoever called connect(2), as the kernel saw it at that moment.
struct PeerCredentials {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

/// Binds `path`, replacing a socket that nobody listens on any more, and gives it exactly `mode`.
/// An error with EADDRINUSE if somebody does listen.
Result<Fd> listen_unix(const std::string& path, mode_t mode, int backlog);

/// An error's message says what a person would do about it.
Result<Fd> connect_unix(const std::string& path);

Result<PeerCredentials> peer_of(int socket);

}  // namespace noded::rpc
