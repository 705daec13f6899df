// log: lines of plugins in noded's own diagnostics. [any]
#include "agent/base/logger.h"
#include "agent/host/extensions.h"
#include "agent/host/instance.h"

namespace noded::host {

static Severity severity_of(int severity) {
    if (severity <= 3) return Severity::error;
    if (severity == 4) return Severity::warning;
    return severity == 7 ? Severity::debug : Severity::info;
}

static void line(const noded_host* face, int severity, const char* text) noexcept {
    log_line(severity_of(severity), instance_of(face).description.id, text != nullptr ? text : "");
}

const noded_ext_log ext_log = {sizeof(noded_ext_log), line};

}  // namespace noded::host
