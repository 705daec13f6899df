// TLS for links between machines: both sides have a certificate of one authority, as docker's
// --tlsverify has it. A secret key that others can read is refused.
#pragma once

#include <memory>
#include <string>

#include "ipc/remote/link.h"

namespace noded::remote {

/// Paths of PEM files.
struct TlsFiles {
    std::string authority;     ///< who signed the other side's certificate
    std::string certificate;   ///< this side's, with what is between it and the authority
    std::string key;           ///< secret
};

/// The settings of one side; shared by its connections.
class TlsContext {
public:
    enum class Side { client, node };
    /// Reads the files; an error names the one that is wrong.
    static Result<TlsContext> make(Side side, const TlsFiles& files);
    TlsContext(TlsContext&&) noexcept;
    ~TlsContext();

    /// Shakes hands over a connected TCP socket. Of a node `host` is the name or address that its
    /// certificate must have; of a client it is not looked at.
    Result<std::unique_ptr<Link>> begin(Fd socket, const std::string& host,
                                        Deadline deadline) const;

private:
    struct Impl;
    explicit TlsContext(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Who is at the other end, from the certificate: "CN = alice". Only of links that begin() made.
std::string peer_name(const Link& link);

struct TcpAddress {
    std::string host;   ///< a name or an address, without brackets
    std::string port;
};

/// "tcp://HOST:PORT", "tcp://[ADDRESS]:PORT"; without a port it is `port_default`.
Result<TcpAddress> parse_tcp(const std::string& text, const std::string& port_default);

/// Tries all addresses that the name has.
Result<Fd> connect_tcp(const TcpAddress& address, Deadline deadline);
/// Listens on the first address that the name has.
Result<Fd> listen_tcp(const TcpAddress& address, int backlog);

}  // namespace noded::remote
