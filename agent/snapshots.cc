// Having snapshots written and releasing what they cover; see snapshots.h.
#include "agent/snapshots.h"

#include <algorithm>
#include <utility>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/log/snapshot.h"
#include "agent/past/sections.h"

namespace noded {

Snapshots::Snapshots(reactor::Reactor& reactor, log::Storage& storage, log::Log& log,
                     core::Pipeline& pipeline, host::Host& host, SnapshotTaken newest,
                     const SnapshotOptions& options)
    : storage_(storage),
      log_(log),
      pipeline_(pipeline),
      host_(host),
      options_(options),
      newest_(newest) {
    if (options.replica_of == nullptr) return;
    replica_.emplace(reactor, *options.replica_of,
                     [this](Result<uint64_t> bytes) { replica_ended(std::move(bytes)); });
}

bool Snapshots::due() const {
    const uint64_t durable = log_.durable_seq();
    const uint64_t since = durable - std::min(durable, std::max(newest_.seq, tried_seq_));
    const uint64_t by_size = newest_.bytes / options_.bytes_per_event;
    const uint64_t every = std::clamp(by_size, options_.every_events,
                                      options_.every_events * limits::snapshot_stretch_max);
    const bool short_of_room = log_.nearly_full() && since >= options_.under_pressure_events;
    return since >= every || short_of_room;
}

/// What a plugin knew when it was stopped is in this process alone.
bool Snapshots::replica_can_know() const {
    return std::none_of(host_.instances().begin(), host_.instances().end(),
                        [](const auto& instance) {
                            return instance->status == host::Instance::Status::stopped &&
                                   instance->reconciled;
                        });
}

void Snapshots::turn_end() {
    if (!pipeline_.quiescent() || (replica_ && replica_->running())) return;
    if (std::exchange(write_soon_, false)) return write();
    if (!due()) return;
    if (!replica_ || replica_failed_ || !replica_can_know()) return write();
    start_replica();
}

void Snapshots::start_replica() {
    tried_seq_ = log_.durable_seq();
    plugins_ = past::loaded_plugins(host_);
    if (const Status started = replica_->start(tried_seq_, plugins_); !started) {
        replica_ended(std::unexpected(started.error()));
    }
}

void Snapshots::replica_ended(Result<uint64_t> bytes) {
    replica_failed_ = !bytes;
    if (!bytes) {
        return log_line(Severity::error, "snapshots",
                        "the replica that was to write the snapshot of seq " +
                            std::to_string(tried_seq_) + " failed: " + bytes.error().message);
    }
    // A plugin that came meanwhile still needs the events that this snapshot covers.
    write_soon_ = plugins_ != past::loaded_plugins(host_) || !replica_can_know();
    if (write_soon_) {
        newest_ = {tried_seq_, *bytes};
        return;
    }
    taken({tried_seq_, *bytes});
}

void Snapshots::write() {
    CHECK(pipeline_.quiescent());
    if (replica_) replica_->end();
    const uint64_t seq = log_.durable_seq();
    if (seq == newest_.seq || seq == 0) return;
    tried_seq_ = seq;
    replica_failed_ = false;
    const auto sections = past::state_sections(pipeline_, host_);
    if (!sections) return log_line(Severity::error, "snapshots", sections.error().message);
    if (const Status written = log::write_snapshot(storage_, seq, past::borrow(*sections));
        !written) {
        return log_line(Severity::error, "snapshots", written.error().message);
    }
    taken({seq, past::state_bytes(*sections)});
}

void Snapshots::taken(SnapshotTaken snapshot) {
    // The older of the two that are kept must stay usable. History goes when there is enough of it,
    // and earlier when room is short: a node that takes commands is worth more.
    const uint64_t usable = std::exchange(newest_, snapshot).seq + 1;
    const uint64_t wanted =
        newest_.seq > options_.events_kept_min ? newest_.seq - options_.events_kept_min : 0;
    const uint64_t release = log_.nearly_full() ? usable : std::min(usable, wanted);
    if (const Status released = log_.release_before(release); !released) {
        log_line(Severity::error, "snapshots", released.error().message);
    }
}

}  // namespace noded
