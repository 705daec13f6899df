// See late_history.h.
#include "agent/host/late_history.h"

#include <utility>

#include "agent/limits.h"

namespace noded::host {

void LateHistory::begin() {
    stretch_ = {};
    at_ = 0;
    next_.reset();
    in_line_ = false;
}

Status LateHistory::read(log::Log& log, uint64_t first, const log::EachRecord& each) {
    if (at_ == stretch_.records.size()) take(log, first);
    if (at_ < stretch_.records.size()) {
        while (at_ < stretch_.records.size() && each(stretch_.records[at_++])) {}
        return {};
    }
    if (reading_) return {};
    const uint64_t durable = log.durable_seq();
    in_line_ = in_line_ || first + limits::late_in_line_events_max > durable;
    if (!in_line_) reading_ = log.read_aside(first, *this);
    return reading_ ? Status() : log.read(first, each);
}

/// What was read for another one that is no longer loading is not what is asked for.
void LateHistory::take(log::Log& log, uint64_t first) {
    stretch_ = {};
    at_ = 0;
    if (next_ && next_->records.front().seq == first) {
        stretch_ = std::move(*next_);
        in_line_ = stretch_.to_end;
        if (!in_line_) reading_ = log.read_aside(stretch_.records.back().seq + 1, *this);
    }
    next_.reset();
}

void LateHistory::stretch_read(Result<log::Stretch> stretch) {
    reading_ = false;
    if (stretch) next_ = std::move(*stretch);
    else in_line_ = true;
}

}  // namespace noded::host
