// Entry names, see entry_path.h.
#include "plugins/storage/image/entry_path.h"

#include <stdio.h>

#include "plugins/storage/image/limits.h"

namespace noded::image {

std::string show_name(std::string_view name) {
    constexpr size_t shown_max = 200;
    std::string out;
    for (char c : name.substr(0, shown_max)) {
        unsigned byte = static_cast<unsigned char>(c);
        char escaped[5];
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else {
            snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            out += escaped;
        }
    }
    if (name.size() > shown_max) out += "…";
    return out;
}

Result<EntryPath> clean_entry_path(std::string_view raw) {
    auto refuse = [whole = raw](std::string_view why) {
        return fail("entry " + show_name(whole) + " " + std::string(why));
    };
    if (raw.starts_with('/')) return refuse("has an absolute name");
    if (raw.size() > limits::path_bytes_max) return refuse("has a name of more than 4095 bytes");
    if (raw.find('\0') != std::string_view::npos) return refuse("has a NUL byte in its name");
    EntryPath path;
    while (!raw.empty()) {
        size_t slash = raw.find('/');
        std::string_view part = raw.substr(0, slash);
        raw = slash == std::string_view::npos ? "" : raw.substr(slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") return refuse("has \"..\" in its name");
        if (part.size() > limits::name_bytes_max)
            return refuse("has a component of more than 255 bytes in its name");
        path.parent = path.full();
        path.name = part;
    }
    return path;
}

}  // namespace noded::image
