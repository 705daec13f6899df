// LogPrinter: log frames to the lines that `logs` shows: since when, until when, from which line,
// with time stamps. Pure. Called by logs.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "plugins/container/shim/log_frames.h"

namespace noded::nodectl {

struct LogFilter {
    int64_t since_ns = INT64_MIN;
    int64_t until_ns = INT64_MAX;
    uint64_t from_line = 0;  ///< counted from the container's first
    bool timestamps = false;
    std::string details;  ///< in front of each line, behind its time
};

class LogPrinter {
public:
    /// Gets text for stdout (standard_output) or stderr (standard_error).
    using Sink = std::function<void(LogStream, std::string_view)>;

    LogPrinter(LogFilter filter, Sink sink) : filter_(filter), sink_(std::move(sink)) {}

    /// What follows comes behind this header; so many bytes before it were lost.
    void jump(const LogBlock& header, uint64_t lost);
    /// False: it is later than all that is wanted.
    bool frame(const LogFrame& frame);

private:
    bool in_time(uint64_t time_ns) const;
    void take(const LogPiece& piece);
    void tell_lost(uint64_t time_ns, uint64_t count);

    LogFilter filter_;
    Sink sink_;
    LogLines lines_;
    uint64_t line_count_ = 0;  ///< that have begun; exact up to from_line
    bool wanted_[3] = {};      ///< by stream: the line that is open is shown
};

}  // namespace noded::nodectl
