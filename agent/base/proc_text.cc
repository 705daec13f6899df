// See proc_text.h.
#include "agent/base/proc_text.h"

#include <algorithm>
#include <charconv>

namespace noded {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(separator, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

bool has_word(std::string_view list, std::string_view word) {
    return std::ranges::count(split(list, ','), word) > 0;
}

std::optional<MountLine> parse_mount_line(std::string_view line) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return std::nullopt;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 6 || after.size() < 3) return std::nullopt;
    return MountLine{.root = before[3],
                     .place = before[4],
                     .options = before[5],
                     .tags = {before.begin() + 6, before.end()},
                     .type = after[0],
                     .source = after[1],
                     .super_options = after[2]};
}

std::string unescape_mount(std::string_view text) {
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size() ||
            !std::ranges::all_of(text.substr(i + 1, 3), is_octal)) {
            out += text[i];
            continue;
        }
        out += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return out;
}

std::optional<CgroupLine> parse_cgroup_line(std::string_view line) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) return std::nullopt;
    return CgroupLine{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
}

uint64_t start_time_of(std::string_view stat) {
    // The second field is in brackets and may hold anything.
    const size_t close = stat.rfind(')');
    if (close == stat.npos) return 0;
    const auto fields = split(stat.substr(std::min(close + 2, stat.size())), ' ');
    uint64_t ticks = 0;
    if (fields.size() >= 20)
        std::from_chars(fields[19].data(), fields[19].data() + fields[19].size(), ticks);
    return ticks;
}

}  // namespace noded
