// The container plugin as the SDK's adapter wants it: state, and the effects beside it.
//
// Everything a user sees of containers is here; what it needs of the kernel goes through Sys, which
// is the only difference between the plugin in noded and in its tests.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "plugins/container/effects.h"
#include "plugins/container/state.h"
#include "plugins/sdk/plugin.h"

namespace noded::container {

extern const noded_descriptor descriptor;

class Plugin {
public:
    Plugin(sdk::Host host, std::shared_ptr<Sys> sys, UsernsSettings userns = {})
        : effects_(state_, host, std::move(sys), std::move(userns)) {}

    static std::expected<std::unique_ptr<Plugin>, std::string> create(sdk::Host host);

    void decide(const noded_command& command, sdk::Decision& decision) const;
    void fold(const noded_event& event);
    void react(const noded_event& event) { effects_.react(event); }
    void reconcile() { effects_.reconcile(); }
    void save(const sdk::Sink& sink) const;
    bool load(noded_bytes bytes);
    void stop() { effects_.stop(); }
    const noded_plugin_rpc* rpc();
    void call(const noded_call& call) { effects_.call(call); }
    void cancelled(uint64_t token) { effects_.cancelled(token); }
    const sdk::Host& host() const { return effects_.host(); }

private:
    State state_;
    Effects effects_;
};

}  // namespace noded::container
