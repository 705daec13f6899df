// Sys: what the storage plugin does to the disk. sys_linux.cc is the image store (image/),
// sys_fake.cc one in memory.
//
// Functions marked [offload] block for long and run on the offload lane, one of them at a time
// (plugin.h, the store's queue); those marked [reactor] are a handful of system calls and may run
// meanwhile.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/storage/image/commit.h"
#include "plugins/storage/image/import.h"
#include "plugins/storage/image/save.h"
#include "plugins/storage/image/store.h"

namespace noded::storage {

struct ImportJob {
    Fd file;
    bool archive = false;  ///< docker-save archive or OCI layout, otherwise the tar of a root
    std::string reference;
    std::vector<std::string> changes;
    std::string message;
    std::string created;  ///< RFC 3339, of an image made from a root
};

struct CommitJob {
    std::string container;
    image::CommitOptions options;
};

struct SaveJob {
    Fd file;
    std::vector<image::SavedImage> images;
    std::atomic<bool> stop = false;  ///< whoever waited for it has gone
};

/// What a sweep leaves alone; digests, "sha256:…".
struct Keep {
    std::set<std::string> layers;
    std::set<std::string> blobs;
};

class Sys {
public:
    virtual ~Sys() = default;

    /// [load] Makes the store usable; whatever was half done is removed.
    virtual Status open() = 0;
    /// [offload] An error leaves nothing new in the store.
    virtual Result<std::vector<image::ImportedImage>> import(ImportJob& job) = 0;
    /// [offload] The container's upper directory on top of its image. The same of an error.
    virtual Result<image::ImportedImage> commit(const CommitJob& job) = 0;
    /// [offload] Writes an archive of the images; what it returns is for the user.
    virtual Result<std::vector<std::string>> save(SaveJob& job) = 0;
    /// [offload] Removes all layers and blobs but those to keep; returns how many it removed.
    virtual Result<size_t> sweep(const Keep& keep) = 0;
    /// [reactor] Upper and work directory of a container; harmless if they are there.
    virtual Result<image::RootfsDirs> prepare_rootfs(const std::string& container,
                                                     const std::vector<std::string>& layers) = 0;
    /// [reactor] Directories that were made ahead and are there still.
    virtual size_t spares() = 0;
    /// [offload] Makes rootfs_spares_max / 2 directories ahead, so that prepare_rootfs need only
    /// rename some.
    virtual void make_spares() = 0;
    /// [reactor] Takes the container's directories away by a rename; harmless if there are none.
    virtual Status detach_rootfs(const std::string& container) = 0;
    /// [offload] Deletes all that was detached.
    virtual void delete_detached() = 0;
    /// [reactor] Containers that have directories.
    virtual Result<std::vector<std::string>> rootfs_ids() = 0;
};

/// `unpack` bounds what one archive may become on disk.
std::shared_ptr<Sys> make_linux_sys(const std::string& state_dir,
                                    const image::UnpackLimits& unpack);

}  // namespace noded::storage
