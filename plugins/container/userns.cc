// See userns.h.
#include "plugins/container/userns.h"

#include <algorithm>

#include "agent/base/number.h"
#include "plugins/container/limits.h"

namespace noded::container {
namespace {

/// "FIRST:COUNT"; ids end one below 2^32 - 1, which stands for none.
bool parse_range(std::string_view text, uint32_t& first, uint32_t& count) {
    const size_t colon = text.find(':');
    return colon != std::string_view::npos && to_number(text.substr(0, colon), first) &&
           to_number(text.substr(colon + 1), count) && count > 0 &&
           uint64_t{first} + count < UINT32_MAX;
}

std::string how_to(std::string_view user) {
    return "add the line \"" + std::string(user) +
           ":100000:65536\", or set plugins.container.usernsIds to FIRST:COUNT";
}

}  // namespace

Result<UsernsSettings> UsernsSettings::parse(std::string_view userns, std::string_view ids) {
    UsernsSettings out;
    if (userns != "host" && userns != "remap")
        return fail("the setting userns is \"host\" or \"remap\", not \"" + std::string(userns) +
                    "\"");
    out.remaps_all = userns == "remap";
    if (ids.empty() || ids.size() > limits::user_bytes_max)
        return fail("the setting usernsIds is the name of a user in /etc/subuid, or FIRST:COUNT");
    out.ids = ids;
    uint32_t first = 0;
    uint32_t count = 0;
    if (ids.find(':') != std::string_view::npos && !parse_range(ids, first, count))
        return fail("the setting usernsIds has the range \"" + out.ids +
                    "\": it is FIRST:COUNT, such as 100000:65536");
    if (ids.find(':') != std::string_view::npos && first == 0)
        return fail("the setting usernsIds begins with id 0, which is the host's root");
    return out;
}

bool is_explicit(const UsernsSettings& settings) {
    return settings.ids.find(':') != std::string::npos;
}

Result<std::vector<IdMap>> subordinate_ids(std::string_view text, std::string_view user,
                                           std::string_view file, bool gid) {
    std::vector<IdMap> maps;
    uint32_t next = 0;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos || line.substr(0, colon) != user) continue;
        uint32_t first = 0;
        uint32_t count = 0;
        line.remove_prefix(colon + 1);
        if (!parse_range(line, first, count) || first == 0)
            return fail(std::string(file) + " has the range \"" + std::string(line) + "\" for " +
                        std::string(user) + ", which is none: it is FIRST:COUNT without id 0");
        if (maps.size() == limits::id_maps_max || uint64_t{next} + count >= UINT32_MAX)
            return fail(std::string(file) + " has more ranges for " + std::string(user) +
                        " than the " + std::to_string(limits::id_maps_max) + " that can be used");
        maps.push_back({gid, next, first, count});
        next += count;
    }
    if (maps.empty())
        return fail(std::string(file) + " has no ids for " + std::string(user) + ": " +
                    how_to(user));
    return maps;
}

Userns userns_of(const UsernsSettings& settings, const Result<std::string>& subuid,
                 const Result<std::string>& subgid) {
    Userns out;
    out.remaps_all = settings.remaps_all;
    uint32_t first = 0;
    uint32_t count = 0;
    if (is_explicit(settings)) {
        if (parse_range(settings.ids, first, count))
            out.id_maps = {{false, 0, first, count}, {true, 0, first, count}};
        return out;
    }
    for (const bool gid : {false, true}) {
        const char* file = gid ? "/etc/subgid" : "/etc/subuid";
        const Result<std::string>& text = gid ? subgid : subuid;
        auto maps = text ? subordinate_ids(*text, settings.ids, file, gid)
                         : Result<std::vector<IdMap>>(fail(std::string(file) +
                                                           " cannot be read: " +
                                                           how_to(settings.ids)));
        if (!maps) {
            out.error = maps.error().message;
            out.id_maps.clear();
            return out;
        }
        out.id_maps.insert(out.id_maps.end(), maps->begin(), maps->end());
    }
    return out;
}

Status apply_userns(const Userns& node, Spec& spec) {
    const Options& options = spec.options;
    const bool remapped =
        options.userns_mode == "remap" || (options.userns_mode.empty() && node.remaps_all);
    if (!remapped) return {};
    if (options.privileged)
        return fail("privileged mode is incompatible with user namespaces.  You must run the "
                    "container in the host namespace when running privileged mode");
    if (spec.network == "host")
        return fail("cannot share the host's network namespace when user namespaces are enabled");
    if (options.pid_mode == "host")
        return fail("cannot share the host PID namespace when user namespaces are enabled");
    if (node.id_maps.empty())
        return fail("this node has no ids for user namespaces: " +
                    (node.error.empty() ? "noded has not looked for them yet, try again"
                                        : node.error));
    spec.options.id_maps = node.id_maps;
    return {};
}

}  // namespace noded::container
