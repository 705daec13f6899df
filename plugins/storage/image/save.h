// `image save`: images as an archive that docker, podman, skopeo and noded load: an OCI layout with
// docker's manifest.json beside it, as docker writes since version 25. Blocking; for the offload
// lane.
//
// Layers are written as they came, to the byte, by their skeletons (skeleton.h), so an image keeps
// its id. Nothing in the archive depends on the time: the same images give the same bytes.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/storage/image/store.h"

namespace noded::image {

struct SavedImage {
    std::string id;                     ///< "sha256:…"
    std::string config_json;            ///< of which `id` is the digest
    std::vector<std::string> diff_ids;  ///< lowest layer first
    std::vector<std::string> names;     ///< to be in the archive: "busybox:latest"
};

/// Writes to `out` from where it stands; an error leaves part of an archive there. Returns what a
/// user should know, in sentences. `stop` ends it with an error.
Result<std::vector<std::string>> save_archive(const StorePaths& paths, int out,
                                              const std::vector<SavedImage>& images,
                                              const std::atomic<bool>& stop);

}  // namespace noded::image
