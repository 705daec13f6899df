// ZmtpSubscriber: a SUB socket of ZeroMQ on a unix socket, or on TCP with CURVE (curve.h), as much
// of the protocol as that needs.
//
// nodectl is one static program; the library would bring its thread and a dozen others. The
// protocol is ZMTP 3.0 (rfc.zeromq.org/spec/23): greeting, handshake, frames.
// Blocking.
// Called by `nodectl sub`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "tools/nodectl/curve.h"

namespace noded::nodectl {

class ZmtpSubscriber {
public:
    /// `endpoint` is "ipc://PATH".
    static Result<ZmtpSubscriber> connect(const std::string& endpoint);
    /// "tcp://HOST:PORT", with the public key of the node and the secret one of the subscriber.
    static Result<ZmtpSubscriber> connect(const std::string& endpoint, const CurveKey& server,
                                          const CurveKey& secret);

    /// All topics that begin with `prefix`, from now on.
    Status subscribe(std::string_view prefix);
    /// Whether something comes within that time.
    bool ready(int timeout_ms) const;
    /// The parts of the next message. An error with code ECONNRESET when the other side left.
    Result<std::vector<std::string>> receive();

private:
    struct Frame {
        bool more = false;
        bool command = false;
        std::string body;
    };

    explicit ZmtpSubscriber(Fd fd) : fd_(std::move(fd)) {}
    Status send(std::string_view bytes);
    Result<std::string> read(size_t size);
    Result<Frame> read_frame();
    Status greet();
    Status shake_hands();
    Status send_command(std::string_view body);
    Result<std::string> read_command();

    Fd fd_;
    std::optional<CurveClient> curve_;
    std::string buffer_;   ///< read, not taken yet
    size_t taken_ = 0;
};

}  // namespace noded::nodectl
