// TCP between machines, before any TLS: how an address is written, connecting and listening.
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "ipc/remote/link.h"

namespace noded::remote {

struct TcpAddress {
    std::string host;   ///< a name or an address, without brackets
    std::string port;
};

/// "tcp://HOST:PORT", "tcp://[ADDRESS]:PORT"; without a port it is `port_default`.
Result<TcpAddress> parse_tcp(const std::string& text, const std::string& port_default);

/// So that a peer whose machine is gone is noticed within two minutes; and nothing waits for more.
void keep_alive(int fd);

/// Tries all addresses that the name has.
Result<Fd> connect_tcp(const TcpAddress& address, Deadline deadline);
/// Listens on the first address that the name has.
Result<Fd> listen_tcp(const TcpAddress& address, int backlog);

}  // namespace noded::remote
