// Walks the tree of a template over Json. See template.h.
#include "tools/nodectl/template.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/nodectl/template_functions.h"
#include "tools/nodectl/template_tree.h"

namespace noded::nodectl {
namespace {

bool changes_text(std::string_view function) {
    constexpr std::string_view kNames[] = {"json", "lower", "title", "truncate", "upper"};
    return std::ranges::find(kNames, function) != std::end(kNames);
}

class Renderer {
public:
    Renderer(const Json& root, const Json& methods, bool headers)
        : root_(root), methods_(methods), headers_(headers) {
        variables_.emplace_back("$", root);
    }

    Status walk(const std::vector<TemplateNode>& nodes, const Json& dot) {
        for (const TemplateNode& node : nodes) {
            TRY_STATUS(visit(node, dot));
            if (leaves_ || next_) break;
        }
        return {};
    }

    std::string take() { return std::move(out_); }

private:
    Status visit(const TemplateNode& node, const Json& dot) {
        if (node.kind == TemplateNode::Kind::text) {
            out_ += node.text;
            return {};
        }
        leaves_ = node.kind == TemplateNode::Kind::leave;
        next_ = node.kind == TemplateNode::Kind::next;
        if (leaves_ || next_) return {};
        const Json value = TRY(pipeline(node.pipeline, dot));
        const size_t scope = variables_.size();
        const auto& names = node.pipeline.variables;
        switch (node.kind) {
            case TemplateNode::Kind::text:
            case TemplateNode::Kind::leave:
            case TemplateNode::Kind::next: break;
            case TemplateNode::Kind::output:
                // A variable prints nothing and stays until the block around ends.
                if (names.empty())
                    out_ += value.is_null() ? null_text(last_field(node.pipeline)) : to_text(value);
                return set_variables(node.pipeline, value);
            case TemplateNode::Kind::choose:
                TRY_STATUS(set_variables(node.pipeline, value));
                TRY_STATUS(walk(is_true(value) ? node.body : node.otherwise, dot));
                break;
            case TemplateNode::Kind::with:
                TRY_STATUS(set_variables(node.pipeline, value));
                TRY_STATUS(is_true(value) ? walk(node.body, value) : walk(node.otherwise, dot));
                break;
            case TemplateNode::Kind::range: TRY_STATUS(range(node, value, dot)); break;
        }
        variables_.resize(scope, {"", Json()});
        return {};
    }

    Status set_variables(const Pipeline& pipeline, const Json& value) {
        for (const std::string& name : pipeline.variables) {
            if (!pipeline.assigns) {
                variables_.emplace_back(name, value);
                continue;
            }
            const auto found = std::find_if(variables_.rbegin(), variables_.rend(),
                                            [&](const auto& one) { return one.first == name; });
            if (found == variables_.rend())
                return failure(pipeline, "undefined variable \"" + name + "\"");
            found->second = value;
        }
        return {};
    }

    Status range(const TemplateNode& node, const Json& value, const Json& dot) {
        if (value.empty()) return walk(node.otherwise, dot);
        if (!value.is_structured())
            return failure(node.pipeline, "range can't iterate over " + to_text(value));
        int64_t index = 0;
        for (const auto& item : value.items()) {
            const size_t scope = variables_.size();
            const auto& names = node.pipeline.variables;
            const Json key = value.is_array() ? Json(index) : Json(item.key());
            if (names.size() == 2) variables_.emplace_back(names[0], key);
            if (!names.empty()) variables_.emplace_back(names.back(), item.value());
            TRY_STATUS(walk(node.body, item.value()));
            variables_.resize(scope, {"", Json()});
            index++;
            next_ = false;
            if (std::exchange(leaves_, false)) break;
        }
        return {};
    }

    Result<Json> pipeline(const Pipeline& pipeline, const Json& dot) {
        Json value;
        for (size_t i = 0; i < pipeline.commands.size(); i++) {
            const Json* piped = i > 0 ? &value : nullptr;
            value = TRY(command(pipeline, pipeline.commands[i], piped, dot));
        }
        return value;
    }

