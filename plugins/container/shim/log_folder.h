// LogFolder: reads the segments of a container's log (plugins/container/shim/LOG.md) out of the
// folder that noded handed over: finds lines and times in a few reads of headers, and goes forward
// across rotations. Segments are held open from the moment they are seen: what is deleted then is
// read all the same. A reader who is slow holds a few of those that come, and learns what it lost.
// Called by nodectl logs, and by the plugin for those who subscribe (log_topics.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/shim/log_frames.h"

namespace noded {

class LogFolder {
public:
    /// A descriptor of the folder. Reading begins with the oldest byte, if nothing else is said
    /// before the first read_on.
    explicit LogFolder(Fd folder);

    /// How many lines of the whole log have begun until then.
    Result<uint64_t> line_count(int64_t until_ns);
    /// Reading begins so that no line with this number or a higher one is missed, and little more
    /// is read. The container's first line is 0.
    Status begin_at_line(uint64_t line);
    /// The same for the byte with this number of all that the container wrote.
    Status begin_at_byte(uint64_t byte);
    /// The same for lines that begin at this time or later.
    void begin_at_time(int64_t since_ns) { since_ns_ = since_ns; }

    struct Sink {
        /// What follows comes behind this header and not behind the frame before; so many bytes
        /// between were rotated away.
        std::function<void(const LogBlock&, uint64_t lost)> jump;
        /// False: no more of this segment is wanted.
        std::function<bool(const LogFrame&)> frame;
    };
    /// All that is there now, from where the last reading ended.
    Status read_on(const Sink& sink);
    /// The same, and no frame more once the sink has had so many bytes. True: there may be more.
    Result<bool> read_some(const Sink& sink, size_t bytes_max);
    /// How many bytes the container had written where reading is: behind the frame that a sink has
    /// just got. Lost ones count.
    uint64_t position() const { return seen_bytes_; }

    int fd() const { return folder_.get(); }

    /// So many are held of those that come while one reads: each holds its space on the disk.
    static constexpr size_t kHeldMax = 4;

private:
    struct Segment {
        uint64_t base;
        Fd fd;
    };

    Result<std::vector<uint64_t>> list() const;
    Status hold_newer();
    Result<std::string_view> read_block(const Segment& segment, uint64_t block, size_t from);
    template <typename Before>
    Status begin_where(Before before);
    void begin_segment(uint64_t block, bool jumps);
    Status read_segment(const Sink& sink, bool* wanted);
    bool read_header(std::string_view bytes, const Sink& sink);

    Fd folder_;
    std::deque<Segment> held_;  ///< the first is being read once `begun_`
    uint64_t newest_ = 0;       ///< base of the newest that was ever held
    bool any_ = false;          ///< there is such a one
    bool begun_ = false;
    uint64_t block_ = 0;      ///< of the first segment, to be read next
    size_t at_ = 0;           ///< in the block; 0: its header comes next
    bool jumps_ = true;       ///< the next header does not follow what was read before
    uint64_t seen_bytes_ = 0;  ///< that the container had written up to where reading is
    int64_t since_ns_ = INT64_MIN;
    size_t bytes_left_ = SIZE_MAX;  ///< until the reading pauses
    bool paused_ = false;
    std::unique_ptr<char[]> buffer_;
};

}  // namespace noded
