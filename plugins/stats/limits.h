// Bounds of the stats plugin.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::stats::limits {

/// That are sampled; of more the newest are left out, and a warning says so.
constexpr size_t containers_max = 8192;
constexpr size_t containers_asked_max = 8192;      ///< names in one question
constexpr size_t questions_waiting_max = 1024;     ///< more are refused with BUSY
constexpr size_t samples_kept = 2;
constexpr int64_t tick_ns = 1'000'000'000;
/// The second sample of a first question follows the first so soon: enough for a rate.
constexpr int64_t first_pair_ns = 250'000'000;
/// So long samples are taken after the last question.
constexpr int64_t interest_ns = 10'000'000'000;
/// A question is answered by samples that are at most this old.
constexpr int64_t fresh_ns = 2 * tick_ns;
/// Samples per second that a topic can have: stats@RATE/….
constexpr uint32_t rate_max = 100;
/// So many bytes of messages are made before they are sent together.
constexpr size_t send_together_bytes = 128 << 10;
/// Questions for one sample that come within this time share it.
constexpr int64_t once_gather_ns = 1'000'000;
/// Files stay open so long for those who ask for one sample now and then: a scrape each minute.
constexpr int64_t once_keep_ns = 90'000'000'000;
/// After so many looks at containers that have just started, all are looked at: those that are gone
/// keep their places in the kernel's tables until then.
constexpr size_t looks_between_all = 64;
/// So often it is tried to count for a container in the kernel.
constexpr uint32_t watch_tries_max = 5;
/// So long it is counted for a group that is named as a container's is, and is not noded's.
constexpr int64_t stranger_ns = 60'000'000'000;
/// What a file told is used again at most so long, at least half of it, if the kernel's own figures
/// say that it has not changed.
constexpr int64_t kept_ns = 600'000'000'000;
/// The same of block I/O, whose mark is counted by a program: the kernel does not run it when it
/// interrupts itself, and not for devices without requests.
constexpr int64_t io_kept_ns = 60'000'000'000;
/// A container's file that nobody needed for so long is closed: at the next sample of one a second.
constexpr int64_t file_unused_ns = 900'000'000;
/// Files of pressure are read at most so often, if it is known when they change.
constexpr int64_t pressure_ns = 900'000'000;
/// Mounted file systems are looked at at most so often.
constexpr int64_t filesystems_ns = 900'000'000;
/// After a start without a container that runs, so long until the eBPF programs are loaded.
constexpr int64_t first_look_ns = 20'000'000;
/// A full offload lane is asked again after this time.
constexpr int64_t lane_full_ns = 50'000'000;
/// Of the process's descriptors at most this part is kept open between samples.
constexpr size_t files_open_share = 4;
constexpr size_t files_open_max = 262'144;
constexpr size_t file_bytes_max = 256 << 10;       ///< of what is read; the rest is not looked at
/// Of what the kernel's verifier said about a program that it refused: the end.
constexpr size_t verifier_bytes_max = 2048;
constexpr size_t disks_max = 256;
constexpr size_t networks_max = 256;
constexpr size_t filesystems_max = 256;
constexpr size_t memory_items_max = 128;
constexpr size_t cpus_max = 4096;                  ///< with figures of their own

static_assert(pressure_ns < tick_ns && file_unused_ns < tick_ns && tick_ns < io_kept_ns / 2);
static_assert(first_pair_ns < tick_ns && tick_ns < fresh_ns && fresh_ns < interest_ns);

}  // namespace noded::stats::limits
