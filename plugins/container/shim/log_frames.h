// The log of a container: what the shim appends and how to read it back (LOG.md). Readers get
// lines or frames from bytes that they read or mapped themselves; nothing here does I/O or
// allocates. Used by the shim, noded and nodectl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace noded {

enum class LogStream : uint8_t { lost = 0, standard_output = 1, standard_error = 2 };

enum LogFlag : uint8_t {
    /// the frame does not end with a newline: the next frame of this stream continues its last line
    log_partial = 1,
};

constexpr uint32_t log_block_bytes = 64 << 10;
constexpr uint32_t log_block_magic = 0x31424c4e;  ///< "NLB1"
constexpr std::string_view log_segment_prefix = "log.";
constexpr size_t log_segment_name_bytes = log_segment_prefix.size() + 16;

/// Stands before each block and sums up all before it: the index of the log.
struct LogBlock {
    uint32_t magic;
    uint32_t open;      ///< bit n: a line of stream n has begun and not ended; from bit 8 on a
                        ///< checksum of the rest, 0 in blocks of earlier shims
    uint64_t position;  ///< of this block in the log
    uint64_t time_ns;   ///< not later than its first frame
    uint64_t lines;     ///< begun before this block
    uint64_t bytes;     ///< written by the container before this block, lost ones included
    uint64_t lost;      ///< those among them that could not be stored
};
static_assert(sizeof(LogBlock) == 48);

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

/// A frame that fills a block.
constexpr uint32_t log_frame_bytes_max = log_block_bytes - sizeof(LogBlock) - sizeof(LogHeader);

/// `more`: not complete (not yet written, or torn by a crash). `end`: the block has no room for
/// another frame.
enum class LogStep { frame, more, end, corrupt };

struct LogFrame {
    LogHeader header;
    std::string_view bytes;  ///< points into the input
};

constexpr uint32_t log_open_bits = 6;
constexpr uint32_t log_checksum_shift = 8;

/// FNV-1a over all that a block's header says, folded to 24 bits, never 0: what one flipped bit
/// makes of a header is not taken for one.
inline uint32_t log_block_checksum(LogBlock block) {
    block.open &= log_open_bits;
    unsigned char bytes[sizeof block];
    std::memcpy(bytes, &block, sizeof block);
    uint32_t hash = 0x811c9dc5;
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x01000193;
    hash = (hash >> 24 ^ hash) & 0xffffff;
    return hash != 0 ? hash : 1;
}

inline LogBlock log_sealed(LogBlock block) {
    block.open = (block.open & log_open_bits) | log_block_checksum(block) << log_checksum_shift;
    return block;
}

inline bool log_block_valid(const LogBlock& block, uint64_t position) {
    const uint32_t checksum = block.open >> log_checksum_shift;
    return block.magic == log_block_magic && block.position == position &&
           position % log_block_bytes == 0 && (block.open & 0xff & ~log_open_bits) == 0 &&
           block.lost <= block.bytes &&
           (checksum == 0 || checksum == log_block_checksum(block));
}

/// Whether a header can be one: the difference between a log and something else.
inline bool log_header_valid(const LogHeader& header) {
    const bool lost = header.stream == LogStream::lost;
    return header.stream <= LogStream::standard_error && header.zero == 0 &&
           (header.flags & ~log_partial) == 0 && header.length >= 1 &&
           header.length <= log_frame_bytes_max && (!lost || header.length == sizeof(uint64_t));
}

/// Bytes of a frame that still fit behind `at` bytes of a block; 0 if the block is full.
inline uint32_t log_room(uint64_t at) {
    return at + sizeof(LogHeader) < log_block_bytes
               ? static_cast<uint32_t>(log_block_bytes - at - sizeof(LogHeader))
               : 0;
}

/// Takes the frame at `*at` of a block and moves `*at` behind it. `block` is what is there of the
/// block, from its first byte; the first frame is at sizeof(LogBlock).
inline LogStep log_next(std::string_view block, size_t* at, LogFrame* out) {
    const uint32_t room = log_room(*at);
    if (room == 0) return LogStep::end;
    if (block.size() < *at + sizeof(LogHeader)) return LogStep::more;
    std::memcpy(&out->header, block.data() + *at, sizeof(LogHeader));
    if (!log_header_valid(out->header) || out->header.length > room) return LogStep::corrupt;
    if (block.size() - *at - sizeof(LogHeader) < out->header.length) return LogStep::more;
    out->bytes = {block.data() + *at + sizeof(LogHeader), out->header.length};
    *at += sizeof(LogHeader) + out->header.length;
    return LogStep::frame;
}

