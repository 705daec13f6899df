// Template: the part of Go's text/template that people use with docker's --format, over Json.
//
// Text, {{pipelines}}, {{if}}/{{else if}}/{{else}}, {{range}}, {{with}}, variables, {{- trimming
// -}}, comments, and the functions that docker adds (json, join, split, upper, lower, title, pad,
// truncate, println) beside Go's own (and, or, not, eq …, index, len, print, printf). A field that
// is not there is an error, as in docker. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

struct TemplateNode;

class Template {
public:
    static Result<Template> parse(std::string_view text);

    /// `methods` holds fields of the top level that `{{json .}}` does not show; an object among
    /// them takes an argument: {{.Label "key"}}.
    Result<std::string> render(const Json& data, const Json& methods = Json::object()) const;

    /// The line of a table's headers: functions leave their names as they are.
    Result<std::string> render_headers(const Json& names, const Json& methods) const;

    Template(Template&&) noexcept;
    Template& operator=(Template&&) noexcept;
    ~Template();

private:
    Template();
    std::unique_ptr<std::vector<TemplateNode>> nodes_;
};

}  // namespace noded::nodectl
