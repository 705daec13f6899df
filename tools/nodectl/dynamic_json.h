// The schemas of the plugins that a noded has loaded, and payloads decoded by them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "schemas/payload_json.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

/// The schemas of plugins, fetched once each.
class PluginSchemas {
public:
    explicit PluginSchemas(Session& session) : session_(session) {}

    /// Null if the plugin has none or is not loaded.
    const capnp::SchemaLoader* of(const std::string& plugin);

    /// A payload by the type of its struct; null if nobody can say what it is.
    Json decode(const std::string& plugin, uint64_t type, capnp::Data::Reader payload);

    /// An event with its payload decoded, if its plugin is loaded.
    ShownEvent show(const schema::Event::Reader& event);

    /// After a restart of noded, which may have brought other versions of the plugins.
    void forget() { loaders_.clear(); }

private:
    Session& session_;
    std::map<std::string, std::unique_ptr<capnp::SchemaLoader>> loaders_;
};

/// Who sent the command whose first event this is; nothing for other events.
std::optional<ShownSender> sender_of(const schema::Event::Reader& event);

}  // namespace noded::nodectl
