// What the stats plugin folds: which containers there are, and which process each began with. It
// emits no events of its own: figures are not history.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/sdk/plugin.h"
#include "plugins/stats/collector.h"
#include "schemas/stats.capnp.h"

namespace noded::stats {

struct Container {
    std::string name, image;
    bool host_network = false;
    uint64_t created_seq = 0;
    uint64_t key = 0;  ///< of this process alone: a number that no other container has or had
    uint32_t run = 0;
    uint32_t pid = 0;  ///< 0: does not run
    uint64_t pid_start_time = 0;
};

struct State {
    std::map<std::string, Container> containers;  ///< by id

    /// Those that run, newest first. Never changed; made anew after an event.
    Targets targets() const;
    /// One of them.
    std::optional<Target> target(const std::string& id) const;
    void changed() { targets_.reset(); }
    /// The container of this id, which is new perhaps.
    Container& at(const std::string& id);
    size_t running() const;
    /// Whether one runs in the node's network.
    bool shares_network() const;

    void save(schema::StatsSnapshot::Builder out) const;
    /// Into a new one. Throws kj::Exception where it cannot be read.
    void load(schema::StatsSnapshot::Reader in);

private:
    mutable Targets targets_;
    uint64_t newest_key_ = 0;
};

/// [pure] [replay] fold.cc. Accepts every event that was ever in a log.
void fold(State& state, const noded_event& event);

/// [pure] decide.cc. There is nothing to decide.
void decide(const State& state, const noded_command& command, sdk::Decision& out);

}  // namespace noded::stats
