// Text to syntax tree: see template_tree.h. First the text is cut at {{ and }}, then each action
// into tokens.
#include <cctype>
#include <charconv>
#include <optional>

#include "tools/nodectl/template_functions.h"
#include "tools/nodectl/template_tree.h"

namespace noded::nodectl {

std::string template_error(std::string_view what) {
    return "template parsing error: template: :1: " + std::string(what);
}

std::string template_error(size_t offset, std::string_view what) {
    return "template parsing error: template: :1:" + std::to_string(offset) + ": " +
           std::string(what);
}

namespace {

constexpr size_t kDepthMax = 64;

struct Token {
    enum class Kind { word, field, variable, text, number, symbol, blank } kind;
    std::string text;
};

bool is_word_byte(char byte) {
    return isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '_' || (byte & 0x80) != 0;
}

size_t word_end(std::string_view source, size_t at) {
    while (at < source.size() && is_word_byte(source[at])) at++;
    return at;
}

/// Reads "…" with escapes or `…`; advances past it. Nothing if it does not end.
std::optional<std::string> take_quoted(std::string_view source, size_t& at) {
    const char quote = source[at++];
    std::string value;
    while (at < source.size() && source[at] != quote) {
        char byte = source[at++];
        if (byte == '\\' && quote == '"' && at < source.size()) {
            byte = source[at++];
            if (byte == 'n') byte = '\n';
            if (byte == 't') byte = '\t';
            if (byte == 'r') byte = '\r';
        }
        value += byte;
    }
    if (at == source.size()) return std::nullopt;
    at++;
    return value;
}

Result<std::vector<Token>> tokenize(std::string_view source, size_t offset) {
    std::vector<Token> tokens;
    size_t at = 0;
    while (at < source.size()) {
        const char byte = source[at];
        const size_t begin = at;
        if (isspace(static_cast<unsigned char>(byte)) != 0) {
            while (at < source.size() && isspace(static_cast<unsigned char>(source[at])) != 0) at++;
            tokens.push_back({Token::Kind::blank, " "});
        } else if (byte == '"' || byte == '`') {
            auto text = take_quoted(source, at);
            if (!text) return fail(template_error(offset, "unterminated quoted string"));
            tokens.push_back({Token::Kind::text, std::move(*text)});
        } else if (byte == '.') {
            at = word_end(source, at + 1);
            tokens.push_back(
                {Token::Kind::field, std::string(source.substr(begin + 1, at - begin - 1))});
        } else if (byte == '$') {
            at = word_end(source, at + 1);
            tokens.push_back(
                {Token::Kind::variable, std::string(source.substr(begin, at - begin))});
        } else if (isdigit(static_cast<unsigned char>(byte)) != 0 || byte == '-') {
            at++;
            while (at < source.size() &&
                   (isalnum(static_cast<unsigned char>(source[at])) != 0 || source[at] == '.'))
                at++;
            tokens.push_back({Token::Kind::number, std::string(source.substr(begin, at - begin))});
        } else if (is_word_byte(byte)) {
            at = word_end(source, at);
            tokens.push_back({Token::Kind::word, std::string(source.substr(begin, at - begin))});
        } else {
            at += source.substr(at).starts_with(":=") ? 2 : 1;
            tokens.push_back({Token::Kind::symbol, std::string(source.substr(begin, at - begin))});
            if (std::string_view("|():=,").find(byte) == std::string_view::npos) {
                return fail(template_error(
                    offset, "unexpected \"" + tokens.back().text + "\" in template"));
            }
        }
    }
    return tokens;
}

/// One action: the tokens between {{ and }}.
class ActionParser {
public:
    ActionParser(std::vector<Token> tokens, std::string source, size_t offset)
        : tokens_(std::move(tokens)), source_(std::move(source)), offset_(offset) {
        skip_blank();
    }

    bool at_end() const { return next_ == tokens_.size(); }
    bool at_word(std::string_view word) const {
        return !at_end() && tokens_[next_].kind == Token::Kind::word && tokens_[next_].text == word;
    }
    bool take_word(std::string_view word) {
        if (!at_word(word)) return false;
        next_++;
        skip_blank();
        return true;
    }

    std::unexpected<Error> error(std::string_view what) const {
        return fail(template_error(offset_, what));
    }

