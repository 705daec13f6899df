// Every bound of the daemon. What comes from outside is checked against these before anything is
// done with it; the assertions below say how they hang together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::limits {

// Log (agent/log/FORMAT.md). A batch is what one durable write carries.
constexpr size_t log_block_bytes = 4096;
constexpr size_t log_payload_bytes_max = 1 << 20;       ///< one event
constexpr size_t log_batch_bytes_max = 4 << 20;         ///< one write
constexpr size_t log_batch_records_max = 4096;
constexpr size_t log_segment_bytes = 64 << 20;
/// a new one shrinks to this on a full disk; still takes any command
constexpr size_t log_segment_bytes_min = 2 << 20;
constexpr size_t log_index_stride_bytes = 256 << 10;    ///< a read begins at most so far before
/// what is read aside at once
constexpr size_t log_stretch_bytes_max = 2 << 20;
constexpr size_t log_stretch_records_max = 8192;
/// Segments and snapshots together; what a configuration may ask for at least. A segment is at most
/// one of so many parts of it.
constexpr uint64_t log_bytes_max = uint64_t{4} << 30;
constexpr uint64_t log_bytes_max_min = 32 << 20;
constexpr uint64_t log_segments_in_bytes_max = 16;
/// So many snapshots of the newest one's size it should hold, or a start warns.
constexpr uint64_t log_snapshots_in_bytes_max = 3;
/// What the archives take together, beside that; and what one frame of them holds of a segment.
constexpr uint64_t archive_bytes_max = uint64_t{4} << 30;
constexpr uint64_t archive_bytes_max_min = 8 << 20;
constexpr size_t archive_frame_bytes = 1 << 20;
constexpr int64_t log_age_max_min_ns = 60'000'000'000;
/// How often limits are looked at when nothing else asks for it, and when room is short.
constexpr int64_t retention_period_ns = 10'000'000'000;
constexpr int64_t retention_period_short_ns = 100'000'000;
constexpr size_t retention_steps_max = 8;   ///< per turn: each changes the directory durably
/// A snapshot is due after so many events; after more of them when the state is large, one per so
/// many bytes of it, up to so many times more: that bounds what a start replays.
constexpr uint64_t snapshot_every_events = 1 << 16;
constexpr uint64_t snapshot_bytes_per_event = 256;
constexpr uint64_t snapshot_stretch_max = 16;
/// One that retention asks for is tried again after this.
constexpr int64_t snapshot_retry_ns = 5'000'000'000;

// Pipeline.
constexpr size_t commands_queued_max = 8192;            ///< more are refused with "busy"
constexpr size_t events_per_command_max = 64;
/// payloads of one command's events together
constexpr size_t command_events_bytes_max = (1 << 20) - (16 << 10);
/// what a client may say of itself, and that with who it is, as the log keeps it
constexpr size_t command_client_bytes_max = 64;
constexpr size_t command_sender_bytes_max = 24 + command_client_bytes_max;
/// what the events of one command take in the log, but for their headers
constexpr size_t command_logged_bytes_max = command_events_bytes_max + command_sender_bytes_max;
constexpr size_t command_ids_remembered_max = 65536;    ///< a retry of an older id is decided anew

// Reactor.
constexpr unsigned ring_entries = 1024;
constexpr size_t offload_threads = 3;   ///< noded's own work and that of two plugins at once
constexpr size_t offload_queue_max = 1024;

// RPC.
constexpr size_t rpc_message_bytes_max = 8 << 20;
constexpr size_t rpc_connections_max = 1024;
constexpr size_t rpc_calls_per_connection_max = 1024;
constexpr size_t rpc_fds_per_message_max = 4;
constexpr size_t events_per_page_max = 1024;

// The past: processes that each hold the state of then.
constexpr size_t past_readers_max = 4;
constexpr int64_t past_reader_idle_ns = 60'000'000'000;   ///< without a call one ends

// Plugins.
constexpr size_t plugins_max = 64;
/// commands, events or folds that one descriptor names
constexpr size_t plugin_types_max = 256;
/// What a plugin that came late folds of the history in one turn of the node, and how many turns it
/// lets go by at most as long as others have something to do.
constexpr int64_t late_slice_ns = 1'000'000;
constexpr size_t late_slice_events_max = 16384;
constexpr size_t late_turns_waited_max = 32;
/// The last ones are read in line.
constexpr size_t late_in_line_events_max = 1024;
constexpr size_t plugin_timers_max = 65536;
constexpr size_t plugin_fds_max = 65536;
/// that wait for the log, which takes none while the disk is full; more stop the plugin
constexpr size_t plugin_proposals_queued_max = 65536;
constexpr size_t plugin_snapshot_bytes_max = 256 << 20;
constexpr size_t plugin_name_bytes_max = 64;
constexpr uint64_t plugin_undeclared_events_max = 16;   ///< so many refused proposals stop a plugin

// Publish.
constexpr size_t publish_clients_max = 1024;      ///< public keys that are let in at tcp://
/// Of subscribers that were not let in so many sentences are logged, each once in this time.
constexpr size_t complaints_max = 32;
constexpr int64_t complaint_pause_ns = 3600ll * 1'000'000'000;
constexpr size_t publish_bytes_max = 1 << 20;
constexpr size_t publish_queue_messages_max = 8192;    ///< per subscriber; then it loses some
constexpr size_t subscriptions_max = 4096;              ///< different ones; more are not served
constexpr size_t subscription_bytes_max = 255;

static_assert(log_batch_bytes_max % log_block_bytes == 0);
static_assert(log_segment_bytes % log_block_bytes == 0);
static_assert(log_payload_bytes_max * 2 <= log_batch_bytes_max,
              "the largest event fits into a batch");
static_assert(
    command_logged_bytes_max + events_per_command_max * 128 <= log_payload_bytes_max,
    "what one command causes, record headers included, takes no more room than the largest event");
static_assert(log_batch_bytes_max * 4 <= log_segment_bytes, "a segment holds several batches");
static_assert(log_payload_bytes_max <= log_stretch_bytes_max, "a stretch holds the largest event");
static_assert(log_segment_bytes_min >= log_payload_bytes_max + 2 * log_block_bytes + 64 &&
                  log_segment_bytes_min % log_block_bytes == 0,
              "the smallest segment takes what one command causes, behind its header");
static_assert(log_bytes_max_min / log_segments_in_bytes_max >= log_segment_bytes_min,
              "the smallest limit holds so many of the smallest segments");
static_assert(archive_frame_bytes % log_block_bytes == 0 &&
                  archive_frame_bytes >= log_index_stride_bytes,
              "an index of a segment has room for a place in each frame");
static_assert(log_payload_bytes_max <= rpc_message_bytes_max,
              "a command that can be logged can be sent");
static_assert(publish_bytes_max >= log_payload_bytes_max, "every event can be published");

}  // namespace noded::limits
