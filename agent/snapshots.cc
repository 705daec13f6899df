// Writing snapshots and releasing what they cover; see snapshots.h.
#include "agent/snapshots.h"

#include <algorithm>
#include <vector>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/limits.h"
#include "agent/log/snapshot.h"

namespace noded {

const char kCoreSection[] = ":core";

void Snapshots::turn_end() {
    const uint64_t durable = log_.durable_seq();
    const bool due = durable >= std::max(newest_seq_, tried_seq_) + limits::snapshot_every_events;
    if (due && pipeline_.quiescent()) write();
}

void Snapshots::write() {
    CHECK(pipeline_.quiescent());
    const uint64_t seq = log_.durable_seq();
    if (seq == newest_seq_ || seq == 0) return;
    tried_seq_ = seq;
    const Buffer core = pipeline_.core().save();
    const auto plugins = host_.save();
    std::vector<log::SnapshotSection> sections{{kCoreSection, core}};
    for (const auto& section : plugins) sections.push_back({section.name, section.data});
    if (const Status written = log::write_snapshot(storage_, seq, sections); !written) {
        return log_line(Severity::error, "snapshots", written.error().message);
    }
    newest_seq_ = seq;
    if (seq <= limits::events_kept_min) return;
    if (const Status released = log_.release_before(seq - limits::events_kept_min); !released) {
        log_line(Severity::error, "snapshots", released.error().message);
    }
}

}  // namespace noded
