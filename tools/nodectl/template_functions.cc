// See template_functions.h.
#include "tools/nodectl/template_functions.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

namespace noded::nodectl {

const char* type_name(const Json& value) {
    if (value.is_null()) return "nil";
    if (value.is_string()) return "string";
    if (value.is_boolean()) return "bool";
    if (value.is_number_integer()) return "int";
    if (value.is_number()) return "float64";
    return value.is_array() ? "slice" : "map";
}

bool is_true(const Json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (value.is_string()) return !value.get_ref<const std::string&>().empty();
    return !value.empty();
}

std::string to_text(const Json& value) {
    if (value.is_null()) return "<no value>";
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_structured()) return value.dump();
    std::string out = value.is_array() ? "[" : "map[";
    bool first = true;
    for (const auto& item : value.items()) {
        if (!first) out += ' ';
        first = false;
        if (value.is_object()) out += item.key() + ":";
        out += to_text(item.value());
    }
    return out + "]";
}

namespace {

constexpr std::string_view kPointers[] = {"Init",           "PidsLimit",   "OomKillDisable",
                                          "MemorySwappiness", "StopTimeout", "Healthcheck",
                                          "Health",         "IPAMConfig"};
constexpr std::string_view kMaps[] = {"Sysctls", "Tmpfs",      "Volumes",      "Labels",
                                      "Ports",   "StorageOpt", "ExposedPorts", "DriverOpts"};
constexpr std::string_view kLists[] = {
    "Aliases",  "Binds",   "CapAdd",  "CapDrop",     "Cmd",      "DeviceCgroupRules",
    "DeviceRequests", "Devices", "Entrypoint", "Env", "ExecIDs", "ExtraHosts",
    "GroupAdd", "Links",   "MaskedPaths", "Mounts",  "OnBuild",  "ReadonlyPaths",
    "SecondaryIPAddresses", "SecondaryIPv6Addresses", "SecurityOpt", "Shell", "Ulimits",
    "VolumesFrom"};
constexpr std::string_view kOptional[] = {"Init",        "Sysctls",    "Tmpfs",        "Health",
                                          "Healthcheck", "StorageOpt", "StopTimeout",  "Shell",
                                          "ExposedPorts", "Mounts"};

template <size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
    return std::ranges::find(names, name) != std::end(names);
}

}  // namespace

std::string null_text(std::string_view field) {
    if (is_one_of(field, kPointers)) return "<nil>";
    if (is_one_of(field, kMaps)) return "map[]";
    if (is_one_of(field, kLists)) return "[]";
    return to_text(nullptr);
}

bool may_be_absent(std::string_view field) { return is_one_of(field, kOptional); }

namespace {

using Arguments = std::span<const Json>;

std::string map_bytes(std::string text, int (*change)(int)) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [&](unsigned char byte) { return static_cast<char>(change(byte)); });
    return text;
}

Result<Json> join(Arguments arguments) {
    std::string out;
    for (const Json& part : arguments[0]) {
        if (&part != &arguments[0].front()) out += to_text(arguments[1]);
        out += to_text(part);
    }
    return Json(std::move(out));
}

Result<Json> split(Arguments arguments) {
    const std::string text = to_text(arguments[0]);
    const std::string separator = to_text(arguments[1]);
    if (separator.empty()) return fail("split needs a separator");
    Json parts = Json::array();
    size_t begin = 0;
    for (;;) {
        const size_t end = text.find(separator, begin);
        parts.push_back(text.substr(begin, end - begin));
        if (end == std::string::npos) return parts;
        begin = end + separator.size();
    }
}

Result<Json> index(Arguments arguments) {
    Json value = arguments[0];
    for (const Json& key : arguments.subspan(1)) {
        if (value.is_object() && key.is_string()) {
            const auto found = value.find(key.get_ref<const std::string&>());
            // Go answers with the zero value of the map's type; for docker's maps that prints as
            // nothing.
            Json next = found == value.end() ? Json("") : *found;
            value = std::move(next);
        } else if (value.is_array() && key.is_number_integer()) {
            const int64_t at = key.get<int64_t>();
            if (at < 0 || static_cast<size_t>(at) >= value.size()) {
                return fail("error calling index: index out of range: " + std::to_string(at));
            }
            Json next = value[static_cast<size_t>(at)];
            value = std::move(next);
        } else {
            return fail(std::string("error calling index: can't index item of type ") +
                        type_name(value));
        }
    }
    return value;
}

