// SimNode: one node: its disk and kernel, which survive, and the real log, host, plugins and
// pipeline, which a crash takes. Built as agent/main.cc builds them.
#pragma once

#include <memory>
#include <optional>
#include <set>
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
enum class Broken { nothing, fold, gate, memory, outbox, archive };

struct NodeOptions {
    KernelFaults kernel;
    int64_t sync_ns_max = 300'000;
    double slow_sync = 0;
    double sync_error = 0;
    double misdirected_write = 0;
    /// At a change of the disk while an archive or a snapshot is being made; and of what it writes.
    double power_within_archive = 0, misdirected_archive = 0;
    double power_within_snapshot = 0, misdirected_snapshot = 0;
    double power_within_release = 0;   ///< at a change of the disk that does not know of one yet
    bool keeps_all = false;   ///< nothing may ever go: the history begins with seq 1
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
    /// What the log tells, through archives, is what was durable; also to who reads beside it.
    void check_history();
    /// Flips a bit of an archive, if there is one. It may not be read any more; all else may.
    void rot_an_archive();

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
    size_t archives();

private:
    struct Running;
    Status recover();
    void guarded(const std::function<void()>& run);
    void sync_next();
    std::optional<std::string> in_the_making();
    void change_begins();
    void change_begins_within(const std::string& what, double power, double misdirected);
    std::optional<uint64_t> behind_rot(const std::string& message) const;
    Status read_history(log::Log& log, uint64_t first, const log::EachRecord& each,
                        const std::function<void(uint64_t)>& gap);
    void check_plugins() const;
    void tell_log();
    void catch_up_subscriber();

    World& world_;
    const std::string name_;
    const NodeOptions options_;
    std::optional<uint32_t> changes_left_;
    std::set<std::string> rotten_;   ///< archives
    int64_t storage_due_ns_ = INT64_MAX;
    int64_t kernel_due_ns_ = INT64_MAX;
    std::unique_ptr<Running> running_;
};

}  // namespace noded::sim
