// Bounds of the storage plugin. Those of archives and images stand in image/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugins/storage/image/limits.h"

namespace noded::storage::limits {

constexpr size_t imports_pending_max = 16;         ///< more are refused with BUSY
constexpr size_t archives_given_max = 32;          ///< descriptors that wait for their command
constexpr int64_t archive_given_ns_max = 60'000'000'000;  ///< so long; then they are closed
/// a commit waits so long for the store, while its container may be paused for it
constexpr int64_t commit_wait_ns_max = 20'000'000'000;
/// calls of waitImport that are not answered yet
constexpr size_t waits_max = 1024;
constexpr size_t saves_waiting_max = 16;           ///< calls of save; more are refused with BUSY
constexpr size_t save_references_max = image::limits::images_per_archive_max;  ///< of one call
constexpr size_t outcomes_remembered_max = 256;    ///< of imports, for waits that come late
constexpr size_t changes_max = 128;                ///< instructions of one import
constexpr size_t changes_bytes_max = 64 << 10;
constexpr size_t message_bytes_max = 4096;         ///< history comment of an import
constexpr size_t rootfs_spares_max = 16;           ///< made ahead of their containers
constexpr size_t detached_max = 16;                ///< removed, whose files are deleted later
constexpr size_t put_off_max = 4;                  ///< kinds of work that wait for a quiet moment
/// What an operator may lower the limits of unpacking to (image/limits.h).
constexpr uint64_t unpacked_bytes_max_min = 1 << 20;
constexpr uint64_t entries_max_min = 100;
constexpr size_t images_max = 65536;
constexpr size_t names_per_image_max = image::limits::names_per_image_max;

static_assert(archives_given_max >= imports_pending_max, "every import can have its archive");
static_assert(outcomes_remembered_max >= imports_pending_max);

}  // namespace noded::storage::limits
