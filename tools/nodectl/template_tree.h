// The syntax tree of a template: built by template_parser.cc, walked by template.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

struct Pipeline;

struct Operand {
    enum class Kind { field, variable, function, literal, nested } kind = Kind::literal;
    std::string name;               ///< of a variable or function
    std::vector<std::string> path;  ///< fields that follow: .State.Status
    Json literal;
    std::vector<Pipeline> nested;   ///< exactly one, for (…)
};

/// The first operand is a function or a value; the others are its arguments.
using TemplateCommand = std::vector<Operand>;

struct Pipeline {
    std::vector<std::string> variables;  ///< $i, $x := …
    bool assigns = false;                ///< "=": to those that there are
    std::vector<TemplateCommand> commands;
    std::string source;                  ///< for messages
    size_t offset = 0;                   ///< in the template, for messages
};

struct TemplateNode {
    enum class Kind { text, output, choose, range, with, leave, next } kind = Kind::text;
    std::string text;
    Pipeline pipeline;
    std::vector<TemplateNode> body;
    std::vector<TemplateNode> otherwise;  ///< {{else}}
};

Result<std::vector<TemplateNode>> parse_template(std::string_view text);

/// "template parsing error: template: :1:2: WHAT", as docker words it.
std::string template_error(size_t offset, std::string_view what);
/// Of the template as a whole, or of a word in it.
std::string template_error(std::string_view what);

}  // namespace noded::nodectl
