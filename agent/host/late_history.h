// LateHistory: what a plugin that came late still has to fold, read aside, one stretch ahead of the
// one that it folds, so that the reactor waits for no disk.
//
// The last events, those that came while the stretch before was read and folded, are read in line;
// so is all of a short history, and what could not be read aside, which then says why. Owned by
// Host, for one plugin after another; on the reactor's thread.
#pragma once

#include <optional>

#include "agent/log/log.h"

namespace noded::host {

class LateHistory final : private log::StretchDone {
public:
    /// Another plugin begins.
    void begin();

    /// Tells `each` the durable events from `first` on that are at hand, in order, until it returns
    /// false. None may be; then a completion of the reactor brings them.
    Status read(log::Log& log, uint64_t first, const log::EachRecord& each);
    bool waits() const { return reading_ && at_ == stretch_.records.size(); }

private:
    void stretch_read(Result<log::Stretch> stretch) override;
    void take(log::Log& log, uint64_t first);

    log::Stretch stretch_;
    size_t at_ = 0;   ///< of its records, the next one
    std::optional<log::Stretch> next_;
    bool reading_ = false;
    bool in_line_ = false;
};

}  // namespace noded::host
