// Saves: an archive of images into the file that a client gave. Nothing of it is history, and a
// client that goes away ends it. It waits in the store's queue behind imports, for which containers
// may be paused (images.cc).
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "agent/base/check.h"
#include "plugins/storage/image/reference.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/plugin.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using Storage = schema::Storage;

/// "app", but not "app:1", "app@sha256:…" and not what stands for "app:latest" alone.
bool is_repository(const std::string& reference) {
    const size_t slash = reference.rfind('/');
    const size_t from = slash == std::string::npos ? 0 : slash;
    return reference.find_first_of(":@", from) == std::string::npos;
}

/// All names that the image has in this repository, as docker saves them.
std::vector<std::string> tags_of(const Image& image, const std::string& repository) {
    std::vector<std::string> tags;
    for (const std::string& one : image.names) {
        const auto reference = image::parse_reference(one);
        if (reference && reference->name() == repository) tags.push_back(one);
    }
    return tags;
}

void add(std::vector<image::SavedImage>& images, const Image& image,
         const std::vector<std::string>& names) {
    auto found = std::ranges::find(images, image.id, &image::SavedImage::id);
    if (found == images.end()) {
        image::SavedImage saved{image.id, image.config, {}, {}};
        for (const Layer& layer : image.layers) saved.diff_ids.push_back(layer.diff_id);
        found = images.insert(images.end(), std::move(saved));
    }
    for (const std::string& name : names)
        if (std::ranges::find(found->names, name) == found->names.end())
            found->names.push_back(name);
}

/// What one reference of a user stands for.
std::optional<Refusal> add_reference(const State& state, const std::string& reference,
                                     std::vector<image::SavedImage>& images) {
    bool any = false;
    const auto parsed = image::parse_reference(reference);
    if (parsed && is_repository(reference)) {
        for (const auto& [id, image] : state.images) {
            const auto tags = tags_of(image, parsed->name());
            if (tags.empty()) continue;
            any = true;
            add(images, image, tags);
        }
    }
    if (any) return std::nullopt;
    const auto found = state.find_image(reference);
    if (!found) return found.error();
    add(images, *found->image, found->name.empty() ? std::vector<std::string>{}
                                                   : std::vector{found->name});
    return std::nullopt;
}

/// Whether load would take an archive of these.
std::optional<Refusal> check_counts(const std::vector<image::SavedImage>& images) {
    namespace most = image::limits;
    size_t names = 0, bytes = 0;
    for (const image::SavedImage& one : images) {
        names += one.names.size();
        for (const std::string& name : one.names) bytes += name.size();
    }
    if (images.size() <= most::images_per_archive_max && names <= most::names_per_archive_max &&
        bytes <= most::name_bytes_per_archive_max)
        return std::nullopt;
    return Refusal{NODED_REJECT_LIMIT,
                   std::to_string(images.size()) + " images with " + std::to_string(names) +
                       " names are more than an archive may have (" +
                       std::to_string(most::images_per_archive_max) + " and " +
                       std::to_string(most::names_per_archive_max) + "): save them in parts"};
}

/// What all of them stand for, or why it cannot be had.
std::optional<Refusal> resolve(const State& state, const std::vector<std::string>& references,
                               std::vector<image::SavedImage>& images) {
    for (const std::string& reference : references)
        if (auto refusal = add_reference(state, reference, images)) return refusal;
    return check_counts(images);
}

}  // namespace

void StoragePlugin::save_images(const noded_call& call) {
    Fd file(call.fd_owned);
    sdk::Reading<Storage::SaveParams> params(call.params);
    struct stat info;
    if (!file.valid() || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
        (fcntl(file.get(), F_GETFL) & O_ACCMODE) == O_RDONLY)
        return host_.refuse(call.token, NODED_REJECT_INVALID,
                            "save needs the descriptor of a regular file that can be written");
    std::vector<std::string> references = sdk::to_strings(params->getReferences());
    if (references.empty() || references.size() > limits::save_references_max)
        return host_.refuse(call.token, NODED_REJECT_INVALID,
                            "an archive has 1 to " + std::to_string(limits::save_references_max) +
                                " images");
    if (saves_waiting_.size() >= limits::saves_waiting_max)
        return host_.refuse(call.token, NODED_REJECT_BUSY,
                            "too many archives wait to be written; try again later");
    saves_waiting_.push_back({call.token, std::move(file), std::move(references)});
    next_store_work();
}

/// Starts the first that waits. False: the lane is full and nothing has changed, or it was refused.
bool StoragePlugin::start_save() {
    Save& first = saves_waiting_.front();
    auto job = std::make_shared<SaveJob>();
    if (const auto refusal = resolve(state_, first.references, job->images)) {
        const uint64_t token = first.token;
        saves_waiting_.pop_front();
        host_.refuse(token, refusal->code, refusal->message);
        return false;
    }
    job->file = std::move(first.file);
    auto saved = std::make_shared<Result<std::vector<std::string>>>();
    const bool started = host_.offload(
        [sys = sys_, job, saved] {
            *saved = sys->save(*job);
            job->file.reset();  // here, because closing a large file may block
        },
        [this, saved] {
            CHECK(store_busy_);
            const uint64_t token = std::exchange(saving_, 0);
            save_job_.reset();
            store_busy_ = false;
            if (token != 0 && !*saved)
                host_.refuse(token, NODED_REJECT_CONFLICT, saved->error().message);
            if (token != 0 && *saved) {
                sdk::Message<Storage::SaveResults> results;
                sdk::write_strings(**saved, [&](unsigned n) { return results->initNotices(n); });
                host_.respond(token, results);
            }
            next_store_work();
        });
    if (!started) {
        first.file = std::move(job->file);
        return false;
    }
    saving_ = first.token;
    save_job_ = std::move(job);
    saves_waiting_.pop_front();
    return true;
}

/// Whether the call that was given up was one of these.
bool StoragePlugin::stop_save(uint64_t token) {
    if (saving_ == token) {
        saving_ = 0;
        save_job_->stop = true;
        return true;
    }
    return std::erase_if(saves_waiting_, [token](const Save& save) {
               return save.token == token;
           }) > 0;
}

}  // namespace noded::storage
