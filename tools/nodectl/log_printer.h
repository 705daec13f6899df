// LogPrinter: log frames to the lines that `logs` shows: since when, until when, the last how many,
// with time stamps. Pure. Called by logs.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/container/shim/log_frames.h"

namespace noded::nodectl {

struct LogFilter {
    int64_t since_ns = INT64_MIN;
    int64_t until_ns = INT64_MAX;
    std::optional<uint64_t> tail;  ///< lines; all if absent
    bool timestamps = false;
};

class LogPrinter {
public:
    /// Gets text for stdout (standard_output) or stderr (standard_error).
    using Sink = std::function<void(LogStream, std::string_view)>;

    LogPrinter(LogFilter filter, Sink sink)
        : filter_(filter), sink_(std::move(sink)), holding_(filter.tail) {}

    /// Bytes of the log in order, in pieces of any size.
    Status feed(std::string_view bytes);

    /// The end of what was there when the reading began: the last lines are shown, and all that
    /// follows.
    void release_tail();

private:
    struct Held {
        uint64_t line;
        LogStream stream;
        std::string text;
    };

    void take(const LogPiece& piece);

    LogFilter filter_;
    Sink sink_;
    bool holding_;
    LogLines lines_;
    std::string partial_;      ///< of a frame
    uint64_t line_count_ = 0;  ///< that passed the filter
    uint64_t open_line_[3] = {};
    bool wanted_[3] = {};      ///< by stream: the line that is open passed the filter
    std::deque<Held> held_;
};

}  // namespace noded::nodectl