Result<Json> length(Arguments arguments) {
    const Json& value = arguments[0];
    if (value.is_string()) return Json(value.get_ref<const std::string&>().size());
    if (value.is_structured()) return Json(value.size());
    return fail(std::string("error calling len: len of type ") + type_name(value));
}

/// The arguments separated by blanks where neither neighbour is text, as Go's Print.
std::string print(Arguments arguments, bool line) {
    std::string out;
    for (size_t i = 0; i < arguments.size(); i++) {
        const bool texts = i > 0 && (arguments[i].is_string() || arguments[i - 1].is_string());
        if (i > 0 && (line || !texts)) out += ' ';
        out += to_text(arguments[i]);
    }
    return line ? out + "\n" : out;
}

/// One verb of printf: "%-20s", "%06.2f".
struct Directive {
    std::string flags;       ///< of "+-# 0"
    size_t width = 0;
    std::optional<size_t> precision;
    char kind = 0;
};

constexpr size_t kWidthMax = 4096;

/// Of UTF-8.
size_t characters_in(std::string_view text) {
    return static_cast<size_t>(
        std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; }));
}

std::string first_characters(const std::string& text, size_t count) {
    size_t at = 0;
    for (size_t seen = 0; at < text.size(); ++at)
        if ((text[at] & 0xC0) != 0x80 && seen++ == count) break;
    return text.substr(0, at);
}

std::string widened(const std::string& text, const Directive& verb, bool zeros) {
    const size_t size = characters_in(text);
    if (size >= verb.width) return text;
    const size_t missing = verb.width - size;
    if (verb.flags.find('-') != std::string::npos) return text + std::string(missing, ' ');
    if (!zeros || verb.flags.find('0') == std::string::npos)
        return std::string(missing, ' ') + text;
    const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
    return text.substr(0, sign) + std::string(missing, '0') + text.substr(sign);
}

std::string hexadecimal(std::string_view bytes, bool upper) {
    const char* const digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    std::string out;
    for (const char byte : bytes) {
        out += digits[static_cast<unsigned char>(byte) >> 4];
        out += digits[static_cast<unsigned char>(byte) & 15];
    }
    return out;
}

/// In base 2, 8, 10 or 16.
std::string number_text(int64_t number, char kind) {
    char text[72];
    const int base = kind == 'b' ? 2 : kind == 'o' ? 8 : kind == 'd' ? 10 : 16;
    std::string out(text, std::to_chars(text, text + sizeof text, number, base).ptr);
    return kind == 'X' ? map_bytes(std::move(out), toupper) : out;
}

std::string real_text(double number, const Directive& verb) {
    char text[512];
    const std::string format = std::string("%.*") + verb.kind;
    const int digits = static_cast<int>(std::min<size_t>(verb.precision.value_or(6), 64));
    const bool shortest = verb.kind == 'g' && !verb.precision;
    if (shortest) return Json(number).dump();
    snprintf(text, sizeof text, format.c_str(), digits, number);
    return text;
}

/// Flags, width and precision as Go has them.
std::string format_one(const Directive& verb, const Json& value) {
    const char kind = verb.kind;
    const bool plus = verb.flags.find('+') != std::string::npos;
    if (value.is_number_integer() && std::string_view("bdoxX").find(kind) != std::string::npos) {
        const auto number = value.get<int64_t>();
        return widened((plus && number >= 0 ? "+" : "") + number_text(number, kind), verb, true);
    }
    if (value.is_number() && std::string_view("eEfFgG").find(kind) != std::string::npos) {
        const auto number = value.get<double>();
        return widened((plus && number >= 0 ? "+" : "") + real_text(number, verb), verb, true);
    }
    if (value.is_string() && (kind == 'x' || kind == 'X'))
        return widened(hexadecimal(to_text(value), kind == 'X'), verb, false);
    if (kind == 'q') return widened(to_line(Json(to_text(value))), verb, false);
    if (kind == 's' || kind == 'v' || (kind == 't' && value.is_boolean())) {
        std::string text = to_text(value);
        if (verb.precision && value.is_string()) text = first_characters(text, *verb.precision);
        return widened(text, verb, false);
    }
    return std::string("%!") + kind + "(" + type_name(value) + "=" + to_text(value) + ")";
}

