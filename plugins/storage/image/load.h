// `image load`: images from archives made by other tools. Understood are what docker save writes
// (before and after version 25), what skopeo, jib, kaniko and kin write in that format, and OCI
// layouts, each as a tar (plain, gzip or zstd) or as a directory. Blocking; for the offload lane.
#pragma once

#include <vector>

#include "agent/base/result.h"
#include "plugins/storage/image/import.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {

/// Loads every image of the archive that runs on linux/amd64; at least one, or it is an error.
/// Every digest that the archive states is checked. Layers that the store has are not unpacked
/// again. All or nothing: an error leaves nothing new in the store.
Result<std::vector<ImportedImage>> load_archive(const StorePaths& paths, const Source& source,
                                                const UnpackLimits& limits);

}  // namespace noded::image
