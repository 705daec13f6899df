// Streams: samples for subscribers, under topics that say how often.
//
//     stats/node   stats/<container id>            once a second
//     stats@10/node   stats@10/<container id>      ten times a second; 1 to 100
//     json/stats/…   json/stats@10/…               the same as JSON, for clients without a schema
//
// A subscription is a prefix, so "stats/" is all of the first line. Those of the same rate and form
// are one feed, which is due at its own times; nothing else is read, encoded or sent. Everything
// here runs on the reactor.
#pragma once

#include <capnp/common.h>
#include <kj/function.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "plugins/sdk/host.h"
#include "plugins/stats/json_text.h"
#include "plugins/stats/sample.h"
#include "plugins/stats/state.h"

namespace noded::stats {

/// What is asked for of one rate in one form. A prefix that ends within an id is kept as it is.
struct Feed {
    bool json = false;
    uint32_t rate_said = 0;           ///< 0: none, which is one a second
    bool node = false;
    bool all = false;                 ///< containers
    std::set<std::string> ids;
    std::vector<std::string> prefixes;  ///< of ids
    int64_t due_ns = 0;

    struct Counts {
        uint64_t key = 0;  ///< a row's, or 0 for the node
        std::string topic;
        uint64_t sequence = 0;
        uint64_t lost = 0;
        uint64_t round = 0;  ///< in which it was sent last
    };
    std::unordered_map<uint64_t, Counts> counts;  ///< by key
    std::vector<Counts*> in_order;  ///< as they were sent last: mostly as they are sent next
    uint64_t round = 0;

    std::string topic(const std::string& last) const;
    bool wants(const std::string& id) const;
    /// Of what is sent as the `at`th in this round.
    Counts& counts_at(size_t at, uint64_t key, const std::string& last);
    int64_t period_ns() const { return 1'000'000'000 / std::max(rate_said, 1u); }
};

/// By form and rate.
using Feeds = std::map<std::pair<bool, uint32_t>, Feed>;

/// Adds a subscription to the feeds that it belongs to, which are made if need be. An error says
/// what there is instead. Pure.
Status add_subscription(const std::string& prefix, Feeds& feeds);

class Streams {
public:
    explicit Streams(const sdk::Host& host) : host_(host) {}

    /// Looks at the subscriptions anew; who subscribed to nothing is told so under that topic.
    void refresh(const State& state);
    /// When the next feed is due; nothing while nobody subscribes.
    std::optional<int64_t> due_ns() const;
    bool wants_containers() const;
    /// What the feeds that are due at `now_ns` need.
    bool node_wanted(int64_t now_ns) const;
    bool wants_all(int64_t now_ns) const;  ///< containers
    /// The same targets, of which those are wanted that somebody subscribed to.
    Targets marked(int64_t now_ns, std::vector<Target> targets) const;
    /// To the feeds that are due.
    void publish(const Sample& sample, int64_t now_ns);

private:
    using Fill = kj::FunctionParam<void(schema::StatsMessage::Builder)>;

    /// A message that is to be sent.
    struct Ready {
        Feed::Counts* counts = nullptr;
        size_t bytes = 0;  ///< of it
    };

    bool is_due(const Feed& feed, int64_t now_ns) const;
    void publish_to(Feed& feed, const Sample& sample);
    void write(Feed& feed, size_t at, uint64_t key, const std::string& last,
               const Sample& sample, int64_t monotonic_ns, Fill fill);
    void send_ready();
    void notice(const std::string& prefix, const std::string& message) const;

    const sdk::Host host_;
    Feeds feeds_;
    std::set<std::string> known_;  ///< subscriptions that were looked at
    JsonText json_;
    std::vector<Ready> ready_;
    /// The memory of each message in turn, all 0 in between; of a longer one the beginning.
    std::array<capnp::word, 256> scratch_{};
    std::string ready_bytes_;  ///< of all of them, one behind the other
};

}  // namespace noded::stats
