// settings: what the configuration says to a plugin.
#include "agent/host/extensions.h"
#include "agent/host/host.h"

namespace noded::host {

static const char* text(const noded_host* face, const char* key) noexcept {
    Instance& instance = require_load(face, "settings.text");
    if (key == nullptr) return nullptr;
    instance.settings_asked.insert(key);
    return instance.host->setting(instance.description.id, key);
}

const noded_ext_settings ext_settings = {sizeof(noded_ext_settings), text};

}  // namespace noded::host