    /// Up to the end, or to the bracket that closes it.
    Result<Pipeline> pipeline(size_t depth = 0) {
        if (depth > kDepthMax) return error("too deeply nested");
        Pipeline result{.variables = {}, .commands = {}, .source = source_, .offset = offset_};
        take_variables(result);
        for (;;) {
            TemplateCommand command;
            while (!at_end() && !at_symbol("|") && !at_symbol(")")) {
                command.push_back(TRY(operand(depth)));
                skip_blank();
            }
            if (command.empty()) return error("missing value for command");
            result.commands.push_back(std::move(command));
            if (!take_symbol("|")) return result;
        }
    }

private:
    void skip_blank() {
        while (!at_end() && tokens_[next_].kind == Token::Kind::blank) next_++;
    }
    bool at_symbol(std::string_view symbol) const {
        return !at_end() && tokens_[next_].kind == Token::Kind::symbol &&
               tokens_[next_].text == symbol;
    }
    bool take_symbol(std::string_view symbol) {
        if (!at_symbol(symbol)) return false;
        next_++;
        skip_blank();
        return true;
    }

    /// "$i, $x :=", "$x =" or nothing.
    void take_variables(Pipeline& pipeline) {
        const size_t begin = next_;
        while (!at_end() && tokens_[next_].kind == Token::Kind::variable) {
            pipeline.variables.push_back(tokens_[next_++].text);
            skip_blank();
            if (take_symbol(",")) continue;
            if (take_symbol(":=")) return;
            pipeline.assigns = take_symbol("=");
            if (pipeline.assigns) return;
            break;
        }
        next_ = begin;
        pipeline.variables.clear();
    }

    Result<Operand> operand(size_t depth) {
        Operand result;
        Token token = tokens_[next_++];
        switch (token.kind) {
            case Token::Kind::field:
                result.kind = Operand::Kind::field;
                if (!token.text.empty()) result.path.push_back(std::move(token.text));
                break;
            case Token::Kind::variable:
                result.kind = Operand::Kind::variable;
                result.name = std::move(token.text);
                break;
            case Token::Kind::text: result.literal = std::move(token.text); break;
            case Token::Kind::number: result.literal = TRY(number(token.text)); break;
            case Token::Kind::word: TRY_STATUS(word(std::move(token.text), result)); break;
            case Token::Kind::symbol:
                if (token.text != "(") return error("unexpected \"" + token.text + "\" in operand");
                skip_blank();
                result.kind = Operand::Kind::nested;
                result.nested.push_back(TRY(pipeline(depth + 1)));
                if (!at_symbol(")")) return error("unclosed left paren");
                next_++;
                break;
            case Token::Kind::blank: return error("unexpected blank");
        }
        while (!at_end() && tokens_[next_].kind == Token::Kind::field) {
            if (!tokens_[next_].text.empty()) result.path.push_back(tokens_[next_].text);
            next_++;
        }
        return result;
    }

    static Status word(std::string text, Operand& result) {
        if (text == "true" || text == "false") {
            result.literal = text == "true";
        } else if (text != "nil") {
            if (!is_template_function(text))
                return fail(template_error("function \"" + text + "\" not defined"));
            result.kind = Operand::Kind::function;
            result.name = std::move(text);
        }
        return {};
    }

    Result<Json> number(const std::string& text) const {
        int64_t whole = 0;
        double real = 0;
        const char* end = text.data() + text.size();
        if (const auto r = std::from_chars(text.data(), end, whole);
            r.ec == std::errc{} && r.ptr == end)
            return Json(whole);
        if (const auto r = std::from_chars(text.data(), end, real);
            r.ec == std::errc{} && r.ptr == end)
            return Json(real);
        return error("bad number syntax: \"" + text + "\"");
    }

    std::vector<Token> tokens_;
    std::string source_;
    size_t offset_;
    size_t next_ = 0;
};

/// The whole template.
class TemplateParser {
public:
    explicit TemplateParser(std::string_view text) : text_(text) {}

    /// Up to the end of the template, or to {{end}} or {{else}} of the block around, which stay for
    /// the caller.
    Result<std::vector<TemplateNode>> block(size_t depth) {
        std::vector<TemplateNode> nodes;
        if (depth > kDepthMax) return fail(template_error(at_, "too deeply nested"));
        for (;;) {
            take_text(nodes);
            if (at_ == text_.size()) {
                if (depth > 0) return fail(template_error(at_, "unexpected EOF"));
                return nodes;
            }
            ActionParser action = TRY(take_action());
            if (action.at_end()) continue;
            if (action.at_word("end") || action.at_word("else")) {
                if (depth == 0) return action.error("unexpected {{end}} or {{else}}");
                closer_.emplace(std::move(action));
                return nodes;
            }
            nodes.push_back(TRY(node(action, depth)));
        }
    }

private:
    void take_text(std::vector<TemplateNode>& nodes) {
        const size_t end = std::min(text_.find("{{", at_), text_.size());
        std::string_view text = text_.substr(at_, end - at_);
        if (trim_next_) trim_left(text);
        if (text_.substr(end).starts_with("{{- ")) trim_right(text);
        if (!text.empty()) {
            TemplateNode node;
            node.text = text;
            nodes.push_back(std::move(node));
        }
        trim_next_ = false;
        at_ = end;
    }

