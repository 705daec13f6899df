// Having snapshots written; see snapshots.h.
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
    : reactor_(reactor),
      storage_(storage),
      log_(log),
      pipeline_(pipeline),
      host_(host),
      options_(options),
      newest_(newest),
      keeper_(storage, log, reactor.clock(), options.retention) {
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
    const bool asked_for = keeper_.snapshot_wanted() && durable > newest_.seq &&
                           reactor_.clock().monotonic_ns() >= retry_ns_;
    return (since >= every && durable != disowned_seq_) || asked_for;
}

void Snapshots::loaded() {
    const auto started_from_it = [this](const auto& instance) {
        return instance->status != host::Instance::Status::loaded ||
               instance->snapshot_seq == newest_.seq;
    };
    if (newest_.seq == 0) return;
    if (std::ranges::all_of(host_.instances(), started_from_it)) keeper_.verified(newest_.seq);
    else disown(std::exchange(newest_.seq, 0));
}

/// Another one is due, but no replica writes one of the same seq: after the next event.
void Snapshots::disown(uint64_t seq) {
    if (seq != 0) disowned_seq_ = seq;
    tried_seq_ = 0;
}

/// What a plugin knew when it was stopped is in this process alone.
bool Snapshots::replica_can_know() const {
    return std::none_of(host_.instances().begin(), host_.instances().end(),
                        [](const auto& instance) {
                            return instance->status == host::Instance::Status::stopped &&
                                   instance->reconciled;
                        });
}

/// What was written before one came does not know it.
void Snapshots::look_for_late_plugins() {
    if (std::exchange(late_seen_, host_.loaded_late()) == host_.loaded_late()) return;
    keeper_.forget_verified();
    disown(std::exchange(newest_.seq, 0));
}

void Snapshots::turn_end() {
    look_for_late_plugins();
    // Nothing goes that a plugin still has to fold, unless nobody can do anything otherwise.
    if (host_.is_folding_late()) {
        if (log_.lacks_space()) keeper_.turn_end();
        return;
    }
    keeper_.turn_end();
    if (!pipeline_.quiescent() || writing_beside()) return;
    if (std::exchange(write_soon_, false)) return write();
    if (!due()) return;
    retry_ns_ = reactor_.clock().monotonic_ns() + limits::snapshot_retry_ns;
    const bool by_replica = replica_ && !replica_failed_ && replica_can_know() &&
                            log_.durable_seq() != disowned_seq_;
    if (!by_replica) return write();
    start_replica();
}

void Snapshots::start_replica() {
    tried_seq_ = log_.durable_seq();
    plugins_ = past::loaded_plugins(host_);
    if (const Status started = replica_->start(tried_seq_, plugins_, keeper_.bytes_max_now());
        !started) {
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
    write_soon_ = !replica_can_know();
    if (write_soon_) return;
    // A plugin that came meanwhile still needs the events that this snapshot covers: the next
    // replica knows it.
    if (plugins_ == past::loaded_plugins(host_)) taken({tried_seq_, *bytes});
    else disown(tried_seq_);
}

void Snapshots::write() {
    CHECK(pipeline_.quiescent());
    if (replica_) replica_->end();
    if (host_.is_folding_late()) return;
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
    // Before anything goes that it covers.
    if (const auto read = log::load_snapshot(storage_, seq); !read) {
        (void)log::remove_snapshot(storage_, seq);
        return log_line(Severity::error, "snapshots",
                        "snapshot of seq " + std::to_string(seq) +
                            " cannot be read back: " + read.error().message);
    }
    taken({seq, past::state_bytes(*sections)});
}

void Snapshots::taken(SnapshotTaken snapshot) {
    newest_ = snapshot;
    keeper_.verified(snapshot.seq);   // it releases at the end of the turn
}

}  // namespace noded
