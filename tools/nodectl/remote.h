// A noded on another machine: tcp://HOST:PORT with TLS, where `nodectl serve` listens, or
// ssh://[USER@]HOST, where nodectl is installed. What carries is ipc/remote; TLS is in a program of
// its own (tls.h). Called by Session, and by verbs that run on the node instead.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "ipc/remote/tls_files.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

/// Where a --host leads to another machine.
bool is_remote(const std::string& host);

/// "ssh://[USER@]HOST[:PORT][/PATH]" as the command line that ends in the node's side of a tunnel;
/// PATH is that of noded's socket.
Result<std::vector<std::string>> ssh_command(const std::string& host);

/// A stream socket that is as good as one that is connected to the noded there. A process of its
/// own carries, until the socket and all streams that went through it are closed.
Result<Fd> connect_remote(const std::string& host, const remote::TlsFiles& files);

/// Runs the verb there, with these words behind it, and ends as it does; `input`, if it is valid,
/// is its standard input. For what needs the node's files.
int run_there(Invocation& call, const std::vector<std::string>& words, Fd input = {});

/// What NODECTL_HOST says, else this machine's socket.
std::string default_host();

/// The files of this user, and of the node, where nothing else is said.
remote::TlsFiles user_tls_files();
remote::TlsFiles node_tls_files();

}  // namespace noded::nodectl
