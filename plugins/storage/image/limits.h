// Bounds of the image store. Archives come from strangers, so everything in them is counted against
// these before memory or disk is spent on it. Read by every file of this folder.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::image {

/// What an operator may want to change per node; the rest of this file is fixed.
struct UnpackLimits {
    /// Uncompressed bytes of one layer, and of all new layers of one archive together.
    uint64_t unpacked_bytes = uint64_t{64} << 30;
    /// Entries of one layer. Every entry may cost an inode and a block, whatever its size.
    uint64_t entries = 2'000'000;
};

namespace limits {

// Layers.
constexpr size_t path_bytes_max = 4095;  ///< PATH_MAX without its final NUL
/// NAME_MAX of every file system that holds layers.
constexpr size_t name_bytes_max = 255;
constexpr size_t link_target_bytes_max = 4095;  ///< what symlink(2) accepts
/// Of the directories of one layer, which are remembered until its end.
constexpr size_t directory_path_bytes_max = 256 << 20;
constexpr size_t xattrs_per_entry_max = 64;
constexpr size_t xattr_bytes_max = 64 << 10;  ///< XATTR_SIZE_MAX of the kernel
/// One step of read, decompress, hash and write.
constexpr size_t stream_buffer_bytes = 256 << 10;

// Archives that hold images.
constexpr size_t archive_members_max = 65536;  ///< members of the outer archive
/// Docker writes shared layers as symbolic links.
constexpr size_t archive_link_hops_max = 8;
constexpr size_t images_per_archive_max = 256;
constexpr size_t layers_per_image_max = 127;  ///< docker's own bound; overlayfs takes 500
constexpr size_t names_per_image_max = 128;
/// Of all images of one archive together, and their bytes: they travel in one event.
constexpr size_t names_per_archive_max = 1024;
constexpr size_t name_bytes_per_archive_max = 256 << 10;
constexpr size_t index_depth_max = 4;  ///< an index in an index in …
constexpr size_t index_manifests_max = 1024;
constexpr size_t manifest_bytes_max = 4 << 20;  ///< manifest.json, index.json, a manifest
constexpr size_t config_bytes_max = 512 << 10;  ///< travels in an event, which has 1 MiB
constexpr size_t json_depth_max = 64;
constexpr size_t notices_max = 32;

// Image config.
constexpr size_t config_strings_max = 4096;  ///< of Env, Cmd, Entrypoint, Labels … each
/// MAX_ARG_STRLEN: execve(2) takes no longer ones.
constexpr size_t config_string_bytes_max = 128 << 10;

// References (distribution/reference).
constexpr size_t repository_bytes_max = 255;
constexpr size_t tag_bytes_max = 128;
constexpr size_t container_id_bytes_max = 128;

static_assert(name_bytes_max < path_bytes_max);
static_assert(config_bytes_max + name_bytes_per_archive_max + 32 * names_per_archive_max +
                      256 * layers_per_image_max <
                  1 << 20,
              "an image fits into one event");
static_assert(config_bytes_max < manifest_bytes_max);

}  // namespace limits
}  // namespace noded::image
