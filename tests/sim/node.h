// SimNode: one node: its disk and kernel, which survive, and the real log, host, plugins and
// pipeline, which a crash takes. Built as agent/main.cc builds them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/log/storage_mem.h"
#include "agent/snapshots.h"
#include "tests/sim/kernel.h"
#include "tests/sim/sim_reactor.h"

namespace noded::sim {

/// Thrown out of the storage when the power fails within a change, and on a failed sync, where the
/// real process aborts. Caught by SimNode alone.
struct ProcessEnds {};

/// What a canary breaks on purpose.
enum class Broken { nothing, fold, gate, outbox };

struct NodeOptions {
    KernelFaults kernel;
    int64_t sync_ns_max = 300'000;
    double slow_sync = 0;
    double sync_error = 0;
    double misdirected_write = 0;
    uint64_t segment_bytes = 1200 << 10;
    SnapshotOptions snapshots{.every_events = 200,
                              .bytes_per_event = 1 << 20,
                              .retention = {.bytes_max = 5 * (1200 << 10),
                                            .segment_bytes = 1200 << 10}};
    Broken broken = Broken::nothing;
};

class SimNode {
public:
    SimNode(World& world, std::string name, const NodeOptions& options);
    ~SimNode();

    bool up() const { return running_ != nullptr; }
    /// Recovers, replays, reconciles. The node stays down, with a sentence in `refusal`, if its log
    /// is refused.
    void start();
    /// noded is killed, or the power fails.
    void crash(bool power);

    int64_t next_ns() const;
    void advance();
    void scan();

    /// The answer comes when the pipeline gives it; never if the node crashes first.
    void submit(core::Command command, core::ReplyTo to);
    void call(const std::string& plugin, uint16_t method, Bytes params, Fd fd,
              host::CallDone done);
    /// At the next change of the disk from now on the power fails, after `changes` more.
    void fail_power_after(uint32_t changes) { changes_left_ = changes; }

    /// The state equals what a fresh node folds from the durable log, and from the snapshot.
    void check_refold();
    void check_at_rest();

    const std::string& name() const { return name_; }
    /// The log was damaged on purpose: it may be refused from now on.
    bool damaged = false;
    std::string refusal;
    int64_t realtime_offset_ns = 0;
    History history;
    Kernel kernel;
    log::MemStorage storage;
    uint64_t restarts = 0;
    uint64_t disk_hash();

private:
    struct Running;
    Status recover();
    void guarded(const std::function<void()>& run);
    void sync_next();
    void check_plugins() const;
    void catch_up_subscriber();

    World& world_;
    const std::string name_;
    const NodeOptions options_;
    std::optional<uint32_t> changes_left_;
    int64_t storage_due_ns_ = INT64_MAX;
    int64_t kernel_due_ns_ = INT64_MAX;
    std::unique_ptr<Running> running_;
};

}  // namespace noded::sim
