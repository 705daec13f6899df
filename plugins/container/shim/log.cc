// The log that a shim writes (LOG.md): frames into blocks, blocks into segments, and the way back
// for attached clients, who are cursors over it. Called by streams.cc; nobody is ever waited for.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "plugins/container/shim/shim.h"

namespace noded::shim {
namespace {

/// A clock that goes back by more begins a new segment; a smaller step is hidden.
constexpr uint64_t clock_step_ns = 1'000'000'000;

struct DirectoryEntry {  // linux_dirent64, getdents64(2)
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

uint64_t block_of(uint64_t position) { return position / log_block_bytes * log_block_bytes; }
uint64_t next_block(uint64_t position) { return block_of(position + log_block_bytes - 1); }

}  // namespace

/// Keeps them in order, and the newest of more than there is room for.
void Shim::note_segment(uint64_t position) {
    if (log_.count == launch::log_segments_max) {
        if (position < log_.bases[0]) return;
        drop_oldest_segment();
    }
    uint32_t place = log_.count++;
    for (; place > 0 && log_.bases[place - 1] > position; --place)
        log_.bases[place] = log_.bases[place - 1];
    log_.bases[place] = position;
}

void Shim::drop_oldest_segment() {
    char name[log_segment_name_bytes + 1];
    log_segment_name(log_.bases[0], name);
    sys(SYS_unlinkat, log_.folder_fd, name, 0);
    log_.count -= 1;
    memmove(log_.bases, log_.bases + 1, log_.count * sizeof log_.bases[0]);
}

void Shim::list_segments() {
    for (;;) {
        const long size = sys(SYS_getdents64, log_.folder_fd, scratch_, sizeof scratch_);
        if (size <= 0) return;
        for (long at = 0; at < size;) {
            const auto* entry = reinterpret_cast<const DirectoryEntry*>(scratch_ + at);
            uint64_t position;
            if (log_segment_position(entry->name, &position)) note_segment(position);
            at += entry->length;
        }
    }
}

int Shim::open_segment(uint64_t base, int flags) {
    char name[log_segment_name_bytes + 1];
    log_segment_name(base, name);
    return static_cast<int>(sys(SYS_openat, log_.folder_fd, name,
                                flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600));
}

/// Goes on behind the last complete frame of a segment: 1. If not even one block is whole: 0. What
/// cannot be read at all is a negative errno: then nobody knows what the segment has.
long Shim::resume_segment(uint64_t base) {
    log_.fd = open_segment(base, O_RDWR);
    if (log_.fd < 0) return log_.fd;
    struct stat info;
    if (const long known = sys(SYS_fstat, log_.fd, &info); known < 0) return known;
    for (uint64_t at = next_block(static_cast<uint64_t>(info.st_size)); at > 0;) {
        at -= log_block_bytes;
        const long size = sys(SYS_pread64, log_.fd, scratch_, size_t{log_block_bytes}, at);
        if (size < 0) return size;
        LogBlock block;
        if (size < static_cast<long>(sizeof block)) continue;
        memcpy(&block, scratch_, sizeof block);
        if (!log_block_valid(block, base + at)) continue;
        const std::string_view bytes(reinterpret_cast<char*>(scratch_), static_cast<size_t>(size));
        LogFrame frame;
        size_t end = sizeof block;
        log_.tally.begin(block);
        log_.time_ns = block.time_ns;
        while (log_next(bytes, &end, &frame) == LogStep::frame) {
            log_.tally.add(frame);
            log_.time_ns = frame.header.time_ns;
        }
        // Readers may have left this block for the one behind, of which nothing was whole.
        if (static_cast<uint64_t>(info.st_size) > at + log_block_bytes) end = log_block_bytes;
        log_.base = base;
        log_.end = base + at + end;
        sys(SYS_ftruncate, log_.fd, at + end);
        return 1;
    }
    return 0;
}

/// A segment is made only when there is something to write.
bool Shim::open_log(const char* path, Sentence* error) {
    const launch::Launch& spec = *container().launch;
    log_.segment_bytes = block_of(spec.log_limits.segment_bytes);  // 0 is one block
    log_.segments_max = spec.log_limits.segments;
    log_.folder_fd =
        static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto fail = [&](long reason) {
        error->clear();
        error->add("open the log in ").add(path).add(": ").add(error_name(reason));
        return false;
    };
    if (log_.folder_fd < 0) return fail(log_.folder_fd);
    log_.fd = -1;
    list_segments();
    while (log_.count > 0) {
        const long resumed = resume_segment(log_.bases[log_.count - 1]);
        if (resumed > 0) break;
        if (resumed < 0) return fail(resumed);
        close_fd(log_.fd);
        char name[log_segment_name_bytes + 1];
        log_segment_name(log_.bases[--log_.count], name);
        sys(SYS_unlinkat, log_.folder_fd, name, 0);
    }
    while (log_.count > log_.segments_max) drop_oldest_segment();
    log_.begin = log_.end;
    log_.begin_bytes = log_.tally.bytes;
    log_.open = true;
    for (Client& client : clients_) {
        if (!client.used || client.process != 0) continue;
        client.cursor = log_.begin;
        client.seen_bytes = log_.begin_bytes;
    }
    return true;
}

bool Shim::begin_segment() {
    const int fd = open_segment(log_.end, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0) return false;
    sys(SYS_fchmod, fd, 0644);  // the folder of the log decides who may read it
    close_fd(log_.fd);
    log_.fd = fd;
    log_.base = log_.end;
    note_segment(log_.base);
    while (log_.count > log_.segments_max) drop_oldest_segment();
    return true;
}

/// How much the next frame may hold.
size_t Shim::log_frame_room() const {
    const uint64_t at = log_.end % log_block_bytes;
    const uint32_t room = at == 0 ? 0 : log_room(at);
    return room == 0 ? log_frame_bytes_max : room;
}

/// `data` has log_front bytes of room before it, so that headers and data leave in one write.
/// False: nothing was written.
bool Shim::put_frame(LogStream stream, uint8_t* data, size_t size) {
    uint64_t time_ns = wall_clock_ns();
    const bool back = log_.fd >= 0 && time_ns + clock_step_ns < log_.time_ns;
    if (back || (log_.end % log_block_bytes != 0 && log_room(log_.end % log_block_bytes) == 0))
        log_.end = next_block(log_.end);
    const bool first = log_.end % log_block_bytes == 0;
    const uint64_t used = log_.end - log_.base;
    const bool over = used > 0 && (back || used >= log_.segment_bytes);
    if (first && (log_.fd < 0 || over) && !begin_segment()) return false;
    if (!back && time_ns < log_.time_ns) time_ns = log_.time_ns;
    LogFrame frame = {{time_ns, static_cast<uint32_t>(size), stream, 0, 0},
                      {reinterpret_cast<char*>(data), size}};
    if (stream != LogStream::lost && frame.bytes.back() != '\n') frame.header.flags = log_partial;
    uint8_t* from = data - sizeof frame.header;
    memcpy(from, &frame.header, sizeof frame.header);
    if (first) {
        const LogBlock block =
            log_sealed({log_block_magic, log_.tally.open, log_.end, time_ns, log_.tally.lines,
                        log_.tally.bytes, log_.tally.lost});
        from -= sizeof block;
        memcpy(from, &block, sizeof block);
    }
    const uint64_t at = log_.end - log_.base;
    const long total = static_cast<long>(static_cast<size_t>(data - from) + size);
    const long written = sys(SYS_pwrite64, log_.fd, from, total, at);
    if (written != total) {
        if (written > 0) sys(SYS_ftruncate, log_.fd, at);
        return false;
    }
    log_.end += static_cast<uint64_t>(total);
    log_.time_ns = time_ns;
    log_.tally.add(frame);
    return true;
}

/// Appends what stands in scratch_ behind log_front bytes. What a full disk does not take is
/// counted and noted later.
void Shim::append_log(uint8_t stream, size_t size) {
    if (log_.lost == 0 || note_loss()) {
        // The note may have taken the room of the last bytes.
        const size_t fits = size < log_frame_room() ? size : log_frame_room();
        uint8_t* data = scratch_ + log_front;
        if (put_frame(static_cast<LogStream>(stream), data, fits)) {
            if (fits == size) return;
            // Its headers overwrite what was just written.
            if (put_frame(static_cast<LogStream>(stream), data + fits, size - fits)) return;
            size -= fits;
        }
    }
    log_.lost += size;
}

bool Shim::note_loss() {
    struct {
        uint8_t front[log_front];
        uint64_t count;
    } note = {{}, log_.lost};
    if (log_frame_room() < sizeof note.count) log_.end = next_block(log_.end);
    if (!put_frame(LogStream::lost, reinterpret_cast<uint8_t*>(&note.count), sizeof note.count))
        return false;
    log_.lost = 0;
    return true;
}

/// noded may remove the log as soon as it is told that this container is released; clients that are
/// behind read on in what is held open here.
void Shim::hold_log() {
    bool behind = false;
    for (const Client& client : clients_)
        behind = behind || (client.used && client.process == 0 && client.cursor < log_.end);
    if (!behind || log_.held || !log_.open) return;
    log_.held = true;
    for (uint32_t i = 0; i < log_.count; ++i)
        log_.held_fd[i] = open_segment(log_.bases[i], O_RDONLY);
}

/// The segment in which a client reads; for one whose place was rotated away, the oldest there is.
uint32_t Shim::segment_of(Client& client) {
    uint32_t index = log_.count;
    while (index > 0 && log_.bases[index - 1] > client.cursor) --index;
    if (index > 0) return index - 1;
    LogBlock block = {};
    int fd = open_segment(log_.bases[0], O_RDONLY);
    if (fd >= 0) sys(SYS_pread64, fd, &block, sizeof block, 0);
    close_fd(fd);
    if (log_block_valid(block, log_.bases[0]) && block.bytes > client.seen_bytes) {
        queue_lost(client, block.bytes - client.seen_bytes);
        client.seen_bytes = block.bytes;
    }
    client.cursor = log_.bases[0];
    client.cursor_left = 0;
    return 0;
}

/// Bytes of the log at a client's cursor into scratch_, at most to the end of the block.
long Shim::read_log(const Client& client, uint32_t segment) {
    const uint64_t base = log_.bases[segment];
    const bool newest = segment + 1 == log_.count;
    const uint64_t wanted = log_block_bytes - client.cursor % log_block_bytes;
    int fd = newest ? log_.fd : log_.held ? log_.held_fd[segment] : open_segment(base, O_RDONLY);
    const long size = fd < 0 ? fd : sys(SYS_pread64, fd, scratch_, wanted, client.cursor - base);
    if (!newest && !log_.held) close_fd(fd);
    return size;
}

/// Takes a stretch of the log apart. A frame that is larger than what fits goes out in pieces.
bool Shim::fill_from_log(Client& client) {
    const uint32_t segment = segment_of(client);
    const long count = read_log(client, segment);
    if (count <= 0) {
        // The end of an old segment; or somebody shortened the file: what is gone cannot be shown.
        client.cursor = segment + 1 < log_.count ? log_.bases[segment + 1] : log_.end;
        client.cursor_left = 0;
        return true;
    }
    const uint64_t block = block_of(client.cursor);
    const size_t size = static_cast<size_t>(count);
    size_t at = client.cursor == block ? sizeof(LogBlock) : 0;
    bool skip = false;  // nothing more in this block
    while (at < size && !skip) {
        if (client.cursor_left == 0) {
            LogHeader header;
            const uint32_t room = log_room(client.cursor - block + at);
            skip = room == 0 || size - at < sizeof header;
            if (skip) break;
            memcpy(&header, scratch_ + at, sizeof header);
            skip = !log_header_valid(header) || header.length > room;
            if (skip) break;
            at += sizeof header;
            client.cursor_left = header.length;
            client.frame_stream = static_cast<uint8_t>(header.stream);
            if (header.stream == LogStream::lost && size - at >= sizeof(uint64_t)) {
                uint64_t lost;
                memcpy(&lost, scratch_ + at, sizeof lost);
                queue_lost(client, lost);
                client.seen_bytes += lost;
                at += sizeof lost;
                client.cursor_left = 0;
                continue;
            }
        }
        const size_t piece = client.cursor_left < size - at ? client.cursor_left : size - at;
        const size_t queued = queue(client, client.frame_stream, scratch_ + at, piece);
        at += queued;
        client.seen_bytes += queued;
        client.cursor_left -= static_cast<uint32_t>(queued);
        if (queued < piece) {
            client.cursor += at;
            return true;
        }
    }
    client.cursor = skip ? block + log_block_bytes : client.cursor + at;
    return true;
}

}  // namespace noded::shim
