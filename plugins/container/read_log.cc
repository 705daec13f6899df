// readLog: a part of what a container wrote, for those who follow it and want to know what was
// before, or what they missed. Read on the offload lane: old output may have to come from the disk.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/container/shim/log_folder.h"
#include "plugins/sdk/message.h"

namespace noded::container {
namespace {

struct Chunk {
    LogStream stream{};
    uint64_t position = 0;
    uint64_t time_ns = 0;
    std::string data;
};

struct Part {
    std::vector<Chunk> chunks;
    uint64_t position = 0;
    bool more = false;
    uint64_t lost = 0;
    std::string error;
};

/// Appends `text`, which begins at `position`: to the chunk before if it goes on with it.
void add(Part& part, LogStream stream, uint64_t time_ns, uint64_t position, std::string_view text) {
    if (!part.chunks.empty()) {
        Chunk& last = part.chunks.back();
        if (last.stream == stream && last.time_ns == time_ns &&
            last.position + last.data.size() == position) {
            last.data += text;
            return;
        }
    }
    part.chunks.push_back({stream, position, time_ns, std::string(text)});
}

class PartReader {
public:
    explicit PartReader(Fd folder) : log_(std::move(folder)) {}

    Status read_tail(uint64_t lines, Part& part) {
        const uint64_t count = TRY(log_.line_count(INT64_MAX));
        from_line_ = count - std::min(count, lines);
        TRY_STATUS(log_.begin_at_line(from_line_));
        return read(part);
    }
    Status read_from(uint64_t position, Part& part) {
        by_line_ = false;
        from_ = position;
        TRY_STATUS(log_.begin_at_byte(position));
        return read(part);
    }

private:
    Status read(Part& part) {
        const LogFolder::Sink sink = {
            .jump = [&](const LogBlock& header,
                        uint64_t lost) { jump(header, lost, part); },
            .frame = [&](const LogFrame& frame) { return take(frame, part); },
        };
        part.more = TRY(log_.read_some(sink, SIZE_MAX - 1)) || full_;
        if (!full_) part.position = std::max(log_.position(), by_line_ ? 0 : from_);
        return {};
    }

    /// What lies between where it was to begin and the oldest byte is gone.
    void jump(const LogBlock& header, uint64_t lost, Part& part) {
        if (full_) return;
        lines_.jump(header.open);
        line_ = header.lines;
        if (!by_line_ && !any_ && header.bytes > from_) lost = header.bytes - from_;
        any_ = true;
        part.lost += lost;
        // The rest of a line whose beginning is not in this block belongs to those before.
        for (bool& wanted : wanted_) wanted = header.lines > from_line_;
    }

    /// False when the part is full: the frame is for the next one.
    bool take(const LogFrame& frame, Part& part) {
        any_ = true;
        if (full_) return false;
        if (bytes_ >= limits::log_part_bytes_max) {
            full_ = true;
            part.position = log_.position() - size_of(frame);
            return false;
        }
        if (frame.header.stream == LogStream::lost) {
            part.lost += log_lost_bytes(frame);
            return true;
        }
        const uint64_t begin = log_.position() - frame.bytes.size();
        if (by_line_) take_lines(frame, begin, part);
        else take_bytes(frame, begin, part);
        return true;
    }
    static uint64_t size_of(const LogFrame& frame) {
        return frame.header.stream == LogStream::lost ? log_lost_bytes(frame) : frame.bytes.size();
    }
    void take_bytes(const LogFrame& frame, uint64_t begin, Part& part) {
        if (begin + frame.bytes.size() <= from_) return;
        const uint64_t skip = from_ > begin ? from_ - begin : 0;
        bytes_ += frame.bytes.size() - skip;
        add(part, frame.header.stream, frame.header.time_ns, begin + skip,
            frame.bytes.substr(skip));
    }
    void take_lines(const LogFrame& frame, uint64_t begin, Part& part) {
        lines_.start(frame);
        LogPiece piece;
        while (lines_.next(&piece)) {
            bool& wanted = wanted_[static_cast<size_t>(piece.stream)];
            if (piece.first) wanted = line_++ >= from_line_;
            if (!wanted) continue;
            bytes_ += piece.text.size();
            add(part, piece.stream, piece.time_ns,
                begin + uint64_t(piece.text.data() - frame.bytes.data()), piece.text);
        }
    }

    LogFolder log_;
    LogLines lines_;
    bool by_line_ = true;
    uint64_t from_line_ = 0;
    uint64_t from_ = 0;
    uint64_t line_ = 0;
    bool wanted_[3] = {};
    bool any_ = false;
    bool full_ = false;
    size_t bytes_ = 0;
};

/// A container that never ran has no folder, and wrote nothing.
Part read_part(const std::string& path, int64_t tail, uint64_t position) {
    Part part;
    Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() && errno != ENOENT)
        part.error = fail_errno(errno, "open the log " + path).error().message;
    if (!folder.valid()) return part;
    PartReader reader(std::move(folder));
    const Status read = tail >= 0 ? reader.read_tail(uint64_t(tail), part)
                                  : reader.read_from(position, part);
    if (!read) part.error = read.error().message;
    return part;
}

void write_part(const Part& from, schema::LogPart::Builder out) {
    auto chunks = out.initChunks(unsigned(from.chunks.size()));
    for (unsigned i = 0; i < chunks.size(); ++i) {
        const Chunk& chunk = from.chunks[i];
        chunks[i].setStream(chunk.stream == LogStream::standard_error
                                ? schema::OutputStream::STDERR
                                : schema::OutputStream::STDOUT);
        chunks[i].setPosition(chunk.position);
        chunks[i].setTimeNs(int64_t(chunk.time_ns));
        chunks[i].setData(
            {reinterpret_cast<const uint8_t*>(chunk.data.data()), chunk.data.size()});
    }
    out.setPosition(from.position);
    out.setMore(from.more);
    out.setLostBytes(from.lost);
}

}  // namespace

void Effects::read_log(uint64_t token, const std::string& reference, int64_t tail,
                       uint64_t position) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    const std::string path = state_folder(container->id);
    auto part = std::make_shared<Part>();
    const bool taken = host_.offload(
        [part, path, tail, position] { *part = read_part(path, tail, position); },
        [this, part, token] {
            if (!part->error.empty())
                return host_.refuse(token, NODED_REJECT_CONFLICT, part->error);
            sdk::Message<schema::Container::ReadLogResults> results;
            write_part(*part, results->initPart());
            host_.respond(token, results);
        });
    if (!taken)
        host_.refuse(token, NODED_REJECT_BUSY, "the node is busy with other files, try again");
}

}  // namespace noded::container
