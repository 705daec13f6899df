// See detach_keys.h.
#include "tools/nodectl/detach_keys.h"

namespace noded::nodectl {
namespace {

/// The byte of one key, or -1.
int key_byte(std::string_view key) {
    if (key.size() == 1) return static_cast<unsigned char>(key[0]);
    if (key.size() != 6 || !key.starts_with("ctrl-")) return -1;
    const char letter = key[5];
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 1;
    if (letter == '@') return 0;
    if (letter >= '[' && letter <= '_') return letter - '[' + 27;
    return -1;
}

}  // namespace

Result<std::string> parse_detach_keys(std::string_view text) {
    std::string keys;
    std::string_view rest = text;
    for (;;) {
        const size_t comma = rest.find(',');
        const int byte = key_byte(rest.substr(0, comma));
        if (byte < 0) {
            return fail("invalid detach keys \"" + std::string(text) +
                        "\": use single characters or ctrl-X, separated by commas");
        }
        keys += static_cast<char>(byte);
        if (comma == std::string_view::npos) return keys;
        rest.remove_prefix(comma + 1);
    }
}

bool DetachMatcher::feed(std::string_view typed, std::string& out) {
    for (const char byte : typed) {
        // On a mismatch the longest end of what was typed that may still begin the sequence stays
        // held.
        while (matched_ > 0 && byte != keys_[matched_]) {
            const std::string held = keys_.substr(0, matched_);
            size_t shorter = matched_ - 1;
            while (shorter > 0 && !held.ends_with(std::string_view(keys_).substr(0, shorter)))
                shorter--;
            out.append(held, 0, matched_ - shorter);
            matched_ = shorter;
        }
        if (byte != keys_[matched_]) {
            out += byte;
            continue;
        }
        if (++matched_ == keys_.size()) return true;
    }
    return false;
}

}  // namespace noded::nodectl
