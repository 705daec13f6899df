// The image store: unpacked layers, blobs, the overlay directories of containers, and work in
// progress.
//
//   ROOT/layers/HEX/        one unpacked layer, named by its diff id; an overlayfs lower as it is
//   ROOT/skeletons/HEX      how the tar of a layer was written (skeleton.h), where that is known
//   ROOT/blobs/sha256/HEX   image configs and manifests
//   ROOT/rootfs/ID/         upper/ and work/ of one container
//   ROOT/tmp/               work in progress; whatever is found here at start is removed
//
// Invariants: layers and blobs appear by one rename after their content is durable and disappear by
// one rename into tmp/, so a crash leaves either the whole thing or none; their content never
// changes while they are there. Nothing in the store says which image needs what: the log knows
// that, and collect_garbage is told.
//
// All calls block. Those that write, read or remove layers and blobs belong on the offload lane,
// and no two of them may run at the same time on one store. prepare_rootfs alone may run beside
// them, wherever: it names layers and does not look into them, and whoever refers to a layer keeps
// it from being removed. A layer is garbage until the caller's state refers to it: no
// collect_garbage between an import and its event.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::image {

struct StorePaths {
    std::string root;  ///< absolute, without a slash at its end: STATE/storage

    std::string layers() const { return root + "/layers"; }
    std::string layer(std::string_view hex) const { return layers() + "/" + std::string(hex); }
    std::string skeletons() const { return root + "/skeletons"; }
    std::string skeleton(std::string_view hex) const {
        return skeletons() + "/" + std::string(hex);
    }
    std::string blobs() const { return root + "/blobs/sha256"; }
    std::string blob(std::string_view hex) const { return blobs() + "/" + std::string(hex); }
    std::string rootfs() const { return root + "/rootfs"; }
    std::string rootfs(std::string_view id) const { return rootfs() + "/" + std::string(id); }
    std::string tmp() const { return root + "/tmp"; }
};

/// Creates what is missing and empties tmp/. Once, before anything else.
Status open_store(const StorePaths& paths);

/// A directory below tmp/ that is removed with everything in it when it goes out of scope.
class Workspace {
public:
    static Result<Workspace> make(const StorePaths& paths);
    Workspace(Workspace&&) = default;
    Workspace& operator=(Workspace&&) = delete;
    ~Workspace();

    int fd() const { return dir_.get(); }
    const std::string& path() const { return path_; }

private:
    Workspace(std::string path, Fd dir) : path_(std::move(path)), dir_(std::move(dir)) {}
    std::string path_;
    Fd dir_;
};

bool has_layer(const StorePaths& paths, std::string_view hex);

/// Makes `name` of the workspace the skeleton of the layer `hex`: before the layer itself, with
/// which it becomes durable.
Status install_skeleton(const StorePaths& paths, const Workspace& work, const char* name,
                        std::string_view hex);

/// Makes `name` of the workspace the layer `hex`, durably. If the layer is there already, keeps
/// that one: false.
Result<bool> install_layer(const StorePaths& paths, Workspace& work, const char* name,
                           std::string_view hex);

/// Bytes of regular files in a layer, a file with several names counted once.
Result<uint64_t> layer_size(const StorePaths& paths, std::string_view hex);

/// Writes a blob durably and returns its digest.
Result<std::string> write_blob(const StorePaths& paths, Bytes content);
bool has_blob(const StorePaths& paths, std::string_view hex);
Result<std::string> read_blob(const StorePaths& paths, std::string_view digest);

/// `diff_id` and `digest` are "sha256:…". Removing what is not there succeeds. A layer goes with
/// its skeleton.
Status remove_layer(const StorePaths& paths, std::string_view diff_id);
Status remove_blob(const StorePaths& paths, std::string_view digest);

/// Removes every layer and blob that is not named ("sha256:…"); returns how many. Skeletons go with
/// their layers and are not counted.
Result<size_t> collect_garbage(const StorePaths& paths, const std::set<std::string>& diff_ids,
                               const std::set<std::string>& blobs);

/// Absolute paths for the options of an overlay mount.
struct RootfsDirs {
    std::vector<std::string> lower;  ///< topmost layer first, as overlayfs wants it
    std::string upper;
    std::string work;
};

/// Upper and work of a container over `diff_ids` (lowest first). What is there already is kept, so
/// a restart sees the container's own files and a repeated call is harmless. Not synced: after a
/// power failure the caller's reconcile calls it again.
Result<RootfsDirs> prepare_rootfs(const StorePaths& paths, std::string_view container_id,
                                  const std::vector<std::string>& diff_ids);

/// The overlay must be unmounted. Removing what is not there succeeds.
Status remove_rootfs(const StorePaths& paths, std::string_view container_id);

/// Removes everything below the directory `fd`, however deep, with a fixed number of descriptors.
/// Shows no mercy: the caller moved it into tmp/.
Status empty_directory(int fd);

}  // namespace noded::image
