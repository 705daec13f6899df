// See log_printer.h.
#include "tools/nodectl/log_printer.h"

#include "tools/nodectl/units.h"

namespace noded::nodectl {

Status LogPrinter::feed(std::string_view bytes) {
    if (!partial_.empty()) {
        partial_ += bytes;
        bytes = partial_;
    }
    LogFrame frame;
    LogStep step;
    while ((step = log_next(bytes, &frame)) == LogStep::frame) {
        if (frame.header.stream == LogStream::lost) {
            const LogPiece note{frame.header.time_ns, LogStream::standard_error, true, true, {}};
            const std::string text =
                "[" + std::to_string(log_lost_bytes(frame)) + " bytes of output were lost]\n";
            LogPiece piece = note;
            piece.text = text;
            take(piece);
            continue;
        }
        lines_.start(frame);
        LogPiece piece;
        while (lines_.next(&piece)) take(piece);
    }
    std::string rest(bytes);
    partial_ = std::move(rest);
    if (step == LogStep::corrupt) return fail("read the log: it is damaged");
    return {};
}

void LogPrinter::take(const LogPiece& piece) {
    const auto stream = static_cast<size_t>(piece.stream);
    if (piece.first) {
        const auto time = static_cast<int64_t>(piece.time_ns);
        wanted_[stream] = time >= filter_.since_ns && time <= filter_.until_ns;
        if (wanted_[stream]) open_line_[stream] = ++line_count_;
    }
    if (!wanted_[stream]) return;
    const bool stamped = filter_.timestamps && piece.first;
    if (!holding_) {
        if (stamped) sink_(piece.stream, rfc3339_fixed(static_cast<int64_t>(piece.time_ns)) + " ");
        sink_(piece.stream, piece.text);
        return;
    }
    std::string text =
        stamped ? rfc3339_fixed(static_cast<int64_t>(piece.time_ns)) + " " : std::string();
    text += piece.text;
    held_.push_back({open_line_[stream], piece.stream, std::move(text)});
    while (!held_.empty() && held_.front().line + *filter_.tail <= line_count_) held_.pop_front();
}

void LogPrinter::release_tail() {
    if (!holding_) return;
    holding_ = false;
    for (const Held& held : held_) {
        if (held.line + *filter_.tail > line_count_) sink_(held.stream, held.text);
    }
    held_.clear();
    // A line that was held back as too old must not go on in the middle.
    for (size_t stream = 0; stream < std::size(wanted_); stream++) {
        if (open_line_[stream] + *filter_.tail <= line_count_) wanted_[stream] = false;
    }
}

}  // namespace noded::nodectl
