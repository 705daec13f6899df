// One write per line to standard error; see logger.h.
#include "agent/base/logger.h"

#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace noded {

static std::atomic<int> threshold{static_cast<int>(Severity::info)};

void set_log_threshold(Severity least) { threshold = static_cast<int>(least); }

void log_line(Severity severity, std::string_view where, std::string_view text) {
    if (static_cast<int>(severity) > threshold.load(std::memory_order_relaxed)) return;
    // journald sets JOURNAL_STREAM and strips the prefix; a person at a terminal does not want to
    // see it.
    static const bool under_journald = getenv("JOURNAL_STREAM") != nullptr;
    std::string line;
    if (under_journald) line = "<" + std::to_string(static_cast<int>(severity)) + ">";
    line.append(where).append(": ").append(text).append("\n");
    // One write, so that lines of several processes on one descriptor do not mix.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace noded
