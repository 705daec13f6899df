// The node's side of a connection from another machine: a client of noded that carries what goes
// through its socket, or runs a verb. Called in the process of the connection, by `nodectl serve`
// and `nodectl system dial-stdio`.
#pragma once

#include <chrono>
#include <string>

#include "agent/base/result.h"
#include "ipc/remote/link.h"

namespace noded::nodectl {

/// How long the other side may take to say who it is, and what it wants.
constexpr std::chrono::seconds handshake_seconds{10};

/// One connection, from its hello to its end; `host` is the noded of this machine.
Status serve_link(remote::Link& link, const std::string& host);

}  // namespace noded::nodectl
