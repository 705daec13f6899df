// The storage plugin on a disk in memory, for storage_test.cc and transcript_test.cc.
#pragma once

#include "plugins/sdk/fake_host.h"
#include "plugins/storage/plugin.h"
#include "plugins/storage/sys_fake.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {

/// The disk that the next instances use: a plugin's create has no parameter for it.
inline FakeDisk* test_disk = nullptr;

struct TestStorage : StoragePlugin {
    using StoragePlugin::StoragePlugin;
    static std::expected<std::unique_ptr<TestStorage>, std::string> create(sdk::Host host) {
        auto sys = make_fake_sys(*test_disk);
        if (auto opened = sys->open(); !opened) return std::unexpected(opened.error().message);
        return std::make_unique<TestStorage>(host, std::move(sys));
    }
};

inline const noded_plugin test_table = sdk::plugin_table<TestStorage>(&storage_descriptor);

inline void know_containers(sdk::FakeHost& host) {
    host.know<schema::ContainerRequested>();
    host.know<schema::ContainerStartRequested>();
    host.know<schema::ContainerStartFailed>();
    host.know<schema::ContainerExited>();
    host.know<schema::ContainerRemovalRequested>();
    host.know<schema::ContainerRemoved>();
    host.know<schema::ContainerCommitRequested>();
    host.know<schema::ContainerPaused>();
    host.know<schema::ContainerPauseFailed>();
}

}  // namespace noded::storage
