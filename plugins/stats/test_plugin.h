// The stats plugin on FakeSys, for stats_test.cc and transcript_test.cc.
#pragma once

#include <memory>

#include "agent/base/check.h"
#include "plugins/sdk/fake_host.h"
#include "plugins/stats/plugin.h"
#include "plugins/stats/sys_fake.h"
#include "schemas/container.capnp.h"

namespace noded::stats {

/// The machine that the next instances see: a plugin's create has no parameter for it.
inline std::shared_ptr<FakeSys> machine;

struct TestStats : StatsPlugin {
    using StatsPlugin::StatsPlugin;
    static std::expected<std::unique_ptr<TestStats>, std::string> create(sdk::Host host) {
        return std::make_unique<TestStats>(host, machine);
    }
};

inline const noded_plugin test_table = sdk::plugin_table<TestStats>(&stats_descriptor);

/// Loads the plugin on a new machine, with the container plugin's events known.
inline void prepare(sdk::FakeHost& host) {
    machine = std::make_shared<FakeSys>();
    fill_machine(*machine, false);
    CHECK(host.load(&test_table).empty());
    host.know<schema::ContainerRequested>();
    host.know<schema::ContainerStarted>();
    host.know<schema::ContainerStartFailed>();
    host.know<schema::ContainerExited>();
    host.know<schema::ContainerRenamed>();
    host.know<schema::ContainerRemoved>();
    host.know<schema::RunContainer>();
}

}  // namespace noded::stats
