// nodectl serve: the door of a node for nodectl on other machines, over TLS. A client of noded like
// others; what is behind the door is in door.cc, TLS in tls_here.cc.
#include "ipc/remote/tcp.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/tls.h"

namespace noded::nodectl {

int serve(Invocation& call) {
    remote::TlsFiles files = node_tls_files();
    const Option options[] = {
        {0, "tlscacert", &files.authority, "file",
         "Certificate of the authority of clients (default /etc/noded/tls/ca.pem)"},
        {0, "tlscert", &files.certificate, "file",
         "The node's certificate (default /etc/noded/tls/cert.pem)"},
        {0, "tlskey", &files.key, "file", "Its secret key (default /etc/noded/tls/key.pem)"},
    };
    if (const auto status = call.parse(options, {.max = 1})) return *status;
    std::string where = std::string("tcp://0.0.0.0:") + tcp_port;
    if (!call.arguments.empty()) where = call.arguments[0];
    if (call.session.elsewhere())
        return call.failed(Error{0, "serve is for the noded of this machine: leave --host away"});
    OR_FAIL(call, remote::parse_tcp(where, tcp_port));
    return OR_FAIL(call, serve_tls(where, files, call.session.host()));
}

}  // namespace noded::nodectl
