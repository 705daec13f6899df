// The store in memory, see sys_fake.h. It keeps the contract of Sys: nothing of a failed import
// stays, a repeated prepare or detach is harmless.
#include "plugins/storage/sys_fake.h"

#include <errno.h>
#include <unistd.h>

#include <sstream>

#include "agent/base/bytes.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/limits.h"

namespace noded::storage {
namespace {

class FakeSys : public Sys {
public:
    explicit FakeSys(FakeDisk& disk) : disk_(disk) {}

    Status open() override {
        disk_.detached = 0;
        disk_.spares = 0;
        return {};
    }

    Result<std::vector<image::ImportedImage>> import(ImportJob& job) override {
        ++disk_.imports;
        char buffer[4096];
        const ssize_t size = pread(job.file.get(), buffer, sizeof buffer, 0);
        if (size < 0) return fail_errno(errno, "read the archive");
        if (size == 0) return fail("the archive is empty");
        if (disk_.full) return fail_errno(ENOSPC, "write a layer");
        std::istringstream lines(std::string(buffer, size_t(size)));
        std::vector<image::ImportedImage> images;
        for (std::string line; std::getline(lines, line);) images.push_back(image_of(line, job));
        for (const auto& image : images) {
            disk_.layers.insert(image.diff_ids.begin(), image.diff_ids.end());
            disk_.blobs.insert(image.id);
        }
        return images;
    }

    Result<image::ImportedImage> commit(const CommitJob& job) override {
        ++disk_.commits;
        if (disk_.full) return fail_errno(ENOSPC, "write a layer");
        if (!disk_.rootfs.contains(job.container))
            return fail("rootfs/" + job.container + " is gone");
        image::ImageConfig config = job.options.base;
        image::ImportedImage image;
        image.id = fake_digest("c" + job.container.substr(0, 8));
        config.diff_ids.push_back(fake_digest("l" + job.container.substr(0, 8)));
        image.diff_ids = config.diff_ids;
        image.layer_bytes.assign(image.diff_ids.size(), 1000);
        image.total_bytes = 1000 * image.diff_ids.size();
        if (!job.options.name.empty()) image.names = {job.options.name};
        image.config_json = image::image_config_json(config);
        disk_.layers.insert(image.diff_ids.begin(), image.diff_ids.end());
        disk_.blobs.insert(image.id);
        return image;
    }

    /// One line per image: its id, then its names.
    Result<std::vector<std::string>> save(SaveJob& job) override {
        if (disk_.full) return fail_errno(ENOSPC, "write the archive");
        std::string text;
        for (const image::SavedImage& image : job.images) {
            for (const std::string& layer : image.diff_ids)
                if (!disk_.layers.contains(layer))
                    return fail("layer " + layer + " is not in the store");
            text += image.id;
            for (const std::string& name : image.names) text += " " + name;
            text += "\n";
        }
        if (write(job.file.get(), text.data(), text.size()) != ssize_t(text.size()))
            return fail_errno(errno, "write the archive");
        return std::vector<std::string>{};
    }

    Result<size_t> sweep(const Keep& keep) override {
        ++disk_.sweeps;
        auto sweep_of = [](std::set<std::string>& from, const std::set<std::string>& kept) {
            return std::erase_if(from, [&](const auto& name) { return !kept.contains(name); });
        };
        return sweep_of(disk_.layers, keep.layers) + sweep_of(disk_.blobs, keep.blobs);
    }

    Result<image::RootfsDirs> prepare_rootfs(const std::string& container,
                                             const std::vector<std::string>& layers) override {
        for (const std::string& layer : layers)
            if (!disk_.layers.contains(layer))
                return fail("layer " + layer + " is not in the store");
        if (disk_.full) return fail_errno(ENOSPC, "create rootfs/" + container);
        if (disk_.spares > 0 && !disk_.rootfs.contains(container)) --disk_.spares;
        disk_.rootfs[container] = layers;
        image::RootfsDirs dirs{{},
                               "/rootfs/" + container + "/upper",
                               "/rootfs/" + container + "/work"};
        for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
            dirs.lower.push_back("/layers/" + layer->substr(layer->find(':') + 1));
        return dirs;
    }

    size_t spares() override { return disk_.spares; }
    void make_spares() override {
        if (!disk_.full) disk_.spares += limits::rootfs_spares_max / 2;
    }

    Status detach_rootfs(const std::string& container) override {
        disk_.detached += disk_.rootfs.erase(container);
        return {};
    }

    void delete_detached() override { disk_.detached = 0; }

    Result<std::vector<std::string>> rootfs_ids() override {
        std::vector<std::string> ids;
        for (const auto& [id, layers] : disk_.rootfs) ids.push_back(id);
        return ids;
    }

private:
    static image::ImportedImage image_of(const std::string& line, const ImportJob& job) {
        std::istringstream words(line);
        std::string number, name, layer;
        words >> number >> name;
        image::ImportedImage image;
        image.id = fake_digest(number);
        image.names = {job.archive ? name : job.reference};
        if (image.names[0].empty()) image.names.clear();
        while (words >> layer) {
            image.diff_ids.push_back(fake_digest(layer));
            image.layer_bytes.push_back(1000);
            image.total_bytes += 1000;
        }
        image::ImageConfig config{.architecture = "amd64", .os = "linux"};
        config.created = "2024-01-0" + number + "T00:00:00Z";
        config.diff_ids = image.diff_ids;
        image.config_json = image::image_config_json(config);
        return image;
    }

    FakeDisk& disk_;
};

}  // namespace

std::string fake_digest(std::string_view name) {
    std::string hex = to_hex(as_bytes(name));
    hex.resize(64, '0');
    return "sha256:" + hex;
}

std::shared_ptr<Sys> make_fake_sys(FakeDisk& disk) { return std::make_shared<FakeSys>(disk); }

}  // namespace noded::storage
