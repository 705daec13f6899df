// What the shared object exports: the descriptor, and the adapter's table around Plugin.
#include "plugins/container/plugin.h"

#include "plugins/container/container_schema.h"
#include "plugins/container/decide.h"
#include "plugins/container/fold.h"
#include "plugins/container/sys_linux.h"
#include "plugins/container/types.h"

namespace noded::container {
namespace {

using sdk::type_of;

constexpr noded_type kCommands[] = {
    type_of<schema::CreateContainer>("CreateContainer"),
    type_of<schema::RunContainer>("RunContainer"),
    type_of<schema::StartContainer>("StartContainer"),
    type_of<schema::StopContainer>("StopContainer"),
    type_of<schema::KillContainer>("KillContainer"),
    type_of<schema::RemoveContainer>("RemoveContainer"),
    type_of<schema::ExecContainer>("ExecContainer"),
    type_of<schema::PauseContainer>("PauseContainer"),
    type_of<schema::UnpauseContainer>("UnpauseContainer"),
    type_of<schema::RenameContainer>("RenameContainer"),
    type_of<schema::RestartContainer>("RestartContainer"),
    type_of<schema::UpdateContainer>("UpdateContainer"),
    type_of<schema::CommitContainer>("CommitContainer"),
};

constexpr noded_type kEvents[] = {
    type_of<schema::ContainerRequested>("ContainerRequested"),
    type_of<schema::ContainerStartRequested>("ContainerStartRequested"),
    type_of<schema::ContainerStarted>("ContainerStarted"),
    type_of<schema::ContainerStartFailed>("ContainerStartFailed"),
    type_of<schema::ContainerExited>("ContainerExited"),
    type_of<schema::ContainerStopRequested>("ContainerStopRequested"),
    type_of<schema::ContainerKillRequested>("ContainerKillRequested"),
    type_of<schema::ContainerRemovalRequested>("ContainerRemovalRequested"),
    type_of<schema::ContainerRemoved>("ContainerRemoved"),
    type_of<schema::ExecRequested>("ExecRequested"),
    type_of<schema::ExecExited>("ExecExited"),
    type_of<schema::ExecFailed>("ExecFailed"),
    type_of<schema::ContainerRestartScheduled>("ContainerRestartScheduled"),
    type_of<schema::ContainerPauseRequested>("ContainerPauseRequested"),
    type_of<schema::ContainerPaused>("ContainerPaused"),
    type_of<schema::ContainerUnpauseRequested>("ContainerUnpauseRequested"),
    type_of<schema::ContainerUnpaused>("ContainerUnpaused"),
    type_of<schema::ContainerPauseFailed>("ContainerPauseFailed"),
    type_of<schema::ContainerRenamed>("ContainerRenamed"),
    type_of<schema::ContainerUpdateRequested>("ContainerUpdateRequested"),
    type_of<schema::ContainerUpdated>("ContainerUpdated"),
    type_of<schema::ContainerUpdateFailed>("ContainerUpdateFailed"),
    type_of<schema::HostObserved>("HostObserved"),
    type_of<schema::ContainerHealthChanged>("ContainerHealthChanged"),
    type_of<schema::ContainerCommitRequested>("ContainerCommitRequested"),
};

/// Of storage.
constexpr noded_type kFoldedToo[] = {
    type_of<schema::ImageImported>("ImageImported"),
    type_of<schema::ImageImportFailed>("ImageImportFailed"),
    type_of<schema::ImageAdded>("ImageAdded"),
    type_of<schema::ImageTagged>("ImageTagged"),
    type_of<schema::ImageUntagged>("ImageUntagged"),
    type_of<schema::ImageRemoved>("ImageRemoved"),
    type_of<schema::RootfsPrepared>("RootfsPrepared"),
    type_of<schema::RootfsPrepareFailed>("RootfsPrepareFailed"),
    type_of<schema::RootfsRemoved>("RootfsRemoved"),
};

constexpr auto kFolds = sdk::joined(kEvents, kFoldedToo);

constexpr const char* kExtensions[] = {NODED_EXT_EVENTS,  NODED_EXT_TIMER, NODED_EXT_FD,
                                       NODED_EXT_OFFLOAD, NODED_EXT_LOG,   NODED_EXT_PATHS,
                                       NODED_EXT_RPC,     NODED_EXT_TOPIC, NODED_EXT_SETTINGS,
                                       nullptr};

constexpr const char* kMethods[] = {"list",     "inspect", "wait", "attach", "attachExec",
                                    "waitExec", "resize",  "top",  "logFile", "files",
                                    "readLog"};

}  // namespace

const noded_descriptor descriptor = {
    .size = sizeof(noded_descriptor),
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .reserved = 0,
    .id = "container",
    .version = "0.1.0",
    .description = "The life of containers and of what is executed in them",
    .extensions_required = kExtensions,
    .plugins_needed = nullptr,
    .commands = sdk::types(kCommands),
    .events = sdk::types(kEvents),
    .folds = sdk::types(kFolds),
    .schema = {container_schema, sizeof container_schema},
};

std::expected<std::unique_ptr<Plugin>, std::string> Plugin::create(sdk::Host host) {
    auto userns = UsernsSettings::parse(host.setting("userns").value_or("host"),
                                        host.setting("usernsIds").value_or("dockremap"));
    if (!userns) return std::unexpected(userns.error().message);
    return std::make_unique<Plugin>(host, linux_sys(), std::move(*userns));
}

void Plugin::decide(const noded_command& command, sdk::Decision& decision) const {
    container::decide(state_, command, decision);
}

void Plugin::fold(const noded_event& event) { container::fold(state_, event); }

void Plugin::save(const sdk::Sink& sink) const {
    sdk::Message<schema::ContainerSnapshot> snapshot;
    state_.save(*snapshot);
    sink.write(snapshot.flat());
}

bool Plugin::load(noded_bytes bytes) {
    State loaded;   // one that cannot be read to its end leaves the state as it was
    loaded.load(*sdk::Reading<schema::ContainerSnapshot>(bytes, sdk::own_message(bytes)));
    state_ = std::move(loaded);
    return true;
}

const noded_plugin_rpc* Plugin::rpc() {
    static constexpr noded_plugin_rpc table = sdk::rpc_table<Plugin>(
        capnp::typeId<schema::Container>(), kMethods, uint32_t(std::size(kMethods)));
    return &table;
}

}  // namespace noded::container

NODED_DEFINE_PLUGIN(noded::container::Plugin, noded::container::descriptor);
