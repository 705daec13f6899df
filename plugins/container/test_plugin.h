// The container plugin on FakeSys, for effects_test.cc and transcript_test.cc.
#pragma once

#include <memory>

#include "agent/base/check.h"
#include "plugins/container/plugin.h"
#include "plugins/container/sys_fake.h"
#include "plugins/sdk/fake_host.h"
#include "schemas/storage.capnp.h"

namespace noded::container {

/// The kernel that the next instances use: a plugin's create has no parameter for it.
inline std::shared_ptr<FakeSys> test_sys;

struct TestPlugin : Plugin {
    using Plugin::Plugin;
    static std::expected<std::unique_ptr<TestPlugin>, std::string> create(sdk::Host host) {
        return std::make_unique<TestPlugin>(host, test_sys);
    }
};

inline const noded_plugin test_table = sdk::plugin_table<TestPlugin>(&descriptor);

/// Loads the plugin on a new machine, with storage's events known.
inline void prepare(sdk::FakeHost& host) {
    test_sys = std::make_shared<FakeSys>();
    CHECK(host.load(&test_table).empty());
    host.know<schema::ImageAdded>();
    host.know<schema::ImageTagged>();
    host.know<schema::ImageUntagged>();
    host.know<schema::ImageRemoved>();
    host.know<schema::RootfsPrepared>();
    host.know<schema::RootfsPrepareFailed>();
    host.know<schema::RootfsRemoved>();
}

}  // namespace noded::container
