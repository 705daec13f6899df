// See log_folder.h.
#include "plugins/container/shim/log_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

namespace noded {
namespace {

ssize_t pread_whole(int fd, void* to, size_t size, uint64_t at) {
    ssize_t count;
    do count = pread(fd, to, size, static_cast<off_t>(at));
    while (count < 0 && errno == EINTR);
    return count;
}

bool header_of(int fd, uint64_t base, uint64_t block, LogBlock* out) {
    const uint64_t at = block * log_block_bytes;
    return pread_whole(fd, out, sizeof *out, at) == sizeof *out && log_block_valid(*out, base + at);
}

uint64_t blocks_in(int fd) {
    struct stat info {};
    if (fstat(fd, &info) != 0) return 0;
    return (static_cast<uint64_t>(info.st_size) + log_block_bytes - 1) / log_block_bytes;
}

/// The last block for which `before` is true of its header, or the first; blocks that cannot be
/// read count as not before. What is asked for is mostly near the end, so the steps from there
/// double until they have passed it: the reads are as many as the distance has digits.
template <typename Before>
uint64_t last_block(int fd, uint64_t base, Before before) {
    const auto is_before = [&](uint64_t number) {
        LogBlock block;
        return header_of(fd, base, number, &block) && before(block);
    };
    uint64_t low = 0;
    uint64_t high = blocks_in(fd);
    for (uint64_t step = 1; step < high; step *= 2) {
        if (is_before(high - step)) {
            low = high - step;
            break;
        }
        high -= step;
    }
    while (high > low + 1) {
        const uint64_t middle = low + (high - low) / 2;
        (is_before(middle) ? low : high) = middle;
    }
    return low;
}

bool in_time(uint64_t time_ns, int64_t until_ns) {
    return static_cast<int64_t>(time_ns) <= until_ns;
}

}  // namespace

LogFolder::LogFolder(Fd folder)
    : folder_(std::move(folder)),
      buffer_(std::make_unique_for_overwrite<char[]>(log_block_bytes)) {}

Result<std::vector<uint64_t>> LogFolder::list() const {
    const Fd own(openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own.valid() && errno == ENOENT) return std::vector<uint64_t>();  // it was removed
    if (!own.valid()) return fail_errno(errno, "open the folder of the log");
    std::vector<uint64_t> bases;
    // Not by readdir(3): its buffer is larger than most of these folders ever are.
    alignas(dirent64) char entries[2048];
    ssize_t size;
    while ((size = getdents64(own.get(), entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
            uint64_t base;
            if (log_segment_position(entry->d_name, &base)) bases.push_back(base);
            at += entry->d_reclen;
        }
    }
    if (size < 0 && errno != ENOENT) return fail_errno(errno, "read the folder of the log");
    std::ranges::sort(bases);
    return bases;
}

/// One that was rotated away between the two calls is as if it had been before. At first all are
/// held, later on newer ones come as others were read.
Status LogFolder::hold_newer() {
    for (const uint64_t base : TRY(list())) {
        if (any_ && base <= newest_) continue;
        if (begun_ && held_.size() >= kHeldMax) break;
        char name[log_segment_name_bytes + 1];
        log_segment_name(base, name);
        Fd fd(openat(folder_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!fd.valid() && errno == ENOENT) continue;
        if (!fd.valid()) return fail_errno(errno, std::string("open ") + name + " of the log");
        held_.push_back({base, std::move(fd)});
        newest_ = base;
        any_ = true;
    }
    return {};
}

/// Bytes `from` and on of a block, as many as there are.
Result<std::string_view> LogFolder::read_block(const Segment& segment, uint64_t block,
                                               size_t from) {
    const ssize_t size = pread_whole(segment.fd.get(), buffer_.get() + from,
                                     log_block_bytes - from, block * log_block_bytes + from);
    if (size < 0) return fail_errno(errno, "read the log");
    return std::string_view(buffer_.get(), from + static_cast<size_t>(size));
}

Result<uint64_t> LogFolder::line_count(int64_t until_ns) {
    TRY_STATUS(hold_newer());
    const auto before = [until_ns](const LogBlock& block) {
        return in_time(block.time_ns, until_ns);
    };
    for (size_t i = held_.size(); i-- > 0;) {
        const Segment& segment = held_[i];
        LogBlock header;
        if (!header_of(segment.fd.get(), segment.base, 0, &header)) continue;
        if (!before(header)) {
            if (i == 0) return header.lines;
            continue;
        }
        const uint64_t block = last_block(segment.fd.get(), segment.base, before);
        const std::string_view bytes = TRY(read_block(segment, block, 0));
        if (bytes.size() < sizeof header) continue;
        memcpy(&header, bytes.data(), sizeof header);
        LogTally tally{};
        tally.begin(header);
        LogFrame frame;
        size_t at = sizeof header;
        while (log_next(bytes, &at, &frame) == LogStep::frame &&
               in_time(frame.header.time_ns, until_ns))
            tally.add(frame);
        return tally.lines;
    }
    return uint64_t{0};
}

/// In the last block of which it is true.
template <typename Before>
Status LogFolder::begin_where(Before before) {
    if (!any_) TRY_STATUS(hold_newer());
    LogBlock first;
    while (held_.size() > 1 && header_of(held_[1].fd.get(), held_[1].base, 0, &first) &&
           before(first))
        held_.pop_front();
    if (!held_.empty())
        begin_segment(last_block(held_.front().fd.get(), held_.front().base, before), true);
    return {};
}

Status LogFolder::begin_at_line(uint64_t line) {
    return begin_where([line](const LogBlock& block) { return block.lines <= line; });
}

Status LogFolder::begin_at_byte(uint64_t byte) {
    return begin_where([byte](const LogBlock& block) { return block.bytes <= byte; });
}

void LogFolder::begin_segment(uint64_t block, bool jumps) {
    begun_ = true;
    block_ = block;
    at_ = 0;
    jumps_ = jumps_ || jumps;
}

/// False: the block is not there yet, or is none.
bool LogFolder::read_header(std::string_view bytes, const Sink& sink) {
    LogBlock header;
    if (bytes.size() < sizeof header) return false;
    memcpy(&header, bytes.data(), sizeof header);
    if (!log_block_valid(header, held_.front().base + block_ * log_block_bytes)) return false;
    // In most cases nothing is between: then it goes on as if it were one file.
    if (jumps_ || header.bytes > seen_bytes_)
        sink.jump(header, jumps_ ? 0 : header.bytes - seen_bytes_);
    seen_bytes_ = header.bytes;
    jumps_ = false;
    at_ = sizeof header;
    return true;
}

/// To the end of what is there of the segment. `*wanted` becomes false when the sink has enough of
/// it. A block that is damaged is passed over: the next header tells what it held.
Status LogFolder::read_segment(const Sink& sink, bool* wanted) {
    for (;;) {
        const std::string_view bytes = TRY(read_block(held_.front(), block_, at_));
        const bool whole = bytes.size() == log_block_bytes;
        if ((at_ > 0 || read_header(bytes, sink)) && bytes.size() > at_) {
            LogFrame frame;
            while (log_next(bytes, &at_, &frame) == LogStep::frame) {
                const bool lost = frame.header.stream == LogStream::lost;
                seen_bytes_ += lost ? log_lost_bytes(frame) : frame.bytes.size();
                if (!(*wanted = sink.frame(frame))) return {};
                bytes_left_ -= std::min(bytes_left_, frame.bytes.size());
                if ((paused_ = bytes_left_ == 0)) return {};
            }
        }
        // A whole block has no more to come; of a shorter one the rest may still be written.
        if (!whole && log_room(at_) > 0) return {};
        block_++;
        at_ = 0;
    }
}

Status LogFolder::read_on(const Sink& sink) {
    for (;;) {
        // Before reading: a segment that has a successor by now gets nothing more.
        TRY_STATUS(hold_newer());
        bool wanted = true;
        if (begun_) {
            TRY_STATUS(read_segment(sink, &wanted));
            if (paused_) return {};
            if (held_.size() < 2) return {};
            held_.pop_front();
        }
        if (held_.empty()) return {};
        // The clock may have gone back between segments, so each is searched when it is begun.
        const auto before = [this](const LogBlock& block) {
            return static_cast<int64_t>(block.time_ns) < since_ns_;
        };
        const uint64_t block =
            since_ns_ == INT64_MIN
                ? 0
                : last_block(held_.front().fd.get(), held_.front().base, before);
        begin_segment(block, !wanted || block != 0);
    }
}

Result<bool> LogFolder::read_some(const Sink& sink, size_t bytes_max) {
    bytes_left_ = bytes_max;
    paused_ = false;
    const Status status = read_on(sink);
    bytes_left_ = SIZE_MAX;
    TRY_STATUS(status);
    return std::exchange(paused_, false);
}

}  // namespace noded
