// The stats plugin as the SDK's adapter wants it: who runs, from the log, and the sampler.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "plugins/sdk/plugin.h"
#include "plugins/stats/sampler.h"
#include "plugins/stats/state.h"
#include "plugins/stats/sys.h"

namespace noded::stats {

extern const noded_descriptor stats_descriptor;

class StatsPlugin {
public:
    StatsPlugin(sdk::Host host, std::shared_ptr<Sys> sys)
        : host_(host), sampler_(host_, state_, std::make_shared<Collector>(std::move(sys))) {}

    // plugin.cc
    static std::expected<std::unique_ptr<StatsPlugin>, std::string> create(sdk::Host host);
    void decide(const noded_command& command, sdk::Decision& out) const;
    void fold(const noded_event& event);
    void save(const sdk::Sink& sink) const;
    bool load(noded_bytes bytes);
    void stop() { sampler_.stop(); }
    const noded_plugin_rpc* rpc();
    const sdk::Host& host() const { return host_; }

    void react(const noded_event& event);  // react.cc
    void reconcile();                      // reconcile.cc
    void call(const noded_call& call);     // rpc.cc
    void cancelled(uint64_t token) { sampler_.forget(token); }

private:
    sdk::Host host_;
    State state_;
    Sampler sampler_;
};

}  // namespace noded::stats
