// nodectl plugin ls: the plugins that noded knows, and why one was refused.
#include "tools/nodectl/plugin_json.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr const char* kTable =
    "{{.ID}}\t{{.Version}}\t{{.Status}}\t{{.ABI}}\t{{.Commands}}\t{{.Events}}\t{{if "
    ".Reason}}{{.Reason}}{{else}}"
    "{{.Description}}{{end}}";

const Json& headers() {
    static const Json names = {
        {"ID", "PLUGIN"},
        {"Version", "VERSION"},
        {"Status", "STATUS"},
        {"ABI", "ABI"},
        {"Commands", "COMMANDS"},
        {"Events", "EVENTS"},
        {"Description", "DESCRIPTION"},
        {"Reason", "DESCRIPTION OR REASON"},
        {"File", "FILE"},
    };
    return names;
}

}  // namespace

int plugin_ls(Invocation& call) {
    std::string format;
    bool quiet = false;
    const Option options[] = {
        {0, "format", &format, "string", "table, 'table TEMPLATE', json, or a Go template"},
        {'q', "quiet", &quiet, "", "Only display plugin IDs"},
    };
    if (const auto status = call.parse(options, {.max = 0})) return *status;
    const auto response =
        OR_FAIL(call, call.session.wait(call.session.node().pluginsRequest().send()));
    std::vector<Row> rows;
    for (const auto plugin : response.getPlugins()) rows.push_back(plugin_row(plugin));
    if (quiet && format.empty()) format = "{{.ID}}";
    print(OR_FAIL(call, render_rows(rows, format, kTable, headers())));
    return 0;
}

}  // namespace noded::nodectl
