// Which certificates TLS uses (tls.h), for those who only hand the names on.
#pragma once

#include <string>

namespace noded::remote {

/// Paths of PEM files.
struct TlsFiles {
    std::string authority;     ///< who signed the other side's certificate
    std::string certificate;   ///< this side's, with what is between it and the authority
    std::string key;           ///< secret
};

}  // namespace noded::remote