/// What stands at `at`, behind the percent sign; moves `at` to its last character.
Result<Directive> parse_directive(const std::string& format, size_t& at) {
    Directive verb;
    const auto number = [&]() -> Result<size_t> {
        size_t value = 0;
        for (; at < format.size() && isdigit(static_cast<unsigned char>(format[at])) != 0; ++at) {
            value = value * 10 + static_cast<size_t>(format[at] - '0');
            if (value > kWidthMax) return fail("error calling printf: bad format " + format);
        }
        return value;
    };
    while (at < format.size() && std::string_view("+-# 0").find(format[at]) != std::string::npos)
        verb.flags += format[at++];
    verb.width = TRY(number());
    if (at < format.size() && format[at] == '.') {
        ++at;
        verb.precision = TRY(number());
    }
    if (at == format.size()) return fail("error calling printf: bad format " + format);
    verb.kind = format[at];
    return verb;
}

Result<Json> formatted(Arguments arguments) {
    const std::string format = to_text(arguments[0]);
    std::string out;
    size_t next = 1;
    for (size_t i = 0; i < format.size(); i++) {
        if (format[i] != '%') {
            out += format[i];
            continue;
        }
        const Directive verb = TRY(parse_directive(format, ++i));
        if (verb.kind == '%') {
            out += '%';
        } else if (next < arguments.size()) {
            out += format_one(verb, arguments[next++]);
        } else {
            (out += "%!") += verb.kind;
            out += "(MISSING)";
        }
    }
    return Json(std::move(out));
}

/// -1, 0, 1; nothing for values that have no order.
Result<int> compare(std::string_view name, const Json& left, const Json& right) {
    if (left.is_number() && right.is_number()) {
        return left < right ? -1 : right < left ? 1 : 0;
    }
    if (left.type() != right.type())
        return fail("error calling " + std::string(name) + ": incompatible types for comparison");
    return left < right ? -1 : right < left ? 1 : 0;
}

Result<Json> compared(std::string_view name, Arguments arguments) {
    if (name == "eq") {
        for (const Json& other : arguments.subspan(1)) {
            if (TRY(compare(name, arguments[0], other)) == 0) return Json(true);
        }
        return Json(false);
    }
    const int order = TRY(compare(name, arguments[0], arguments[1]));
    if (name == "ne") return Json(order != 0);
    if (name == "lt") return Json(order < 0);
    if (name == "le") return Json(order <= 0);
    if (name == "gt") return Json(order > 0);
    return Json(order >= 0);
}

Result<Json> chosen(std::string_view name, Arguments arguments) {
    const bool stop_at = name == "or";
    for (const Json& value : arguments) {
        if (is_true(value) == stop_at) return value;
    }
    return arguments.back();
}

Result<Json> padded(Arguments arguments) {
    const auto blanks = [](const Json& count) {
        const int64_t number = count.is_number_integer() ? count.get<int64_t>() : 0;
        return std::string(static_cast<size_t>(std::clamp<int64_t>(number, 0, 1024)), ' ');
    };
    const std::string text = to_text(arguments[0]);
    return Json(text.empty() ? text : blanks(arguments[1]) + text + blanks(arguments[2]));
}

Result<Json> truncated(Arguments arguments) {
    const int64_t count = arguments[1].is_number_integer() ? arguments[1].get<int64_t>() : 0;
    return Json(to_text(arguments[0]).substr(0, static_cast<size_t>(std::max<int64_t>(count, 0))));
}

Result<Json> title(Arguments arguments) {
    std::string text = to_text(arguments[0]);
    for (size_t i = 0; i < text.size(); i++) {
        const auto before = static_cast<unsigned char>(i == 0 ? ' ' : text[i - 1]);
        if (isalnum(before) == 0 && before != '_' && before < 128)
            text[i] = static_cast<char>(toupper(static_cast<unsigned char>(text[i])));
    }
    return Json(std::move(text));
}

/// Of a text by bytes, or of a list.
Result<Json> sliced(Arguments arguments) {
    const Json& whole = arguments[0];
    if (!whole.is_string() && !whole.is_array())
        return fail("error calling slice: can't slice item of type " +
                    std::string(type_name(whole)));
    const auto size = static_cast<int64_t>(
        whole.is_string() ? whole.get_ref<const std::string&>().size() : whole.size());
    int64_t bounds[2] = {0, size};
    for (size_t i = 1; i < arguments.size(); ++i) {
        const int64_t bound = arguments[i].is_number_integer() ? arguments[i].get<int64_t>() : -1;
        if (bound < 0 || bound > size)
            return fail("error calling slice: index out of range: " + to_text(arguments[i]));
        bounds[i - 1] = bound;
    }
    const auto [from, to] = bounds;
    if (from > to)
        return fail("error calling slice: invalid slice index: " + std::to_string(from) + " > " +
                    std::to_string(to));
    if (whole.is_string())
        return Json(whole.get_ref<const std::string&>().substr(size_t(from), size_t(to - from)));
    Json part = Json::array();
    for (int64_t i = from; i < to; ++i) part.push_back(whole[size_t(i)]);
    return part;
}

