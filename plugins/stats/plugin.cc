// The stats plugin's descriptor and entry, see README.md and plugin.h.
#include "plugins/stats/plugin.h"

#include "plugins/stats/stats_schema.h"
#include "schemas/container.capnp.h"

namespace noded::stats {
namespace {

using sdk::type_of;

const char* const kExtensions[] = {NODED_EXT_TIMER, NODED_EXT_OFFLOAD, NODED_EXT_TOPIC,
                                   NODED_EXT_LOG, NODED_EXT_RPC, nullptr};

const noded_type kFolds[] = {
    type_of<schema::ContainerRequested>("ContainerRequested"),
    type_of<schema::ContainerStarted>("ContainerStarted"),
    type_of<schema::ContainerExited>("ContainerExited"),
    type_of<schema::ContainerRenamed>("ContainerRenamed"),
    type_of<schema::ContainerRemoved>("ContainerRemoved"),
};

const char* const kMethods[] = {"read", "status"};
const noded_plugin_rpc kRpc =
    sdk::rpc_table<StatsPlugin>(capnp::typeId<schema::Stats>(), kMethods, std::size(kMethods));

}  // namespace

const noded_descriptor stats_descriptor = {
    .size = sizeof(noded_descriptor),
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .reserved = 0,
    .id = "stats",
    .version = "0.1.0",
    .description = "what containers and the node use of CPU, memory, disks and networks",
    .extensions_required = kExtensions,
    .plugins_needed = nullptr,
    .commands = {nullptr, 0},
    .events = {nullptr, 0},
    .folds = {kFolds, std::size(kFolds)},
    .schema = {stats_schema, sizeof stats_schema},
};

std::expected<std::unique_ptr<StatsPlugin>, std::string> StatsPlugin::create(sdk::Host host) {
    return std::make_unique<StatsPlugin>(host, linux_sys(load_bpf_counters));
}

void StatsPlugin::decide(const noded_command& command, sdk::Decision& out) const {
    stats::decide(state_, command, out);
}

void StatsPlugin::fold(const noded_event& event) { stats::fold(state_, event); }

void StatsPlugin::save(const sdk::Sink& sink) const {
    sdk::Message<schema::StatsSnapshot> snapshot;
    state_.save(*snapshot);
    sink.write(snapshot.flat());
}

bool StatsPlugin::load(noded_bytes bytes) {
    State loaded;   // one that cannot be read to its end leaves the state as it was
    loaded.load(*sdk::Reading<schema::StatsSnapshot>(bytes, sdk::own_message(bytes)));
    state_ = std::move(loaded);
    return true;
}

const noded_plugin_rpc* StatsPlugin::rpc() { return &kRpc; }

}  // namespace noded::stats

NODED_DEFINE_PLUGIN(noded::stats::StatsPlugin, noded::stats::stats_descriptor);
