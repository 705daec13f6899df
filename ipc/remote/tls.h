// TLS for links between machines: both sides have a certificate of one authority, as docker's
// --tlsverify has it. A secret key that others can read is refused.
#pragma once

#include <memory>
#include <string>

#include "ipc/remote/link.h"
#include "ipc/remote/tls_files.h"

namespace noded::remote {

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

}  // namespace noded::remote