    static void trim_left(std::string_view& text) {
        while (!text.empty() && isspace(static_cast<unsigned char>(text.front())) != 0)
            text.remove_prefix(1);
    }
    static void trim_right(std::string_view& text) {
        while (!text.empty() && isspace(static_cast<unsigned char>(text.back())) != 0)
            text.remove_suffix(1);
    }

    /// The end of the action that begins at `begin`: the first }} outside of quotes.
    size_t action_end(size_t begin) const {
        for (size_t i = begin; i < text_.size(); i++) {
            if (text_[i] == '"' || text_[i] == '`') {
                if (!take_quoted(text_, i)) return std::string_view::npos;
                i--;
            } else if (text_.substr(i).starts_with("}}")) {
                return i;
            }
        }
        return std::string_view::npos;
    }

    Result<ActionParser> take_action() {
        const size_t begin = at_ + 2;
        size_t end = 0;
        std::string_view source = text_.substr(begin);
        const bool comment = source.starts_with("/*") || source.starts_with("- /*");
        end = comment ? text_.find("}}", text_.find("*/", begin)) : action_end(begin);
        if (end == std::string_view::npos) {
            return fail(template_error(comment ? "unclosed comment" : "unclosed action"));
        }
        source = text_.substr(begin, end - begin);
        at_ = end + 2;
        if (source.starts_with("- ")) source.remove_prefix(1);
        if (source.ends_with(" -")) {
            source.remove_suffix(1);
            trim_next_ = true;
        }
        trim_left(source);
        trim_right(source);
        if (comment) source = {};
        return ActionParser(TRY(tokenize(source, begin)), std::string(source), begin);
    }

    Result<TemplateNode> node(ActionParser& action, size_t depth) {
        TemplateNode result;
        const bool leaves = action.at_word("break");
        if (leaves || action.at_word("continue")) {
            if (loops_ == 0)
                return action.error(leaves ? "{{break}} outside {{range}}"
                                           : "{{continue}} outside {{range}}");
            result.kind = leaves ? TemplateNode::Kind::leave : TemplateNode::Kind::next;
            return result;
        }
        if (action.take_word("if")) {
            result.kind = TemplateNode::Kind::choose;
        } else if (action.take_word("range")) {
            result.kind = TemplateNode::Kind::range;
        } else if (action.take_word("with")) {
            result.kind = TemplateNode::Kind::with;
        } else {
            result.kind = TemplateNode::Kind::output;
        }
        result.pipeline = TRY(action.pipeline());
        if (!action.at_end()) return action.error("unexpected right paren");
        const bool loop = result.kind == TemplateNode::Kind::range;
        if (loop) ++loops_;
        if (result.kind != TemplateNode::Kind::output) TRY_STATUS(branches(result, depth));
        if (loop) --loops_;
        return result;
    }

    Status branches(TemplateNode& node, size_t depth) {
        node.body = TRY(block(depth + 1));
        ActionParser closer = take_closer();
        if (!closer.take_word("else")) return {};
        if (closer.at_word("if") || closer.at_word("with")) {
            // {{else if X}} is a choice of its own that shares the {{end}}.
            node.otherwise.push_back(TRY(this->node(closer, depth + 1)));
            return {};
        }
        node.otherwise = TRY(block(depth + 1));
        if (!take_closer().at_word("end"))
            return fail(template_error(at_, "expected end; found {{else}}"));
        return {};
    }

    ActionParser take_closer() {
        ActionParser closer = std::move(*closer_);
        closer_.reset();
        return closer;
    }

    std::string_view text_;
    size_t at_ = 0;
    bool trim_next_ = false;
    size_t loops_ = 0;   ///< around
    std::optional<ActionParser> closer_;
};

}  // namespace

Result<std::vector<TemplateNode>> parse_template(std::string_view text) {
    return TemplateParser(text).block(0);
}

}  // namespace noded::nodectl
