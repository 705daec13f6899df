// nodectl plugin inspect: what a plugin declares, where its state comes from, and why it was
// refused.
#include "tools/nodectl/plugin_json.h"
#include "tools/nodectl/template.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// By id; a refused file that has none, by the name of the file.
Result<Json> find_plugin(const capnp::List<schema::Plugin>::Reader& plugins,
                         const std::string& name) {
    for (const auto plugin : plugins) {
        if (name == plugin.getId().cStr()) return plugin_json(plugin);
    }
    for (const auto plugin : plugins) {
        if (plugin_row(plugin).fields["ID"] == name || name == plugin.getFile().cStr())
            return plugin_json(plugin);
    }
    return fail("No such plugin: " + name);
}

}  // namespace

int plugin_inspect(Invocation& call) {
    std::string format;
    const Option options[] = {
        {'f', "format", &format, "string", "Format output using a Go template, or json"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    const bool one_by_one = !format.empty() && format != "json";
    const Template compiled = OR_FAIL(call, Template::parse(one_by_one ? format : ""));
    const auto response =
        OR_FAIL(call, call.session.wait(call.session.node().pluginsRequest().send()));
    Json found = Json::array();
    std::vector<Error> errors;
    for (const std::string& name : call.arguments) {
        auto plugin = find_plugin(response.getPlugins(), name);
        if (!plugin) {
            errors.push_back(plugin.error());
        } else if (one_by_one) {
            print(OR_FAIL(call, compiled.render(*plugin)) + "\n");
        } else {
            found.push_back(std::move(*plugin));
        }
    }
    if (!one_by_one) print((format == "json" ? to_line(found) : to_pretty(found)) + "\n");
    int status = 0;
    for (const Error& error : errors) status = call.failed(error);
    return status;
}

}  // namespace noded::nodectl
