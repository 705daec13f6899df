// See table.h.
#include "tools/nodectl/table.h"

#include <algorithm>
#include <vector>

namespace noded::nodectl {
namespace {

constexpr size_t kPadding = 3;

bool starts_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

size_t character_count(std::string_view text) {
    return std::count_if(text.begin(), text.end(), starts_character);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

}  // namespace

std::string align_tabs(std::string_view text, size_t column_width_min) {
    const bool ends_line = text.ends_with('\n');
    if (ends_line) text.remove_suffix(1);
    std::vector<std::vector<std::string_view>> lines;
    std::vector<size_t> widths;
    for (const std::string_view line : split(text, '\n')) {
        lines.push_back(split(line, '\t'));
        const auto& cells = lines.back();
        if (widths.size() < cells.size()) widths.resize(cells.size(), column_width_min);
        for (size_t i = 0; i + 1 < cells.size(); i++) {
            widths[i] = std::max(widths[i], character_count(cells[i]) + kPadding);
        }
    }
    std::string out;
    for (size_t row = 0; row < lines.size(); row++) {
        if (row > 0) out += '\n';
        for (size_t i = 0; i < lines[row].size(); i++) {
            out += lines[row][i];
            if (i + 1 < lines[row].size())
                out.append(widths[i] - character_count(lines[row][i]), ' ');
        }
    }
    if (ends_line) out += '\n';
    return out;
}

std::string ellipsis(std::string_view text, size_t width) {
    if (character_count(text) <= width || width == 0) return std::string(text);
    size_t characters = 0;
    size_t end = 0;
    for (; end < text.size(); end++) {
        if (starts_character(text[end]) && characters++ == width - 1) break;
    }
    return std::string(text.substr(0, end)) + "…";
}

}  // namespace noded::nodectl
