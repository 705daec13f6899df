// Cap'n Proto values of types that are only known at run time, as JSON: what plugins' events hold
// and their calls answer.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema-loader.h>

#include <map>
#include <memory>
#include <string>

#include "agent/base/result.h"
#include "tools/nodectl/json.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

/// Field names as in the schema; numbers as numbers, enums by name, Data in hexadecimal,
/// capabilities as null. Of a union the member that is set.
Json to_json(const capnp::DynamicStruct::Reader& value);

/// The schemas of plugins, fetched once each.
class PluginSchemas {
public:
    explicit PluginSchemas(Session& session) : session_(session) {}

    /// Null if the plugin has none or is not loaded.
    const capnp::SchemaLoader* of(const std::string& plugin);

    /// A payload by the type of its struct; null if nobody can say what it is.
    Json decode(const std::string& plugin, uint64_t type, capnp::Data::Reader payload);

private:
    std::unique_ptr<capnp::SchemaLoader> fetch(const std::string& plugin);

    Session& session_;
    std::map<std::string, std::unique_ptr<capnp::SchemaLoader>> loaders_;
};

}  // namespace noded::nodectl
