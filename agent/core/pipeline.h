// Pipeline: the path of every command, decide → append → sync → fold → reply → react → publish.
//
// Commands queue up while a batch is being synced; at the end of a reactor turn all that queued is
// decided, command after command against the provisionally folded state, appended and synced once.
// Nothing observable (reply, read answer, effect, publication) leaves before the sync completed. A
// failed sync aborts the process.
//
// Called by: the RPC service and the plugin host (submit, when_durable), the reactor (turn_end),
// the log (synced).
#pragma once

#include <functional>
#include <vector>

#include "agent/core/core.h"
#include "agent/core/domain.h"
#include "agent/log/log.h"

namespace noded::core {

class Pipeline final : public log::SyncDone {
public:
    Pipeline(Domain& domain, log::Log& log, Publisher& publisher)
        : domain_(domain), log_(log), publisher_(publisher), core_(domain) {}

    /// Queues a command. `to` is told once: from the reactor's turn, or at once when the queue is
    /// full. Proposals are always taken; the host bounds how many of each plugin wait.
    void submit(Command command, ReplyTo to);

    /// Runs `answer` when all that is folded now is durable: at once, or after the sync under way
    /// and what follows from it.
    void when_durable(std::move_only_function<void()> answer);

    /// Once per reactor turn: makes the queued commands one batch and starts its sync.
    void turn_end();

    /// No batch is under way: the folded state is the durable one.
    bool quiescent() const { return stage_ == Stage::idle; }
    bool has_work() const { return queued() > 0; }

    Core& core() { return core_; }

private:
    enum class Stage { idle, syncing, telling };

    struct Queued {
        Command command;
        ReplyTo to;
    };

    /// So many commands before its turn the core is told of one.
    static constexpr size_t kAhead = 8;
    size_t queued() const { return queue_.size() - taken_; }
    void decide_batch();
    bool has_room_in_batch() const;
    void refuse_for_lack_of_room(Queued next, const Error& error, std::vector<Queued>& waiting);
    void synced(Status status, uint64_t durable_seq) override;
    void reply();
    void react();
    void publish();

    Domain& domain_;
    log::Log& log_;
    Publisher& publisher_;
    Core core_;
    Stage stage_ = Stage::idle;
    std::vector<Queued> queue_;
    size_t taken_ = 0;   ///< of its beginning, by batches before
    Batch batch_;
    /// answers that may have seen provisional state
    std::vector<std::move_only_function<void()>> gated_;
};

}  // namespace noded::core
