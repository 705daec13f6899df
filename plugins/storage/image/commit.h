// `commit`: what a container changed becomes a layer on top of its image's. Blocking; for the
// offload lane.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/sdk/tree/ids.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/import.h"

namespace noded::image {

struct CommitOptions {
    UnpackLimits limits;
    /// Of the container's image, but for its config, which is that of the container.
    ImageConfig base;
    std::vector<uint64_t> layer_bytes;  ///< of the image's layers
    std::vector<std::string> changes;   ///< Dockerfile instructions, see apply_change
    std::string author;
    std::string created;  ///< RFC 3339
    std::string created_by;
    std::string comment;
    std::string name;  ///< reference to tag; empty: none
    tree::IdRanges ids = {};  ///< of the container, whose files have the host's
};

/// `upper` is an upper directory of overlayfs; what is written to it meanwhile may be in the layer
/// by half. An error leaves nothing new in the store.
Result<ImportedImage> commit_upper(const StorePaths& paths, const std::string& upper,
                                   const CommitOptions& options);

}  // namespace noded::image
