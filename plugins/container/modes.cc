// See modes.h.
#include "plugins/container/modes.h"

#include <algorithm>

#include "plugins/container/limits.h"
#include "plugins/container/spec.h"

namespace noded::container {
namespace {

constexpr std::string_view kContainer = "container:";

bool is_one_of(std::string_view mode, std::initializer_list<std::string_view> known) {
    return std::ranges::find(known, mode) != known.end();
}

}  // namespace

bool joins_container(std::string_view mode) { return mode.starts_with(kContainer); }

std::string_view joined_container(std::string_view mode) {
    return joins_container(mode) ? mode.substr(kContainer.size()) : std::string_view();
}

bool is_private(std::string_view mode) { return mode != "host" && !joins_container(mode); }

Status check_modes(const Options& options) {
    for (const std::string* mode : {&options.ipc_mode, &options.pid_mode, &options.cgroup_parent})
        TRY_STATUS(check_text(*mode, limits::path_bytes_max, "a mode or the parent of a cgroup"));
    if (!joins_container(options.ipc_mode) &&
        !is_one_of(options.ipc_mode, {"", "private", "shareable", "host", "none"}))
        return fail("Invalid IPC mode: " + options.ipc_mode);
    if (!is_one_of(options.pid_mode, {"", "host"}) &&
        joined_container(options.pid_mode).empty())
        return fail("--pid: invalid PID mode");
    if (!is_one_of(options.uts_mode, {"", "host"}))
        return fail("--uts: invalid UTS mode");
    if (!is_one_of(options.cgroupns_mode, {"", "private", "host"}))
        return fail("--cgroupns: invalid CGROUP mode");
    if (!is_one_of(options.userns_mode, {"", "remap", "host"}))
        return fail("--userns: invalid USER mode");
    return {};
}

std::string clean_cgroup_parent(std::string_view text) {
    std::string out;
    const bool any = !text.empty();
    while (!text.empty()) {
        const size_t slash = std::min(text.find('/'), text.size());
        const std::string_view part = text.substr(0, slash);
        text.remove_prefix(std::min(slash + 1, text.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") out.erase(std::min(out.rfind('/'), out.size()));
        else (out += '/') += part;
    }
    return any && out.empty() ? "/" : out;
}

}  // namespace noded::container
