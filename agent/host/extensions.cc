// Which extension has which id; see extensions.h.
#include "agent/host/extensions.h"

#include <cstring>

#include "agent/host/instance.h"

namespace noded::host {

static const void* find_extension(const char* id) {
    static constexpr struct {
        const char* id;
        const void* table;
    } kTable[] = {
        {NODED_EXT_EVENTS, &ext_events}, {NODED_EXT_TIMER, &ext_timer},
        {NODED_EXT_FD, &ext_fd},         {NODED_EXT_OFFLOAD, &ext_offload},
        {NODED_EXT_TOPIC, &ext_topic},   {NODED_EXT_LOG, &ext_log},
        {NODED_EXT_PATHS, &ext_paths},   {NODED_EXT_RPC, &ext_rpc},
        {NODED_EXT_SETTINGS, &ext_settings},
    };
    for (const auto& entry : kTable) {
        if (strcmp(entry.id, id) == 0) return entry.table;
    }
    return nullptr;
}

bool has_extension(const char* id) { return find_extension(id) != nullptr; }

const void* get_extension(const noded_host* face, const char* id) noexcept {
    if (id == nullptr || !instance_of(face).requires_extension(id)) return nullptr;
    return find_extension(id);
}

}  // namespace noded::host
