// See rows.h.
#include "tools/nodectl/rows.h"

#include <algorithm>

#include "tools/nodectl/table.h"
#include "tools/nodectl/template.h"

namespace noded::nodectl {
namespace {

/// People write \t and \n in shells that keep them as two characters.
std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        const bool escape =
            text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n');
        if (escape) i++;
        out += !escape ? text[i] : text[i] == 't' ? '\t' : '\n';
    }
    return out;
}

/// The header of a label's column is the end of its key: {{.Label "com.example.tier"}} is "tier".
Json label_headers(std::string_view text) {
    constexpr std::string_view kCall = ".Label \"";
    Json headers = Json::object();
    for (size_t at = text.find(kCall); at != std::string_view::npos; at = text.find(kCall, at)) {
        at += kCall.size();
        const std::string key(text.substr(at, text.find('"', at) - at));
        std::string header = key.substr(key.rfind('.') + 1);
        std::ranges::replace(header, '-', ' ');
        std::ranges::replace(header, '_', ' ');
        headers[key] = header;
    }
    return headers;
}

}  // namespace

Result<std::string> render_rows(const std::vector<Row>& rows, const std::string& format,
                                const std::string& table_format, const Json& headers) {
    std::string out;
    if (format == "json") {
        for (const Row& row : rows) out += to_line(row.fields) + "\n";
        return out;
    }
    std::string text = format.empty() || format == "table" ? "table " + table_format : format;
    const bool table = text.starts_with("table ");
    if (table) text.erase(0, 6);
    const Template compiled = TRY(Template::parse(unescape(text)));
    if (table)
        out += TRY(compiled.render_headers(headers, Json{{"Label", label_headers(text)}})) + "\n";
    for (const Row& row : rows) out += TRY(compiled.render(row.fields, row.methods)) + "\n";
    return table ? align_tabs(out) : out;
}

Result<std::string> render_document(const Json& document, const std::string& format,
                                    const std::string& text) {
    if (format.empty()) return text;
    if (format == "json") return to_line(document) + "\n";
    const Template compiled = TRY(Template::parse(unescape(format)));
    return TRY(compiled.render(document)) + "\n";
}

}  // namespace noded::nodectl
