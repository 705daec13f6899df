// The store on disk: the library in image/ behind Sys.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <mutex>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/load.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/sys.h"

namespace noded::storage {
namespace {

/// Of most images' roots.
constexpr mode_t kUpperMode = 0755;

class LinuxSys : public Sys {
public:
    LinuxSys(const std::string& root, const image::UnpackLimits& unpack)
        : paths_{root}, unpack_(unpack) {}

    Status open() override { return image::open_store(paths_); }

    Result<std::vector<image::ImportedImage>> import(ImportJob& job) override {
        const image::Source source{std::move(job.file), "the archive"};
        if (job.archive) return image::load_archive(paths_, source, unpack_);
        image::ImportOptions options;
        options.limits = unpack_;
        options.changes = job.changes;
        options.created = job.created;
        options.comment = job.message;
        options.name = job.reference;
        std::vector<image::ImportedImage> images;
        images.push_back(TRY(image::import_rootfs(paths_, source, options)));
        return images;
    }

    Result<image::ImportedImage> commit(const CommitJob& job) override {
        image::CommitOptions options = job.options;
        options.limits = unpack_;
        return image::commit_upper(paths_, paths_.rootfs(job.container) + "/upper", options);
    }

    Result<std::vector<std::string>> save(SaveJob& job) override {
        return image::save_archive(paths_, job.file.get(), job.images, job.stop);
    }

    Result<size_t> sweep(const Keep& keep) override {
        return image::collect_garbage(paths_, keep.layers, keep.blobs);
    }

    Result<image::RootfsDirs> prepare_rootfs(const std::string& container,
                                             const std::vector<std::string>& layers) override;
    size_t spares() override;
    void make_spares() override;
    Status detach_rootfs(const std::string& container) override;
    void delete_detached() override;
    Result<std::vector<std::string>> rootfs_ids() override;

private:
    bool use_spare(const std::string& container, const std::string& top_layer);
    std::string take_spare();

    image::StorePaths paths_;
    const image::UnpackLimits unpack_;
    std::mutex mutex_;  // of the two lists, which the reactor and the lane both use
    std::vector<std::string> detached_;
    std::vector<std::string> spares_;
    uint64_t detached_count_ = 0;  // reactor
    uint64_t spares_count_ = 0;    // offload
};

// Creating a directory costs some hundred microseconds on an ext4 where much was deleted lately (it
// passes over the inodes of the last minutes one by one), a rename costs twenty. So spares are made
// on the lane; they are new and not those of removed containers, whose mounts might still be there.

size_t LinuxSys::spares() {
    std::lock_guard lock(mutex_);
    return spares_.size();
}

void LinuxSys::make_spares() {
    for (size_t i = 0; i < limits::rootfs_spares_max / 2; ++i) {
        const std::string path = paths_.tmp() + "/spare-" + std::to_string(++spares_count_);
        // Without room there are no spares; whoever needs a directory will say why.
        if (mkdir(path.c_str(), 0700) != 0) return;
        const std::string upper = path + "/upper";
        if (mkdir(upper.c_str(), kUpperMode) != 0) return;
        if (chmod(upper.c_str(), kUpperMode) != 0) return;  // whatever the umask is
        if (mkdir((path + "/work").c_str(), 0755) != 0) return;
        std::lock_guard lock(mutex_);
        spares_.push_back(path);
    }
}

std::string LinuxSys::take_spare() {
    std::lock_guard lock(mutex_);
    if (spares_.empty()) return {};
    std::string path = std::move(spares_.back());
    spares_.pop_back();
    return path;
}

/// Makes a spare the container's, its root looking like the image's. False, and nothing changed, if
/// that is not possible; prepare_rootfs of the library then says why, or does without.
bool LinuxSys::use_spare(const std::string& container, const std::string& top_layer) {
    if (!std::ranges::all_of(container, [](unsigned char c) { return isalnum(c) != 0; }))
        return false;
    auto hex = image::digest_hex(top_layer);
    struct stat info;
    if (!hex || stat(paths_.layer(*hex).c_str(), &info) != 0) return false;
    const std::string spare = take_spare();
    if (spare.empty()) return false;
    const std::string upper = spare + "/upper";
    const std::string to = paths_.rootfs(container);
    const bool styled = (info.st_uid == 0 && info.st_gid == 0) ||
                        chown(upper.c_str(), info.st_uid, info.st_gid) == 0;
    const mode_t mode = info.st_mode & 07777;
    if (styled && (mode == kUpperMode || chmod(upper.c_str(), mode) == 0) &&
        renameat2(AT_FDCWD, spare.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0)
        return true;
    std::lock_guard lock(mutex_);
    detached_.push_back(spare);
    return false;
}

Result<image::RootfsDirs> LinuxSys::prepare_rootfs(const std::string& container,
                                                   const std::vector<std::string>& layers) {
    const bool exists = access(paths_.rootfs(container).c_str(), F_OK) == 0;
    const bool spare = !exists && !layers.empty() && use_spare(container, layers.back());
    auto dirs = image::prepare_rootfs(paths_, container, layers);
    if (!dirs && spare) (void)detach_rootfs(container);
    return dirs;
}

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

std::shared_ptr<Sys> make_linux_sys(const std::string& state_dir,
                                    const image::UnpackLimits& unpack) {
    return std::make_shared<LinuxSys>(state_dir, unpack);
}

}  // namespace noded::storage
