// History: what the log of one node was ever seen to hold durably, and the checkers over it.
//
// Checked: an event that was durable once never changes and never goes; the first one of a command
// tells who sent it; one intent per command; one outcome per intent; publications come in order and
// without gaps, also across restarts. Outlives the node's restarts.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/log/log.h"
#include "tests/sim/world.h"

namespace noded::sim {

class History {
public:
    History(World& world, std::string node) : world_(world), node_(std::move(node)) {}

    /// The event is durable: newly, or as a restart found it.
    void durable(const log::Record& event);
    const std::string& node() const { return node_; }
    uint64_t last_seq() const { return events_.size(); }

    /// True if `seq` holds an event of this command.
    bool holds(uint64_t seq, const CommandId& id) const;
    /// True if this intent ("start/ID/RUN") is durable.
    bool has(const std::string& intent) const { return intents_.contains(intent); }
    bool is_open(const std::string& intent) const;

    /// A publication left the node, and the subscriber has it.
    void published(const log::Record& event);
    /// The subscriber connected anew and read what it missed.
    void caught_up(const log::Record& event) { published(event); }
    uint64_t last_published() const { return last_published_; }
    /// The log no longer reaches back to what the subscriber had.
    void skip_publications(uint64_t to) { last_published_ = to; }

    /// The run ("ID/RUN") is paused, as far as the log tells.
    bool is_paused(const std::string& run) const { return frozen_.contains(run); }
    bool pause_is_known(const std::string& run) const { return !unknown_.contains(run); }

    /// How many intents begin with this.
    size_t count(std::string_view prefix) const;

    /// At rest every intent has its outcome; `is_running` knows which containers may still run.
    void check_outcomes(const std::function<bool(const std::string& run)>& is_running) const;

    uint64_t hash() const { return hash_; }

private:
    struct Seen {
        uint64_t hash;
        CommandId command_id;
    };
    void intent(const std::string& key);
    void outcome(const std::string& key);
    void judge(const log::Record& event);
    void judge_storage(const log::Record& event);
    void fail(const std::string& sentence) const { world_.fail(node_ + ": " + sentence); }

    World& world_;
    const std::string node_;
    std::vector<Seen> events_;
    std::map<std::string, bool> intents_;   ///< true: it has its outcome
    std::set<CommandId> commands_;
    std::set<std::string> frozen_, unknown_;   ///< runs
    uint64_t last_published_ = 0;
    uint64_t hash_ = 14695981039346656037u;
};

}  // namespace noded::sim
