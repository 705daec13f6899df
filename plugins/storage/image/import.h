// `image import`: the tar of a root file system becomes an image of one layer. Blocking; for the
// offload lane.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/storage/image/limits.h"
#include "plugins/storage/image/store.h"

namespace noded::image {

/// An archive to read: a file, a pipe, or for load_archive also a directory.
struct Source {
    Fd fd;
    std::string name;  ///< for error sentences
};

Result<Source> open_source(const std::string& path);

/// What import and load leave in the store, for an event to record.
struct ImportedImage {
    std::string id;                      ///< "sha256:…", the digest of the config
    std::string manifest_digest;         ///< of the OCI manifest, also a blob; empty: none
    std::string config_json;             ///< the exact bytes that `id` is the digest of
    std::vector<std::string> diff_ids;   ///< lowest layer first
    std::vector<uint64_t> layer_bytes;   ///< bytes in regular files, by layer
    uint64_t total_bytes = 0;
    std::vector<std::string> names;      ///< to tag, as docker shows them: "busybox:latest"
    std::vector<std::string> notices;    ///< what was left out or looked odd, for the user
};

struct ImportOptions {
    UnpackLimits limits;
    std::vector<std::string> changes;  ///< Dockerfile instructions, see apply_change
    std::string created;               ///< RFC 3339; the caller has the clock
    std::string comment;               ///< for the history
    std::string name;                  ///< reference to tag; empty: none
};

/// Reads a tar, tar.gz or tar.zst. An error leaves nothing new in the store.
Result<ImportedImage> import_rootfs(const StorePaths& paths, const Source& source,
                                    const ImportOptions& options);

}  // namespace noded::image
