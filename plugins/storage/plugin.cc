// The storage plugin's descriptor and entry, see README.md and plugin.h.
#include "plugins/storage/plugin.h"

#include "plugins/storage/decide.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/storage_schema.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using sdk::type_of;

const char* const kExtensions[] = {NODED_EXT_EVENTS, NODED_EXT_TIMER, NODED_EXT_OFFLOAD,
                                   NODED_EXT_LOG,    NODED_EXT_PATHS, NODED_EXT_RPC,
                                   NODED_EXT_SETTINGS, nullptr};

constexpr noded_type kCommands[] = {
    type_of<schema::ImportImage>("ImportImage"),
    type_of<schema::LoadImages>("LoadImages"),
    type_of<schema::RemoveImage>("RemoveImage"),
    type_of<schema::TagImage>("TagImage"),
};

constexpr noded_type kEvents[] = {
    type_of<schema::ImageImportRequested>("ImageImportRequested"),
    type_of<schema::ImageAdded>("ImageAdded"),
    type_of<schema::ImageImportFailed>("ImageImportFailed"),
    type_of<schema::ImageImported>("ImageImported"),
    type_of<schema::ImageTagged>("ImageTagged"),
    type_of<schema::ImageUntagged>("ImageUntagged"),
    type_of<schema::ImageRemoved>("ImageRemoved"),
    type_of<schema::RootfsPrepared>("RootfsPrepared"),
    type_of<schema::RootfsPrepareFailed>("RootfsPrepareFailed"),
    type_of<schema::RootfsRemoved>("RootfsRemoved"),
};

/// Of the container plugin.
constexpr noded_type kFoldedToo[] = {
    type_of<schema::ContainerRequested>("ContainerRequested"),
    type_of<schema::ContainerStartRequested>("ContainerStartRequested"),
    type_of<schema::ContainerStartFailed>("ContainerStartFailed"),
    type_of<schema::ContainerExited>("ContainerExited"),
    type_of<schema::ContainerCommitRequested>("ContainerCommitRequested"),
    type_of<schema::ContainerPaused>("ContainerPaused"),
    type_of<schema::ContainerUnpauseRequested>("ContainerUnpauseRequested"),
    type_of<schema::ContainerPauseFailed>("ContainerPauseFailed"),
    type_of<schema::ContainerRemovalRequested>("ContainerRemovalRequested"),
    type_of<schema::ContainerRemoved>("ContainerRemoved"),
};

constexpr auto kFolds = sdk::joined(kEvents, kFoldedToo);

const char* const kMethods[] = {"listImages", "inspectImage", "give", "waitImport",
                                "save"};
const noded_plugin_rpc kRpc = sdk::rpc_table<StoragePlugin>(capnp::typeId<schema::Storage>(),
                                                            kMethods, std::size(kMethods));

}  // namespace

const noded_descriptor storage_descriptor = {
    .size = sizeof(noded_descriptor),
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .reserved = 0,
    .id = "storage",
    .version = "0.1.0",
    .description = "images, their layers, and the root file systems of containers",
    .extensions_required = kExtensions,
    .plugins_needed = nullptr,
    .commands = sdk::types(kCommands),
    .events = sdk::types(kEvents),
    .folds = sdk::types(kFolds),
    .schema = {storage_schema, sizeof storage_schema},
};

/// plugins.storage.unpackedBytesMax and .entriesMax of the configuration.
static std::expected<image::UnpackLimits, std::string> unpack_limits(const sdk::Host& host) {
    image::UnpackLimits unpack;
    const auto bytes = host.setting_number("unpackedBytesMax", unpack.unpacked_bytes,
                                           limits::unpacked_bytes_max_min, INT64_MAX);
    if (!bytes) return std::unexpected(bytes.error());
    const auto entries = host.setting_number("entriesMax", unpack.entries,
                                             limits::entries_max_min, INT32_MAX);
    if (!entries) return std::unexpected(entries.error());
    unpack.unpacked_bytes = *bytes;
    unpack.entries = *entries;
    return unpack;
}

std::expected<std::unique_ptr<StoragePlugin>, std::string> StoragePlugin::create(sdk::Host host) {
    const auto unpack = unpack_limits(host);
    if (!unpack) return std::unexpected(unpack.error());
    auto sys = make_linux_sys(host.state_dir(), *unpack);
    if (auto opened = sys->open(); !opened) return std::unexpected(opened.error().message);
    return std::make_unique<StoragePlugin>(host, std::move(sys));
}

void StoragePlugin::decide(const noded_command& command, sdk::Decision& out) const {
    storage::decide(state_, command, out);
}
void StoragePlugin::fold(const noded_event& event) { storage::fold(state_, event); }
void StoragePlugin::save(const sdk::Sink& sink) const { storage::save(state_, sink); }
bool StoragePlugin::load(noded_bytes bytes) {
    state_ = storage::load(bytes);
    return true;
}
const noded_plugin_rpc* StoragePlugin::rpc() { return &kRpc; }

}  // namespace noded::storage

NODED_DEFINE_PLUGIN(noded::storage::StoragePlugin, noded::storage::storage_descriptor);
