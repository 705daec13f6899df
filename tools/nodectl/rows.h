// Rows: how ps, images and kin print lists: docker's --format (table, table TEMPLATE, json,
// TEMPLATE) and -q.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

struct Row {
    Json fields;                      ///< with docker's names of the fields, all of them text
    Json methods = Json::object();    ///< see Template::render
};

/// `table_format` is used where `format` is empty or "table"; `headers` maps fields to the names of
/// their columns.
Result<std::string> render_rows(const std::vector<Row>& rows, const std::string& format,
                                const std::string& table_format, const Json& headers);

/// One document, for version and info: pretty text if `format` is empty, JSON for "json", otherwise
/// the template.
Result<std::string> render_document(const Json& document, const std::string& format,
                                    const std::string& text);

}  // namespace noded::nodectl
