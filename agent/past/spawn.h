// A child process of noded that writes a snapshot (replica.h), and how noded learns its end.
// Called by agent/snapshots.cc; on the reactor's thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/config.h"
#include "agent/reactor/reactor.h"

namespace noded::past {

class SnapshotReplica final : private reactor::Completion {
public:
    /// How it ended: the size of the state that it wrote, or why it did not.
    using Done = std::function<void(Result<uint64_t>)>;

    SnapshotReplica(reactor::Reactor& reactor, const Config& config, Done done)
        : reactor_(reactor), config_(config), done_(std::move(done)) {}
    ~SnapshotReplica() override { end(); }

    /// `bytes_max` is what log and snapshots may take now.
    Status start(uint64_t seq, const std::string& plugins, uint64_t bytes_max);
    bool running() const { return pid_ > 0; }
    /// Kills it and waits for its end; `done` is not told.
    void end();

private:
    void complete(int32_t result, bool more) override;

    reactor::Reactor& reactor_;
    const Config& config_;
    const Done done_;
    pid_t pid_ = 0;
    Fd pidfd_;
    Fd output_;
};

}  // namespace noded::past
