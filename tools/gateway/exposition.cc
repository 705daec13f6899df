// Metrics as text, see exposition.h.
#include "tools/gateway/exposition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace noded::gateway {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Length of the UTF-8 sequence at the beginning of `text`; 0 if there is none.
size_t sequence_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    // Overlong forms, surrogates, and what is beyond Unicode.
    if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
        (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f))
        return 0;
    return length;
}

void append_value(std::string& out, std::string_view value) {
    while (!value.empty()) {
        const size_t length = sequence_length(value);
        if (length == 0) out += kReplacement;
        else if (value[0] == '\n') out += "\\n";
        else if (value[0] == '"') out += "\\\"";
        else if (value[0] == '\\') out += "\\\\";
        else out += value.substr(0, length);
        value.remove_prefix(length == 0 ? 1 : length);
    }
}

/// Whole numbers as such; others with as many digits as they need.
void append_number(std::string& out, double value) {
    constexpr double kExactMax = 9007199254740992.0;
    char text[64];
    const bool whole = std::trunc(value) == value && std::fabs(value) < kExactMax;
    const auto end = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(value))
                           : std::to_chars(text, text + sizeof text, value);
    out.append(text, end.ptr);
}

const char* word_of(Type type) {
    switch (type) {
        case Type::counter: return "counter";
        case Type::gauge: return "gauge";
        case Type::histogram: return "histogram";
    }
    return "unknown";
}

}  // namespace

std::string labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
    std::string out;
    for (const auto& [name, value] : pairs) {
        if (!out.empty()) out += ',';
        out += name;
        out += "=\"";
        append_value(out, value);
        out += '"';
    }
    return out;
}

std::string number(double value) {
    std::string out;
    append_number(out, value);
    return out;
}

std::string name_part(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const char c = text[0];
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out += plain ? c : '_';
        text.remove_prefix(std::max(sequence_length(text), size_t{1}));
    }
    return out;
}

const char* Exposition::content_type(Format format) {
    return format == Format::text
               ? "text/plain; version=0.0.4; charset=utf-8"
               : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

/// A family without a sample is not told of.
void Exposition::family(std::string_view name, Type type, std::string_view help) {
    constexpr std::string_view kTotal = "_total";
    family_ = name;
    // OpenMetrics' families of counters are named without what their samples end with.
    std::string_view head = name;
    if (format_ == Format::openmetrics && type == Type::counter && head.ends_with(kTotal))
        head.remove_suffix(kTotal.size());
    head_ = "# HELP " + std::string(head) + " " + std::string(help) + "\n# TYPE " +
            std::string(head) + " " + word_of(type) + "\n";
}

void Exposition::sample(std::string_view labels, double value) { sample("", labels, value); }

void Exposition::sample(std::string_view suffix, std::string_view labels, double value) {
    text_ += std::exchange(head_, {});
    text_ += family_;
    text_ += suffix;
    if (!labels.empty()) {
        text_ += '{';
        text_ += labels;
        text_ += '}';
    }
    text_ += ' ';
    append_number(text_, value);
    text_ += '\n';
}

std::string Exposition::take() {
    if (format_ == Format::openmetrics) text_ += "# EOF\n";
    return std::exchange(text_, {});
}

}  // namespace noded::gateway
