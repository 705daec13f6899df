// See log_prefix.h.
#include "tools/nodectl/log_prefix.h"

#include <algorithm>

namespace noded::nodectl {
namespace {

/// A line without end is cut into pieces of this size.
constexpr size_t kOpenBytesMax = 64 << 10;
/// Those that docker compose goes through: cyan, yellow, green, magenta, blue, then bright ones.
constexpr const char* kColours[] = {"36", "33", "32", "35", "34",
                                    "96", "93", "92", "95", "94"};

}  // namespace

void LogPrefix::add(LogStream stream, std::string_view text) {
    if (prefix_.empty()) return sink_(stream, text);
    std::string& open = open_[static_cast<size_t>(stream)];
    while (!text.empty()) {
        const size_t newline = text.find('\n');
        const size_t size = newline == text.npos ? text.size() : newline + 1;
        open += text.substr(0, size);
        text.remove_prefix(size);
        if (newline == std::string_view::npos && open.size() < kOpenBytesMax) continue;
        if (open.back() != '\n') open += '\n';
        sink_(stream, prefix_ + open);
        open.clear();
    }
}

void LogPrefix::finish() {
    for (const LogStream stream : {LogStream::standard_output, LogStream::standard_error}) {
        std::string& open = open_[static_cast<size_t>(stream)];
        if (!open.empty()) sink_(stream, prefix_ + open + "\n");
        open.clear();
    }
}

std::vector<std::string> log_prefixes(const std::vector<std::string>& names, bool coloured) {
    size_t width = 0;
    for (const std::string& name : names) width = std::max(width, name.size());
    std::vector<std::string> prefixes;
    for (const std::string& name : names) {
        std::string prefix = name + std::string(width - name.size(), ' ') + "  | ";
        if (coloured)
            prefix = std::string("\033[") + kColours[prefixes.size() % std::size(kColours)] + "m" +
                     prefix + "\033[0m";
        prefixes.push_back(std::move(prefix));
    }
    return prefixes;
}

}  // namespace noded::nodectl
