// See propagation.h.
#include "plugins/container/propagation.h"

#include <vector>

namespace noded::container {
namespace {

bool has_option(const Mount& mount, std::string_view name) {
    const std::string all = "," + mount.options + ",";
    return all.find("," + std::string(name) + ",") != std::string::npos ||
           all.find(",r" + std::string(name) + ",") != std::string::npos;
}

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    while (!line.empty()) {
        const size_t space = std::min(line.find(' '), line.size());
        words.emplace_back(line.substr(0, space));
        line.remove_prefix(std::min(space + 1, line.size()));
    }
    return words;
}

/// "\\040" is a space.
std::string unescaped(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) {
            out += text[i];
            continue;
        }
        out += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return out;
}

bool is_below(const std::string& path, const std::string& folder) {
    if (folder == "/" || path == folder) return true;
    return path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace

bool wants_peers(const Mount& mount) {
    return mount.type == "bind" && (has_option(mount, "shared") || has_option(mount, "slave"));
}

Status check_peers(const Mount& mount, std::string_view mountinfo) {
    std::string holder;
    bool shared = false, slave = false;
    while (!mountinfo.empty()) {
        const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
        const std::vector<std::string> words = words_of(mountinfo.substr(0, end));
        mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
        if (words.size() < 7) continue;
        // One that was mounted later on the same place hides the earlier.
        const std::string place = unescaped(words[4]);
        if (place.size() < holder.size() || !is_below(mount.source, place)) continue;
        holder = place;
        shared = slave = false;
        for (size_t i = 6; i < words.size() && words[i] != "-"; ++i) {
            shared |= words[i].starts_with("shared:");
            slave |= words[i].starts_with("master:");
        }
    }
    const bool wants_shared = has_option(mount, "shared");
    if (shared || (slave && !wants_shared)) return {};
    return fail("path " + mount.source + " is mounted on " + holder + " but it is not a shared" +
                (wants_shared ? "" : " or slave") + " mount");
}

}  // namespace noded::container
