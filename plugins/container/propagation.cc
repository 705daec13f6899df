// See propagation.h.
#include "plugins/container/propagation.h"

#include <vector>

namespace noded::container {
namespace {

bool asks_for(const Mount& mount, const std::string& propagation) {
    return has_word(mount.options, propagation) || has_word(mount.options, "r" + propagation);
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

}  // namespace

bool wants_peers(const Mount& mount) {
    return mount.type == "bind" && (asks_for(mount, "shared") || asks_for(mount, "slave"));
}

Status check_peers(const Mount& mount, std::string_view line) {
    bool shared = false, slave = false;
    const std::vector<std::string> words = words_of(line);
    for (size_t i = 6; i < words.size() && words[i] != "-"; ++i) {
        shared |= words[i].starts_with("shared:");
        slave |= words[i].starts_with("master:");
    }
    const bool wants_shared = asks_for(mount, "shared");
    if (shared || (slave && !wants_shared)) return {};
    const std::string holder = words.size() > 4 ? unescaped(words[4]) : "a mount that is not known";
    return fail("path " + mount.source + " is mounted on " + holder + " but it is not a shared" +
                (wants_shared ? "" : " or slave") + " mount");
}

}  // namespace noded::container
