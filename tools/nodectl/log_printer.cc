// See log_printer.h.
#include "tools/nodectl/log_printer.h"

#include <string>

#include "tools/nodectl/units.h"

namespace noded::nodectl {

bool LogPrinter::in_time(uint64_t time_ns) const {
    const auto time = static_cast<int64_t>(time_ns);
    return time >= filter_.since_ns && time <= filter_.until_ns;
}

void LogPrinter::jump(const LogBlock& header, uint64_t lost) {
    line_count_ = header.lines;
    lines_.jump(header.open);
    // What is left of a line whose beginning is gone is shown if the beginning would have been.
    const bool rest = header.lines > filter_.from_line && in_time(header.time_ns);
    for (bool& wanted : wanted_) wanted = rest;
    if (lost > 0) tell_lost(header.time_ns, lost);
}

bool LogPrinter::frame(const LogFrame& frame) {
    const auto time = static_cast<int64_t>(frame.header.time_ns);
    const LogStream stream = frame.header.stream;
    bool& wanted = wanted_[static_cast<size_t>(stream)];
    // Lines that began in time go on to their end.
    if (time > filter_.until_ns && !wanted_[1] && !wanted_[2]) return false;
    if (stream == LogStream::lost) {
        tell_lost(frame.header.time_ns, log_lost_bytes(frame));
    } else if (!filter_.timestamps && filter_.details.empty() && line_count_ >= filter_.from_line &&
               in_time(time) && (wanted || !lines_.is_open(stream))) {
        // All of it is shown; lines need no longer be counted.
        lines_.pass(frame);
        wanted = lines_.is_open(stream);
        sink_(stream, frame.bytes);
    } else {
        lines_.start(frame);
        LogPiece piece;
        while (lines_.next(&piece)) take(piece);
    }
    return true;
}

void LogPrinter::tell_lost(uint64_t time_ns, uint64_t count) {
    if (!in_time(time_ns) || line_count_ < filter_.from_line) return;
    const std::string stamp =
        filter_.timestamps ? rfc3339_fixed(static_cast<int64_t>(time_ns)) + " " : "";
    sink_(LogStream::standard_error,
          stamp + "[" + std::to_string(count) + " bytes of output were lost]\n");
}

void LogPrinter::take(const LogPiece& piece) {
    bool& wanted = wanted_[static_cast<size_t>(piece.stream)];
    if (piece.first) wanted = line_count_++ >= filter_.from_line && in_time(piece.time_ns);
    if (wanted) {
        if (filter_.timestamps && piece.first)
            sink_(piece.stream, rfc3339_fixed(static_cast<int64_t>(piece.time_ns)) + " ");
        if (piece.first && !filter_.details.empty()) sink_(piece.stream, filter_.details);
        sink_(piece.stream, piece.text);
    }
    if (piece.last) wanted = false;
}

}  // namespace noded::nodectl
