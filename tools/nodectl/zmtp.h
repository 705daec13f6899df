// ZmtpSubscriber: a SUB socket of ZeroMQ on a unix socket, as much of the protocol as that needs.
//
// nodectl is one static program; the library would bring its thread and a dozen others. The
// protocol is ZMTP 3.0 (rfc.zeromq.org/spec/23) with the mechanism NULL: greeting, READY, frames.
// Blocking.
// Called by `nodectl sub`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::nodectl {

class ZmtpSubscriber {
public:
    /// `endpoint` is "ipc://PATH".
    static Result<ZmtpSubscriber> connect(const std::string& endpoint);

    /// All topics that begin with `prefix`, from now on.
    Status subscribe(std::string_view prefix);
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

    Fd fd_;
    std::string buffer_;   ///< read, not taken yet
    size_t taken_ = 0;
};

}  // namespace noded::nodectl
