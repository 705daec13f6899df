// Snapshots: the folded state at a seq, as named sections of bytes (FORMAT.md, Snapshot). Blocking
// calls, for shutdown and the offload lane; beside a running log in the same storage they touch
// only their own files.
#pragma once

#include <optional>
#include <span>

#include "agent/log/storage.h"

namespace noded::log {

/// One plugin's state, or the core's. The name is at most limits::plugin_name_bytes_max, the data
/// at most limits::plugin_snapshot_bytes_max.
struct SnapshotSection {
    std::string_view name;
    Bytes data;
};

struct Snapshot {
    struct Section {
        std::string name;
        Buffer data;  ///< 8-byte aligned
    };
    uint64_t seq = 0;  ///< every event up to this one is folded in
    std::vector<Section> sections;

    /// The section of that name, or null.
    const Section* find(std::string_view name) const;
};

/// Writes the state after `seq`, which must be durable in the log; durable when it returns.
/// A failure leaves nothing.
Status write_snapshot(Storage& storage, uint64_t seq, std::span<const SnapshotSection> sections);

/// One that did not read back: it would take the room of the next, which may lead out of a log that
/// is full.
Status remove_snapshot(Storage& storage, uint64_t seq);

/// Seqs of the snapshots that are there, valid or not, newest first.
Result<std::vector<uint64_t>> list_snapshots(Storage& storage);

/// That one, checked to the last byte. The error says at which byte what is wrong, without the
/// name.
Result<Snapshot> load_snapshot(Storage& storage, uint64_t seq);

/// The newest valid snapshot with seq <= `last`, or none. Invalid newer ones are passed over and
/// told in `notice` (empty otherwise).
Result<std::optional<Snapshot>> load_newest_snapshot(Storage& storage, std::string* notice,
                                                     uint64_t last = UINT64_MAX);

}  // namespace noded::log
