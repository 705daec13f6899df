// Unix sockets of others that noci hands descriptors to: console sockets, pidfd sockets, seccomp
// agents.
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::noci {

Result<Fd> connect_stream(const std::string& path);
Status send_with_descriptor(int socket, const std::string& text, int fd);
/// The descriptor of a process, to who listens there.
Status send_pidfd(const std::string& path, int pid);

}  // namespace noded::noci
