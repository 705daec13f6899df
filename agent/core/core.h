// Core: the pure step. Command × state → events, folded provisionally, into the batch that is being
// made up.
//
// Owns the batch and the memory of command ids; no clock, no descriptor, no randomness. The
// pipeline drives it: step each queued command, append and sync the batch's events, then tell the
// batch's replies and clear it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/core/domain.h"
#include "agent/core/known_commands.h"

namespace noded::core {

/// Why a command whose id is all zeros is refused.
inline constexpr char kNoCommandId[] =
    "a command id of zeros stands for no command; mint 32 random bytes for each";

/// Memory of one batch: pointers stay valid until clear(), which keeps the first block.
class Arena {
public:
    Bytes copy(Bytes from);
    void clear();

private:
    static constexpr size_t kBlockBytes = 256 * 1024;
    struct Block {
        std::unique_ptr<uint64_t[]> words;
        size_t size = 0;
        size_t used = 0;
    };
    std::vector<Block> blocks_;
};

/// What one write makes durable, and who waits for it.
struct Batch {
    struct Answer {
        ReplyTo to;
        Reply reply;
    };
    std::vector<Event> events;
    std::vector<Answer> answers;
    Arena arena;

    void clear();
};

class Core {
public:
    explicit Core(Domain& domain) : domain_(domain) {}

    /// Decides one command, folds its events provisionally and adds both to `batch`. `next_seq` is
    /// the log's; it counts the events already in the batch.
    void step(const Command& command, ReplyTo to, uint64_t next_seq, Batch& batch);

    /// A command that will be stepped soon.
    void expect(const Command& command) const { known_.expect(command.id); }

    /// Replay: what the log says about command ids. Commands of clients and of plugins alike: a
    /// reaction that is repeated sends the same id again.
    void remember(const Event& event);

    /// The memory of command ids as bytes, for the snapshot.
    Buffer save() const;
    Status load(Bytes bytes);

private:
    void remember(const KnownCommands::Known& known);

    Domain& domain_;
    KnownCommands known_;
};

}  // namespace noded::core
