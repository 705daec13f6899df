// A child process of noded that writes a snapshot (replica.h), and how noded learns its end.
// Called by agent/snapshots.cc; on the reactor's thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/config.h"
#include "agent/past/child.h"
#include "agent/reactor/reactor.h"

namespace noded::past {

class SnapshotReplica {
public:
    /// How it ended: the size of the state that it wrote, or why it did not.
    using Done = std::function<void(Result<uint64_t>)>;

    SnapshotReplica(reactor::Reactor& reactor, const Config& config, Done done)
        : reactor_(reactor), config_(config), settings_(config), done_(std::move(done)) {}
    ~SnapshotReplica() { end(); }
    SnapshotReplica(const SnapshotReplica&) = delete;
    SnapshotReplica& operator=(const SnapshotReplica&) = delete;

    /// `bytes_max` is what log and snapshots may take now.
    Status start(uint64_t seq, const std::string& plugins, uint64_t bytes_max);
    bool running() const { return pid_ > 0; }
    /// Kills it and waits for its end; `done` is not told.
    void end();

private:
    /// Waits for the end of one child, and for nobody once that was ended here: the reactor holds
    /// it until its completion came, when the next child may run already.
    struct Watch final : reactor::Completion {
        SnapshotReplica* owner = nullptr;
        Fd pidfd;
        void complete(int32_t result, bool more) override;
    };
    void ended();

    reactor::Reactor& reactor_;
    const Config& config_;
    ChildSettings settings_;
    const Done done_;
    pid_t pid_ = 0;
    Watch* watch_ = nullptr;   ///< frees itself
    Fd output_;
};

}  // namespace noded::past
