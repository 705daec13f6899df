// What the plugins of a directory say about events: their names and the schemas of their payloads.
// Nothing of a plugin runs here but what the dynamic linker runs. Used by print and export.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/log/log.h"
#include "schemas/payload_json.h"
#include "tools/nodectl/event_line.h"

namespace noded::logdump {

class PluginTypes {
public:
    /// What cannot be loaded is told on stderr and left out.
    explicit PluginTypes(const std::string& directory);

    /// As nodectl shows it; a payload that nobody knows is {"hex": …}.
    nodectl::ShownEvent show(const log::Record& record) const;

private:
    struct Type {
        std::string plugin;
        std::string name;
        std::shared_ptr<capnp::SchemaLoader> schema;
    };
    std::map<uint64_t, Type> types_;
    std::map<uint64_t, std::string> commands_;
};

}  // namespace noded::logdump
