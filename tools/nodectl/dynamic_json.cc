// See dynamic_json.h.
#include "tools/nodectl/dynamic_json.h"

namespace noded::nodectl {

const capnp::SchemaLoader* PluginSchemas::of(const std::string& plugin) {
    const auto known = loaders_.find(plugin);
    if (known != loaders_.end()) return known->second.get();
    auto request = session_.node().schemaRequest();
    request.setPlugin(plugin);
    const auto response = session_.wait(request.send());
    if (!response && Session::is_lost(response.error())) return nullptr;
    auto& loader = loaders_[plugin];
    if (response)
        loader = load_schema({response->getSchema().begin(), response->getSchema().size()});
    return loader.get();
}

Json PluginSchemas::decode(const std::string& plugin, uint64_t type, capnp::Data::Reader payload) {
    const capnp::SchemaLoader* loader = plugin.empty() ? nullptr : of(plugin);
    if (loader == nullptr) return nullptr;
    return decode_payload(*loader, type, {payload.begin(), payload.size()});
}

std::optional<ShownSender> sender_of(const schema::Event::Reader& event) {
    if (!event.hasSender()) return std::nullopt;
    const auto sender = event.getSender();
    return ShownSender{type_name(sender.getCommand().cStr(), sender.getCommandType()),
                       sender.getUid(), sender.getGid(), sender.getPid(),
                       sender.getClient().cStr()};
}

ShownEvent PluginSchemas::show(const schema::Event::Reader& event) {
    ShownEvent shown;
    shown.seq = event.getSeq();
    shown.time_ns = event.getTimeNs();
    shown.type = event.getType();
    shown.name = event.getName().cStr();
    shown.plugin = event.getPlugin().cStr();
    shown.command_id = to_hex({event.getCommandId().begin(), event.getCommandId().size()});
    shown.cause_seq = event.getCauseSeq();
    shown.payload = decode(shown.plugin, shown.type, event.getPayload());
    shown.sender = sender_of(event);
    return shown;
}

}  // namespace noded::nodectl
