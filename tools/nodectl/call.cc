// nodectl call: a method of a plugin, with JSON in and out. A plugin that exports a Cap'n Proto
// interface is called by its schema, another by Node.callJson.
#include <capnp/compat/json.h>

#include "agent/base/bytes.h"
#include "tools/nodectl/dynamic_json.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// Data as hexadecimal, as nodectl prints it.
class HexData final : public capnp::JsonCodec::Handler<capnp::Data> {
public:
    void encode(const capnp::JsonCodec&, capnp::Data::Reader input,
                capnp::JsonValue::Builder output) const override {
        output.setString(to_hex({input.begin(), input.size()}));
    }
    capnp::Orphan<capnp::Data> decode(const capnp::JsonCodec&, capnp::JsonValue::Reader input,
                                      capnp::Orphanage orphanage) const override {
        KJ_REQUIRE(input.isString(), "data is written as a string of hexadecimal digits");
        const std::string_view digits(input.getString().cStr());
        auto result = orphanage.newOrphan<capnp::Data>(static_cast<unsigned>(digits.size() / 2));
        KJ_REQUIRE(from_hex(digits, {result.get().begin(), result.get().size()}),
                   "data is written as a string of hexadecimal digits");
        return result;
    }
};

Result<Json> call_typed(Session& session, const std::string& plugin, uint64_t interface_id,
                        const std::string& method_name, const std::string& params) {
    PluginSchemas schemas(session);
    const capnp::SchemaLoader* loader = schemas.of(plugin);
    if (loader == nullptr)
        return fail("plugin " + plugin + " has no schema that says what its methods take");
    KJ_IF_MAYBE(schema, loader->tryGet(interface_id)) {
        KJ_IF_MAYBE(method, schema->asInterface().findMethodByName(method_name)) {
            auto wanted = session.node().pluginRequest();
            wanted.setName(plugin);
            auto client = wanted.send().getInterface().castAs<capnp::DynamicCapability>(
                schema->asInterface());
            auto request = client.newRequest(*method);
            HexData hex;
            capnp::JsonCodec codec;
            codec.addTypeHandler<capnp::Data>(hex);
            codec.setRejectUnknownFields(true);
            const kj::StringPtr text(params.c_str(), params.size());
            const auto decode = [&] { codec.decode(text, request); };
            KJ_IF_MAYBE(exception, kj::runCatchingExceptions(decode)) {
                return fail("read the parameters of " + plugin + "." + method_name + ": " +
                            exception->getDescription().cStr());
            }
            const auto response = TRY(session.wait(request.send()));
            return to_json(response);
        }
        return fail("No such method: " + plugin + " has none called " + method_name);
    }
    return fail("the schema of plugin " + plugin + " does not describe its interface");
}

Result<std::string> call_json(Session& session, const std::string& plugin,
                              const std::string& method, const std::string& params) {
    auto request = session.node().callJsonRequest();
    request.setPlugin(plugin);
    request.setMethod(method);
    request.setParams(params);
    const auto response = TRY(session.wait(request.send()));
    return std::string(response.getResults().cStr());
}

/// 0 for a plugin with JSON methods; an unknown one is left to noded to refuse.
Result<uint64_t> interface_of(Session& session, const std::string& plugin) {
    const auto response = TRY(session.wait(session.node().pluginsRequest().send()));
    for (const auto one : response.getPlugins()) {
        if (plugin == one.getId().cStr() && one.getInterfaceId() != 0) return one.getInterfaceId();
    }
    return 0;
}

}  // namespace

int call_plugin(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 2, .max = 3})) return *status;
    const std::string plugin = call.arguments[0];
    const std::string method = call.arguments[1];
    std::string params = call.arguments.size() > 2 ? call.arguments[2] : "{}";
    if (params == "-") params = OR_FAIL(call, read_file("-"));
    if (!Json::accept(params))
        return call.failed(Error{0, "the parameters are not JSON: " + params});
    const uint64_t interface_id = OR_FAIL(call, interface_of(call.session, plugin));
    if (interface_id == 0) {
        print(OR_FAIL(call, call_json(call.session, plugin, method, params)) + "\n");
    } else {
        const Json result =
            OR_FAIL(call, call_typed(call.session, plugin, interface_id, method, params));
        print(to_line(result) + "\n");
    }
    return 0;
}

}  // namespace noded::nodectl