    Result<Json> command(const Pipeline& pipeline, const TemplateCommand& command,
                         const Json* piped, const Json& dot) {
        std::vector<Json> arguments;
        for (size_t i = 1; i < command.size(); i++)
            arguments.push_back(TRY(operand(pipeline, command[i], dot)));
        if (piped != nullptr) arguments.push_back(*piped);
        const Operand& first = command.front();
        if (first.kind == Operand::Kind::function) {
            // A column's header is not cut or changed with what stands below it, as in docker.
            if (headers_ && !arguments.empty() && changes_text(first.name)) return arguments[0];
            auto called = call_template_function(first.name, arguments);
            if (!called) return failure(pipeline, called.error().message);
            return fields(pipeline, std::move(*called), first.path, 0, false);
        }
        Json value = TRY(operand(pipeline, first, dot));
        if (arguments.empty()) return value;
        if (!value.is_object() || arguments.size() != 1 || !arguments[0].is_string()) {
            return failure(pipeline, "can't give argument to non-function");
        }
        const auto found = value.find(arguments[0].get_ref<const std::string&>());
        return found == value.end() ? Json("") : *found;
    }

    Result<Json> operand(const Pipeline& pipeline, const Operand& operand, const Json& dot) {
        switch (operand.kind) {
            case Operand::Kind::literal: return operand.literal;
            case Operand::Kind::field:
                return fields(pipeline, dot, operand.path, 0, &dot == &root_);
            case Operand::Kind::nested:
                return fields(pipeline, TRY(this->pipeline(operand.nested.front(), dot)),
                              operand.path, 0, false);
            case Operand::Kind::variable:
                for (auto found = variables_.rbegin(); found != variables_.rend(); ++found) {
                    if (found->first != operand.name) continue;
                    return fields(pipeline, found->second, operand.path, 0, operand.name == "$");
                }
                return failure(pipeline, "undefined variable \"" + operand.name + "\"");
            case Operand::Kind::function: {
                auto called = call_template_function(operand.name, {});
                if (!called) return failure(pipeline, called.error().message);
                return called;
            }
        }
        return failure(pipeline, "unknown operand");
    }

    Result<Json> fields(const Pipeline& pipeline, Json value, const std::vector<std::string>& path,
                        size_t from, bool at_root) const {
        for (size_t i = from; i < path.size(); i++) {
            const std::string& name = path[i];
            if (value.is_null())
                return failure(pipeline, "nil pointer evaluating interface {}." + name);
            if (!value.is_object()) {
                return failure(pipeline,
                               "can't evaluate field " + name + " in type " + type_name(value));
            }
            if (auto found = value.find(name); found != value.end()) {
                Json next = std::move(*found);
                value = std::move(next);
            } else if (at_root && i == 0 && methods_.contains(name)) {
                value = methods_.at(name);
            } else if (i + 1 == path.size() && may_be_absent(name)) {
                value = nullptr;
            } else {
                return failure(pipeline, "map has no entry for key \"" + name + "\"");
            }
        }
        return value;
    }

    /// What a pipeline that is only a field prints; else empty.
    static std::string last_field(const Pipeline& pipeline) {
        if (pipeline.commands.size() != 1 || pipeline.commands[0].size() != 1) return "";
        const Operand& operand = pipeline.commands[0][0];
        return operand.path.empty() ? "" : operand.path.back();
    }

    static std::unexpected<Error> failure(const Pipeline& pipeline, const std::string& what) {
        return fail(template_error(pipeline.offset,
                                   "executing \"\" at <" + pipeline.source + ">: " + what));
    }

    const Json& root_;
    const Json& methods_;
    const bool headers_;
    bool leaves_ = false;   ///< the loop around ends
    bool next_ = false;     ///< its turn ends
    std::vector<std::pair<std::string, Json>> variables_;
    std::string out_;
};

}  // namespace

Template::Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
    Template result;
    result.nodes_ = std::make_unique<std::vector<TemplateNode>>(TRY(parse_template(text)));
    return result;
}

Result<std::string> Template::render(const Json& data, const Json& methods) const {
    Renderer renderer(data, methods, false);
    TRY_STATUS(renderer.walk(*nodes_, data));
    return renderer.take();
}

Result<std::string> Template::render_headers(const Json& names, const Json& methods) const {
    Renderer renderer(names, methods, true);
    TRY_STATUS(renderer.walk(*nodes_, names));
    return renderer.take();
}

}  // namespace noded::nodectl
