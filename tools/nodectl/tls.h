// TLS, of which nodectl has nothing: OpenSSL looks at the processor before main, and every command
// would wait for that. So there is a second program of the same verbs, nodectl-tls, which has it
// (tls_here.cc), and nodectl becomes that program where TLS is needed (tls_elsewhere.cc). A program
// links one of the two.
#pragma once

#include <memory>
#include <string>

#include "agent/base/result.h"
#include "ipc/remote/link.h"
#include "ipc/remote/tls_files.h"

namespace noded::nodectl {

/// Where no port is given.
constexpr const char* tcp_port = "9482";

/// Connects to "tcp://HOST[:PORT]", where `nodectl serve` listens, and shakes hands.
///
/// In nodectl this and the next one begin the same command line again, in nodectl-tls, and come
/// back only with an error: nothing may have been read or said before.
Result<std::unique_ptr<remote::Link>> dial_tls(const std::string& host,
                                               const remote::TlsFiles& files,
                                               remote::Deadline deadline);

/// Listens on "tcp://ADDRESS[:PORT]", each client in a process of its own, until a signal ends it;
/// `host` is the noded of this machine. The exit status.
Result<int> serve_tls(const std::string& where, const remote::TlsFiles& files,
                      const std::string& host);

}  // namespace noded::nodectl
