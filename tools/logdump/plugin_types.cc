// See plugin_types.h.
#include "tools/logdump/plugin_types.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "agent/host/loader.h"
#include "agent/log/sender.h"

namespace noded::logdump {

PluginTypes::PluginTypes(const std::string& directory) {
    std::error_code error;
    std::vector<std::string> files;
    for (const auto& found : std::filesystem::directory_iterator(directory, error)) {
        if (found.path().extension() == ".so") files.push_back(found.path());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
        const auto table = host::open_plugin(file);
        const auto described = table ? host::describe(**table) : std::unexpected(table.error());
        if (!described) {
            fprintf(stderr, "logdump: plugin %s is left out: %s\n", file.c_str(),
                    described.error().message.c_str());
            continue;
        }
        // Words, as Cap'n Proto wants them.
        std::vector<uint64_t> words(described->schema.size() / kWordSize);
        memcpy(words.data(), described->schema.data(), words.size() * kWordSize);
        const std::shared_ptr<capnp::SchemaLoader> schema = load_schema(
            {reinterpret_cast<const uint8_t*>(words.data()), words.size() * kWordSize});
        for (const host::NamedType& type : described->events)
            types_[type.id] = {described->id, type.name, schema};
        for (const host::NamedType& type : described->commands) commands_[type.id] = type.name;
    }
    if (types_.empty()) {
        fprintf(stderr, "logdump: no plugins in %s, so events have no names (--plugin-dir)\n",
                directory.c_str());
    }
}

nodectl::ShownEvent PluginTypes::show(const log::Record& record) const {
    nodectl::ShownEvent shown{record.seq, record.time_ns, record.type, "", "",
                              to_hex(record.command_id.bytes), record.cause_seq, nullptr, {}};
    if (!record.sender.empty()) {
        const log::Sender sender = log::decode_sender(record.sender);
        const auto command = commands_.find(sender.command_type);
        shown.sender = {nodectl::type_name(command != commands_.end() ? command->second : "",
                                           sender.command_type),
                        sender.uid, sender.gid, sender.pid, std::string(sender.client)};
    }
    if (const auto type = types_.find(record.type); type != types_.end()) {
        shown.name = type->second.name;
        shown.plugin = type->second.plugin;
        if (type->second.schema != nullptr) {
            shown.payload =
                decode_payload(*type->second.schema, record.type, record.payload);
        }
    }
    if (shown.payload.is_null()) shown.payload = {{"hex", to_hex(record.payload)}};
    return shown;
}

}  // namespace noded::logdump
