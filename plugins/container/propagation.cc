// See propagation.h.
#include "plugins/container/propagation.h"

#include <algorithm>

#include "agent/base/proc_text.h"

namespace noded::container {
namespace {

bool asks_for(const Mount& mount, const std::string& propagation) {
    return has_word(mount.options, propagation) || has_word(mount.options, "r" + propagation);
}

}  // namespace

bool wants_peers(const Mount& mount) {
    return mount.type == "bind" && (asks_for(mount, "shared") || asks_for(mount, "slave"));
}

Status check_peers(const Mount& mount, std::string_view line) {
    const auto held = parse_mount_line(line);
    const auto is = [&](std::string_view tag) {
        return held && std::ranges::any_of(held->tags, [&](std::string_view one) {
                   return one.starts_with(tag);
               });
    };
    const bool wants_shared = asks_for(mount, "shared");
    if (is("shared:") || (is("master:") && !wants_shared)) return {};
    const std::string holder =
        held ? unescape_mount(held->place) : "a mount that is not known";
    return fail("path " + mount.source + " is mounted on " + holder + " but it is not a shared" +
                (wants_shared ? "" : " or slave") + " mount");
}

}  // namespace noded::container
