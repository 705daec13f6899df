// Writing snapshots and releasing what they cover; see snapshots.h.
#include "agent/snapshots.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/limits.h"
#include "agent/log/snapshot.h"

namespace noded {

const char kCoreSection[] = ":core";

void Snapshots::turn_end() {
    if (!pipeline_.quiescent()) return;
    const uint64_t durable = log_.durable_seq();
    const uint64_t since = durable - std::min(durable, std::max(newest_seq_, tried_seq_));
    const bool short_of_room =
        log_.nearly_full() && since >= limits::snapshot_under_pressure_events;
    if (since >= limits::snapshot_every_events || short_of_room) write();
}

void Snapshots::write() {
    CHECK(pipeline_.quiescent());
    const uint64_t seq = log_.durable_seq();
    if (seq == newest_seq_ || seq == 0) return;
    tried_seq_ = seq;
    const Buffer core = pipeline_.core().save();
    const auto plugins = host_.save();
    if (!plugins) return log_line(Severity::error, "snapshots", plugins.error().message);
    std::vector<log::SnapshotSection> sections{{kCoreSection, core}};
    for (const auto& section : *plugins) sections.push_back({section.name, section.data});
    if (const Status written = log::write_snapshot(storage_, seq, sections); !written) {
        return log_line(Severity::error, "snapshots", written.error().message);
    }
    // The older of the two that are kept must stay usable. History goes when there is enough of it,
    // and earlier when room is short: a node that takes commands is worth more.
    const uint64_t usable = std::exchange(newest_seq_, seq) + 1;
    const uint64_t wanted = seq > limits::events_kept_min ? seq - limits::events_kept_min : 0;
    const uint64_t release = log_.nearly_full() ? usable : std::min(usable, wanted);
    if (const Status released = log_.release_before(release); !released) {
        log_line(Severity::error, "snapshots", released.error().message);
    }
}

}  // namespace noded