Result<Json> as_json(Arguments arguments) { return Json(to_line(arguments[0])); }
Result<Json> upper(Arguments arguments) { return Json(map_bytes(to_text(arguments[0]), toupper)); }
Result<Json> lower(Arguments arguments) { return Json(map_bytes(to_text(arguments[0]), tolower)); }
Result<Json> negated(Arguments arguments) { return Json(!is_true(arguments[0])); }
Result<Json> printed(Arguments arguments) { return Json(print(arguments, false)); }
Result<Json> printed_line(Arguments arguments) { return Json(print(arguments, true)); }

constexpr size_t kAny = 64;

/// What stands for each byte of the arguments, printed one after the other; nothing: itself.
Result<Json> escaped(Arguments arguments, std::string (*change)(unsigned char)) {
    std::string out;
    for (const char byte : print(arguments, false)) {
        const std::string other = change(static_cast<unsigned char>(byte));
        if (other.empty()) out += byte;
        else out += other;
    }
    return Json(std::move(out));
}

std::string in_html(unsigned char byte) {
    switch (byte) {
        case '"': return "&#34;";
        case '\'': return "&#39;";
        case '&': return "&amp;";
        case '<': return "&lt;";
        case '>': return "&gt;";
        default: return "";
    }
}

std::string in_javascript(unsigned char byte) {
    if (byte == '\\' || byte == '\'' || byte == '"') return {'\\', static_cast<char>(byte)};
    if (byte >= ' ' && strchr("<>&=", byte) == nullptr) return "";
    return "\\u00" + hexadecimal({reinterpret_cast<const char*>(&byte), 1}, true);
}

std::string in_query(unsigned char byte) {
    if (byte == ' ') return "+";
    if (isalnum(byte) != 0 || (byte != 0 && strchr("-_.~", byte) != nullptr)) return "";
    return "%" + hexadecimal({reinterpret_cast<const char*>(&byte), 1}, true);
}

Result<Json> html(Arguments arguments) { return escaped(arguments, in_html); }
Result<Json> js(Arguments arguments) { return escaped(arguments, in_javascript); }
Result<Json> urlquery(Arguments arguments) { return escaped(arguments, in_query); }

struct Function {
    std::string_view name;
    size_t arguments_min;
    size_t arguments_max;
    Result<Json> (*call)(Arguments);
};

constexpr Function kFunctions[] = {
    {"json", 1, 1, as_json}, {"upper", 1, 1, upper}, {"lower", 1, 1, lower}, {"title", 1, 1, title},
    {"join", 2, 2, join}, {"split", 2, 2, split}, {"index", 1, kAny, index}, {"len", 1, 1, length},
    {"not", 1, 1, negated}, {"print", 0, kAny, printed}, {"println", 0, kAny, printed_line},
    {"printf", 1, kAny, formatted}, {"pad", 3, 3, padded}, {"truncate", 2, 2, truncated},
    {"slice", 1, 3, sliced}, {"html", 1, kAny, html}, {"js", 1, kAny, js},
    {"urlquery", 1, kAny, urlquery},
};

constexpr std::string_view kComparisons[] = {"eq", "ne", "lt", "le", "gt", "ge"};

}  // namespace

bool is_template_function(std::string_view name) {
    return is_one_of(name, kComparisons) || name == "and" || name == "or" ||
           std::ranges::find(kFunctions, name, &Function::name) != std::end(kFunctions);
}

Result<Json> call_template_function(std::string_view name, Arguments arguments) {
    const auto wrong_count = [&] { return fail("wrong number of args for " + std::string(name)); };
    for (const Function& function : kFunctions) {
        if (function.name != name) continue;
        if (arguments.size() < function.arguments_min || arguments.size() > function.arguments_max)
            return wrong_count();
        return function.call(arguments);
    }
    if (is_one_of(name, kComparisons)) {
        if (arguments.size() < 2 || (name != "eq" && arguments.size() > 2)) return wrong_count();
        return compared(name, arguments);
    }
    if (name == "and" || name == "or")
        return arguments.empty() ? wrong_count() : chosen(name, arguments);
    return fail("function \"" + std::string(name) + "\" not defined");
}

}  // namespace noded::nodectl
