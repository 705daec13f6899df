// From the log to the state, by fold alone; see replay.h.
#include "agent/core/replay.h"

#include <algorithm>

#include "agent/base/check.h"

namespace noded::core {

Status replay(log::Log& log, uint64_t first, Core& core, Domain& domain) {
    uint64_t expected = first;
    TRY_STATUS(log.read(first, [&](const Event& event) {
        CHECK(event.seq == expected);
        ++expected;
        core.remember(event);
        domain.fold(event);
        return true;
    }));
    CHECK(expected == std::max(first, log.durable_seq() + 1));
    return {};
}

}  // namespace noded::core