/// Number of bytes that the container wrote and that could not be stored (a full disk); for frames
/// of stream `lost`.
inline uint64_t log_lost_bytes(const LogFrame& frame) {
    uint64_t count = 0;
    if (frame.bytes.size() == sizeof count) std::memcpy(&count, frame.bytes.data(), sizeof count);
    return count;
}

/// How many newlines there are. Runs over every byte that a container writes.
inline uint64_t log_newlines(std::string_view text) {
    uint64_t count = 0;
    size_t at = 0;
#ifdef __SSE2__
    const __m128i newline = _mm_set1_epi8('\n');
    const __m128i zero = _mm_setzero_si128();
    while (text.size() - at >= sizeof(__m128i)) {
        // A lane counts to 255 at most.
        const size_t left = (text.size() - at) / sizeof(__m128i);
        const size_t steps = left < 255 ? left : 255;
        __m128i lanes = zero;
        for (size_t step = 0; step < steps; ++step, at += sizeof(__m128i)) {
            const auto* from = reinterpret_cast<const __m128i*>(text.data() + at);
            lanes = _mm_sub_epi8(lanes, _mm_cmpeq_epi8(_mm_loadu_si128(from), newline));
        }
        const __m128i sums = _mm_sad_epu8(lanes, zero);
        count += static_cast<uint64_t>(_mm_cvtsi128_si64(sums)) +
                 static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
    }
#endif
    for (; at < text.size(); ++at) count += text[at] == '\n';
    return count;
}

/// What the header of the next block will say: a fold over frames.
struct LogTally {
    uint32_t open;
    uint64_t lines;
    uint64_t bytes;
    uint64_t lost;

    void begin(const LogBlock& block) {
        open = block.open & log_open_bits;
        lines = block.lines, bytes = block.bytes, lost = block.lost;
    }
    void add(const LogFrame& frame) {
        if (frame.header.stream == LogStream::lost) {
            bytes += log_lost_bytes(frame);
            lost += log_lost_bytes(frame);
            return;
        }
        const uint32_t bit = 1u << static_cast<uint32_t>(frame.header.stream);
        const bool goes_on = frame.bytes.back() != '\n';
        lines += log_newlines(frame.bytes) + (goes_on ? 1 : 0);
        lines -= (open & bit) != 0 ? 1 : 0;
        open = goes_on ? open | bit : open & ~bit;
        bytes += frame.bytes.size();
    }
};

/// "log." and 16 hexadecimal digits; `out` has room for log_segment_name_bytes and a zero.
inline void log_segment_name(uint64_t position, char* out) {
    std::memcpy(out, log_segment_prefix.data(), log_segment_prefix.size());
    for (int digit = 15; digit >= 0; --digit, position >>= 4)
        out[log_segment_prefix.size() + static_cast<size_t>(digit)] =
            "0123456789abcdef"[position & 15];
    out[log_segment_name_bytes] = 0;
}

/// The position in a segment's name; false for any other name.
inline bool log_segment_position(std::string_view name, uint64_t* out) {
    if (name.size() != log_segment_name_bytes || !name.starts_with(log_segment_prefix))
        return false;
    *out = 0;
    for (const char c : name.substr(log_segment_prefix.size())) {
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) return false;
        *out = *out << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
    }
    return *out % log_block_bytes == 0;
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
    /// What follows comes behind a block's header, not behind the frame before.
    void jump(uint32_t open) {
        for (uint32_t stream = 0; stream < 3; ++stream) open_[stream] = (open >> stream & 1) != 0;
    }
    void start(const LogFrame& frame) { frame_ = frame; }
    bool is_open(LogStream stream) const { return open_[static_cast<size_t>(stream)]; }
    /// For who needs no lines of this frame.
    void pass(const LogFrame& frame) {
        open_[static_cast<size_t>(frame.header.stream)] = frame.bytes.back() != '\n';
    }

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
