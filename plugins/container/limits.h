// Bounds of the container plugin. What a command asks for is checked against these before anything
// of it is kept; the events that follow from it then fit into a log record. Read by decide and by
// the effects that park things.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::container::limits {

/// Shims that wait for containers, and how many after a burst of starts that needed more of them.
/// Each takes about 100 KiB, and the kernel as much for its namespaces.
constexpr size_t idle_shims = 4;
constexpr size_t idle_shims_after_burst = 16;
/// Things that wait for a quiet moment while starts come: above all shims of removed containers.
constexpr size_t put_off_max = 16;

// One container.
constexpr size_t argv_bytes_max = 128 << 10;  ///< command line with its terminating zeros
constexpr size_t argv_count_max = 4096;
constexpr size_t env_bytes_max = 128 << 10;
constexpr size_t env_count_max = 2048;
constexpr size_t labels_bytes_max = 64 << 10;
constexpr size_t labels_count_max = 512;
/// Where a page of the list ends: far below what a message may have, with room for one container.
constexpr size_t list_page_bytes = 1 << 20;
constexpr size_t exposed_ports_max = 1024;  ///< of the image's; more are not shown
constexpr size_t exposed_port_bytes_max = 32;
constexpr size_t name_bytes_max = 128;
/// what names a container or an image in a command
constexpr size_t reference_bytes_max = 512;
constexpr size_t hostname_bytes_max = 64;  ///< HOST_NAME_MAX
constexpr size_t user_bytes_max = 256;
constexpr size_t path_bytes_max = 4095;  ///< PATH_MAX without its final zero
constexpr int32_t stop_timeout_seconds_max = 24 * 3600;
constexpr size_t cpuset_bytes_max = 256;
constexpr size_t device_rates_max = 32;
constexpr size_t mounts_max = 48;  ///< with devices; a launch spec takes a few more
constexpr size_t sysctls_max = 32;
constexpr size_t seccomp_profile_bytes_max = 128 << 10;
constexpr size_t groups_added_max = 32;
constexpr size_t id_maps_max = 16;  ///< of users, and of groups; a launch spec takes both
constexpr size_t device_rules_max = 64;
/// The log: files of so many bytes at most, the newest so many of them.
constexpr int64_t log_file_bytes_default = 10'000'000;
constexpr int64_t log_file_bytes_max = int64_t{1} << 40;
constexpr int32_t log_files_default = 5;
constexpr int32_t log_files_max = 128;  ///< as many as a shim keeps count of
/// Of output for subscribers: read of all containers in one turn, and the time between two turns.
constexpr size_t log_topic_turn_bytes = 1 << 20;
constexpr size_t log_topic_container_bytes = 256 << 10;  ///< of one container in one turn
constexpr size_t log_topic_turn_opens = 32;  ///< folders that are begun to be followed
constexpr int64_t log_topic_pause_ns = 5'000'000;
constexpr size_t log_topic_containers_max = 1024;  ///< followed at once; each takes descriptors
/// Of one message: what waits for a subscriber that never reads is 8,192 of them at most.
constexpr size_t log_topic_message_bytes = 8 << 10;
constexpr size_t log_part_bytes_max = 1 << 20;
constexpr ptrdiff_t commits_max = 8;   ///< under way at once, each of another container
constexpr size_t commit_changes_max = 128;
constexpr size_t commit_changes_bytes_max = 64 << 10;
constexpr size_t commit_text_bytes_max = 4096;  ///< author and message, each
constexpr size_t health_test_bytes_max = 16 << 10;
constexpr uint32_t health_time_ms_max = 24 * 3600 * 1000;
constexpr size_t health_output_bytes_max = 4096;  ///< kept of a probe
constexpr size_t health_results_max = 5;          ///< kept of a container
/// before the first restart by policy, then twice as long each time
constexpr uint32_t restart_delay_ms_first = 100;
constexpr uint32_t restart_delay_ms_longest = 60'000;
constexpr uint32_t restart_delay_ms_max = 24 * 3600 * 1000;  ///< that may be asked for
/// a run that lasts so long begins the waiting anew
constexpr int64_t restart_reset_ns = 10'000'000'000;

// All of them.
constexpr size_t containers_max = 4096;
constexpr size_t execs_running_max = 32;  ///< of one container; as many as a shim keeps
/// ended ones of one container, for waitExec and inspect
constexpr size_t execs_remembered_max = 256;

// Effects.
constexpr size_t attaches_parked_max = 16;  ///< of one container that does not run yet
/// ids for which calls came before their command
constexpr size_t unknown_ids_parked_max = 1024;
constexpr size_t calls_parked_max = 65536;
/// removed containers whose result a late wait may ask for
constexpr size_t ends_remembered_max = 1024;
constexpr size_t processes_listed_max = 4096;
constexpr size_t files_jobs_max = 64;  ///< at the same time, each is a process
constexpr size_t files_outcome_bytes_max = 64 << 10;
/// a call before its command waits so long for it
constexpr int64_t park_deadline_ns = 60'000'000'000;
constexpr int64_t start_deadline_ns = 60'000'000'000;
/// a shim that says nothing for so long is taken for dead
constexpr int64_t reconcile_deadline_ns = 5'000'000'000;
/// a shim that does not answer a SIGKILL for so long is killed with its container
constexpr int64_t kill_answer_deadline_ns = 5'000'000'000;
/// a shim that does not end after its release for so long is killed
constexpr int64_t release_deadline_ns = 5'000'000'000;
constexpr int32_t stop_timeout_seconds_default = 10;
constexpr int32_t stop_timeout_never = -2;  ///< no SIGKILL follows; -1 is "as usual"
/// processes that do not freeze in that time are let go on
constexpr int64_t freeze_deadline_ns = 10'000'000'000;

// The host takes events of at most 1 MiB, and at most 64 of them from one decision.
static_assert(
    2 * argv_bytes_max + env_bytes_max + labels_bytes_max + 4 * path_bytes_max < (1 << 20) / 2,
    "a container with everything at its limit fits into one event, which has its arguments twice");
static_assert(execs_running_max + 3 <= 64,
              "the end of a container and of all its execs fit into one decision");

}  // namespace noded::container::limits
