// Every bound of noci on what a bundle, a command line or a state directory may hold. What is over
// one is refused with a sentence before anything is made.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::noci::limits {

constexpr size_t config_bytes_max = 4 << 20;
constexpr size_t state_bytes_max = 8 << 20;
constexpr size_t id_bytes_max = 1024;
constexpr size_t hooks_max = 64;          ///< of one kind
constexpr size_t hook_strings_max = 255;  ///< arguments, and variables, of one hook
constexpr size_t preserved_fds_max = 1024;
constexpr size_t devices_max = 1024;
constexpr size_t id_maps_max = 340;   ///< lines of a uid_map, user_namespaces(7)
constexpr size_t cgroup_depth_max = 32;
constexpr size_t bits_max = 8192;     ///< CPUs or memory nodes
constexpr size_t processes_max = 1 << 20;
constexpr int events_interval_seconds_default = 5;
constexpr int end_wait_ms = 10'000;   ///< for processes that were killed
constexpr int lock_wait_ms = 10'000;  ///< for a container that another noci makes or removes

}  // namespace noded::noci::limits
