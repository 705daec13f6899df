// Diagnostics of the daemon itself, one line each on standard error, with the priority prefix that
// journald reads (sd-daemon(3)). Only edges log: main, the host, the RPC service. Libraries return
// errors instead.
#pragma once

#include <string_view>

namespace noded {

/// `none` is a threshold only: nothing is said.
enum class Severity { none = 0, error = 3, warning = 4, info = 6, debug = 7 };

/// Lines less severe than this are dropped; info by default.
void set_log_threshold(Severity least);

/// `where` names the part that speaks: "log", "host", "container".
void log_line(Severity severity, std::string_view where, std::string_view text);

}  // namespace noded
