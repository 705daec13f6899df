// LogPrefix: which container a line is of, in front of each line where the logs of several are
// shown. Lines come out whole, so that those of two containers never mix. Pure. Called by logs.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/nodectl/log_printer.h"

namespace noded::nodectl {

class LogPrefix {
public:
    /// An empty prefix leaves everything as it comes.
    LogPrefix(std::string prefix, LogPrinter::Sink sink)
        : prefix_(std::move(prefix)), sink_(std::move(sink)) {}

    void add(LogStream stream, std::string_view text);
    /// What has no end yet is shown as a line of its own.
    void finish();

private:
    std::string prefix_;
    LogPrinter::Sink sink_;
    std::string open_[3];  ///< by stream: the line that has not ended
};

/// "web  | ", as wide as the longest of the names; each with a colour of its own if wanted.
std::vector<std::string> log_prefixes(const std::vector<std::string>& names, bool coloured);

}  // namespace noded::nodectl
