// The store on disk: the library in image/ behind Sys.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "plugins/storage/image/load.h"
#include "plugins/storage/sys.h"

namespace noded::storage {
namespace {

class LinuxSys : public Sys {
public:
    explicit LinuxSys(const std::string& root) : paths_{root} {}

    Status open() override { return image::open_store(paths_); }

    Result<std::vector<image::ImportedImage>> import(ImportJob& job) override {
        const image::Source source{std::move(job.file), "the archive"};
        if (job.archive) return image::load_archive(paths_, source, {});
        image::ImportOptions options;
        options.changes = job.changes;
        options.created = job.created;
        options.comment = job.message;
        options.name = job.reference;
        std::vector<image::ImportedImage> images;
        images.push_back(TRY(image::import_rootfs(paths_, source, options)));
        return images;
    }

    Result<size_t> sweep(const Keep& keep) override {
        return image::collect_garbage(paths_, keep.layers, keep.blobs);
    }

    Result<image::RootfsDirs> prepare_rootfs(const std::string& container,
                                             const std::vector<std::string>& layers) override {
        return image::prepare_rootfs(paths_, container, layers);
    }

    Status detach_rootfs(const std::string& container) override;
    void delete_detached() override;
    Result<std::vector<std::string>> rootfs_ids() override;

private:
    image::StorePaths paths_;
    std::mutex mutex_;  // of detached_, which the reactor fills and the lane empties
    std::vector<std::string> detached_;
    uint64_t detached_count_ = 0;
};

Status LinuxSys::detach_rootfs(const std::string& container) {
    const std::string from = paths_.rootfs(container);
    const std::string to = paths_.tmp() + "/rootfs-" + std::to_string(++detached_count_);
    if (rename(from.c_str(), to.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno(errno, "rename " + from + " to " + to);
    }
    std::lock_guard lock(mutex_);
    detached_.push_back(to);
    return {};
}

// What cannot be deleted stays in tmp/, which the next start empties, or refuses to start on.
void LinuxSys::delete_detached() {
    std::vector<std::string> paths;
    {
        std::lock_guard lock(mutex_);
        paths.swap(detached_);
    }
    for (const std::string& path : paths) {
        Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (dir.valid()) (void)image::empty_directory(dir.get());
        rmdir(path.c_str());
    }
}

Result<std::vector<std::string>> LinuxSys::rootfs_ids() {
    DIR* dir = opendir(paths_.rootfs().c_str());
    if (dir == nullptr) return fail_errno(errno, "list directory " + paths_.rootfs());
    std::vector<std::string> ids;
    while (const dirent* child = readdir(dir))
        if (child->d_name[0] != '.') ids.push_back(child->d_name);
    closedir(dir);
    std::ranges::sort(ids);
    return ids;
}

}  // namespace

std::shared_ptr<Sys> make_linux_sys(const std::string& state_dir) {
    return std::make_shared<LinuxSys>(state_dir);
}

}  // namespace noded::storage
