// Readers: the children of noded that answer for the past (reader.h), a bounded number at once.
// Called by main for the RPC service; on the reactor's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/config.h"
#include "agent/log/log.h"
#include "agent/past/child.h"
#include "agent/reactor/reactor.h"
#include "agent/rpc/moment.h"

namespace noded::past {

/// As an argument of a reader.
std::string written_moment(const rpc_service::Moment& moment);

class Readers {
public:
    Readers(reactor::Reactor& reactor, const Config& config, const log::Log& log);
    ~Readers();

    /// Starts one; the client's end of its socket.
    Result<Fd> open(const rpc_service::Moment& moment);
    /// Ends them all; their clients see the end of the connection.
    void stop();

private:
    struct Reader;

    void ended(Reader& reader);

    reactor::Reactor& reactor_;
    ChildSettings settings_;
    const log::Log& log_;
    std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace noded::past
