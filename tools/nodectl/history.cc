// nodectl history: how an image was made, step by step, as the image itself tells it.
#include "tools/nodectl/image_json.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr const char* kTable =
    "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

const Json& headers() {
    static const Json names = {
        {"Comment", "COMMENT"}, {"CreatedAt", "CREATED AT"}, {"CreatedBy", "CREATED BY"},
        {"CreatedSince", "CREATED"}, {"ID", "IMAGE"}, {"Size", "SIZE"},
    };
    return names;
}

}  // namespace

int history(Invocation& call) {
    bool human = true;
    bool no_trunc = false;
    bool quiet = false;
    std::string format;
    const Option options[] = {
        {0, "format", &format, "string", "table, 'table TEMPLATE', json, or a Go template"},
        {'H', "human", &human, "",
         "Print sizes and dates in human readable format (default true)"},
        {0, "no-trunc", &no_trunc, "", "Don't truncate output"},
        {'q', "quiet", &quiet, "", "Only show image IDs"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 1})) return *status;
    auto request = call.session.storage().inspectImageRequest();
    request.setReference(call.arguments[0]);
    const auto response = OR_FAIL(call, call.session.wait(request.send()));
    const std::vector<Row> rows =
        history_rows(response.getImage(), {!no_trunc, human, call.session.now_ns()});
    if (quiet && format.empty()) format = "{{.ID}}";
    print(OR_FAIL(call, render_rows(rows, format, kTable, headers())));
    return 0;
}

}  // namespace noded::nodectl
