// The log file of a container: what the shim appends and how to read it back (LOG.md). Readers get
// lines or frames from bytes that they read or mapped themselves; nothing here does I/O or
// allocates. Used by the shim, noded and nodectl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace noded {

enum class LogStream : uint8_t { lost = 0, standard_output = 1, standard_error = 2 };

enum LogFlag : uint8_t {
    /// the frame does not end with a newline: the next frame of this stream continues its last line
    log_partial = 1,
};

/// Stands before each frame's bytes. One read of the container's output becomes one frame with one
/// time stamp.
struct LogHeader {
    uint64_t time_ns;  ///< wall clock
    uint32_t length;   ///< of what follows, at least 1
    LogStream stream;
    uint8_t flags;  ///< LogFlag bits
    uint16_t zero;
};
static_assert(sizeof(LogHeader) == 16);

constexpr uint32_t log_frame_bytes_max = 64 << 10;

enum class LogStep { frame, more, corrupt };

struct LogFrame {
    LogHeader header;
    std::string_view bytes;  ///< points into the input
};

/// Whether a header can be one: the difference between a log and something else.
inline bool log_header_valid(const LogHeader& header) {
    return header.stream <= LogStream::standard_error && header.zero == 0 &&
           (header.flags & ~log_partial) == 0 && header.length >= 1 &&
           header.length <= log_frame_bytes_max;
}

/// Takes the first frame off `input`. `more`: the frame is not complete (at the end of a file: not
/// yet written, or torn by a crash); `input` is then unchanged.
inline LogStep log_next(std::string_view& input, LogFrame* out) {
    if (input.size() < sizeof(LogHeader)) return LogStep::more;
    std::memcpy(&out->header, input.data(), sizeof(LogHeader));
    if (!log_header_valid(out->header)) return LogStep::corrupt;
    if (input.size() - sizeof(LogHeader) < out->header.length) return LogStep::more;
    out->bytes = {input.data() + sizeof(LogHeader), out->header.length};
    input.remove_prefix(sizeof(LogHeader) + out->header.length);
    return LogStep::frame;
}

/// Number of bytes that the container wrote and that could not be stored (a full disk); for frames
/// of stream `lost`.
inline uint64_t log_lost_bytes(const LogFrame& frame) {
    uint64_t count = 0;
    if (frame.bytes.size() == sizeof count) std::memcpy(&count, frame.bytes.data(), sizeof count);
    return count;
}

/// A piece of one line: a whole line when `first` and `last` are both true.
struct LogPiece {
    uint64_t time_ns;  ///< of the frame in which this piece stands
    LogStream stream;
    bool first;  ///< the line begins here: print the time stamp
    bool last;   ///< the line ends here; `text` includes its newline
    std::string_view text;
};

/// Splits frames into lines. Keep one object per log: a line may go on in a later frame of the same
/// stream.
class LogLines {
public:
    void start(const LogFrame& frame) { frame_ = frame; }

    /// False when the frame is used up. Frames of stream `lost` yield nothing.
    bool next(LogPiece* out) {
        if (frame_.bytes.empty() || frame_.header.stream == LogStream::lost) return false;
        const size_t newline = frame_.bytes.find('\n');
        const size_t length = newline == std::string_view::npos ? frame_.bytes.size() : newline + 1;
        bool& open = open_[static_cast<size_t>(frame_.header.stream)];
        *out = {frame_.header.time_ns,
                frame_.header.stream,
                !open,
                newline != std::string_view::npos,
                {frame_.bytes.data(), length}};
        open = !out->last;
        frame_.bytes.remove_prefix(length);
        return true;
    }

private:
    LogFrame frame_{};
    bool open_[3] = {};  ///< by stream: a line has begun and not ended
};

}  // namespace noded
