// The container and the storage plugin beside each other on an in-memory host: commands and calls
// with any payload, in any order, with restarts between them.
//
// Whatever a client sends is answered or refused; what decide emits folds; and a new instance that
// folds all events, and one that loads the snapshot, have the same state.
#include <memory>
#include <optional>

#include "agent/base/check.h"
#include "plugins/container/plugin.h"
#include "plugins/container/sys_fake.h"
#include "plugins/storage/plugin.h"
#include "plugins/storage/sys_fake.h"
#include "plugins/sdk/fake_host.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"
#include "tests/fuzz/message.h"

namespace noded {
namespace {

using fuzz::Input;

constexpr int kStepsMax = 24;

std::shared_ptr<container::FakeSys> kernel;
storage::FakeDisk disk;

struct ContainerUnderTest : container::Plugin {
    using Plugin::Plugin;
    static std::expected<std::unique_ptr<ContainerUnderTest>, std::string> create(sdk::Host host) {
        return std::make_unique<ContainerUnderTest>(host, kernel);
    }
};

struct StorageUnderTest : storage::StoragePlugin {
    using StoragePlugin::StoragePlugin;
    static std::expected<std::unique_ptr<StorageUnderTest>, std::string> create(sdk::Host host) {
        auto sys = storage::make_fake_sys(disk);
        if (auto opened = sys->open(); !opened) return std::unexpected(opened.error().message);
        return std::make_unique<StorageUnderTest>(host, std::move(sys));
    }
};

const noded_plugin container_table =
    sdk::plugin_table<ContainerUnderTest>(&container::descriptor);
const noded_plugin storage_table =
    sdk::plugin_table<StorageUnderTest>(&storage::storage_descriptor);

class Machine {
public:
    explicit Machine(Input input) : input_(input) {
        kernel = std::make_shared<container::FakeSys>();
        disk = {};
        disk.layers.insert("sha256:" + ("61" + std::string(62, '0')));
        host_.emplace();
        CHECK(host_->load(&storage_table).empty());
        CHECK(host_->load(&container_table).empty());
        host_->inject<schema::ImageAdded>([](auto image) {
            image.setId("sha256:aa");
            image.setConfig("{\"config\":{\"Cmd\":[\"sh\"],\"Labels\":{\"a\":\"b\"}}}");
            image.initLayers(1)[0].setDiffId("sha256:61" + std::string(62, '0'));
            image.initNames(1).set(0, "box:latest");
        });
    }

    void run() {
        for (int step = 0; step < kStepsMax && !input_.empty(); ++step) {
            switch (input_.number() % 8) {
                case 0:
                case 1:
                case 2: command(container_table); break;
                case 3: command(storage_table); break;
                case 4: call("container", capnp::Schema::from<schema::Container>()); break;
                case 5: call("storage", capnp::Schema::from<schema::Storage>()); break;
                case 6: time_passes(); break;
                case 7: host_->restart(); break;
            }
        }
        for (const char* plugin : {"container", "storage"}) {
            const std::string trouble = host_->snapshot_trouble(plugin);
            CHECK_MSG(trouble.empty(), trouble.c_str());
        }
        CHECK(host_->undeclared_events() == 0);
    }

private:
    void command(const noded_plugin& plugin) {
        const noded_types& types = plugin.descriptor->commands;
        const uint64_t type = types.list[input_.number() % types.count].id;
        const Buffer payload =
            fuzz::some_message(input_, host_->schemas().get(type).asStruct());
        const auto outcome = host_->command(type, {payload.data(), payload.size()});
        CHECK(outcome.accepted || !outcome.message.empty());
    }
    void call(const char* plugin, capnp::InterfaceSchema schema) {
        const auto methods = schema.getMethods();
        const auto method = methods[input_.number() % methods.size()];
        const Buffer params = fuzz::some_message(input_, method.getParamType());
        const uint64_t token = host_->call(plugin, method.getProto().getName().cStr(),
                                           {params.data(), params.size()});
        if (const auto* answer = host_->answer(token))
            CHECK(!answer->refused || !answer->message.empty());
        else
            host_->cancel(token);
    }
    void time_passes() {
        host_->advance(int64_t{1} << input_.number() % 40);
        host_->poll_fds();
    }

    Input input_;
    std::optional<sdk::FakeHost> host_;
};

}  // namespace
}  // namespace noded

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    noded::Machine(noded::fuzz::Input(data, size)).run();
    return 0;
}
