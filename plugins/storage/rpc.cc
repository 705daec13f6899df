// Calls of clients: reads, the archive of an import, and the wait for its outcome.
#include <sys/stat.h>

#include <algorithm>

#include "plugins/storage/limits.h"
#include "plugins/storage/plugin.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using Storage = schema::Storage;
using sdk::write_strings;

const std::vector<std::string> nobody;

/// False if `data` is not the id of a command.
bool read_id(capnp::Data::Reader data, CommandId& id) {
    if (data.size() != id.bytes.size()) return false;
    std::copy(data.begin(), data.end(), id.bytes.begin());
    return true;
}

void fill_summary(const Image& image, const std::vector<std::string>& users,
                  schema::Image::Builder out) {
    out.setId(sdk::text(image.id));
    write_strings(image.names, [&](unsigned n) { return out.initNames(n); });
    out.setCreatedNs(image.created_ns);
    out.setSizeBytes(image.size_bytes);
    write_strings(users, [&](unsigned n) { return out.initContainers(n); });
}

}  // namespace

void StoragePlugin::call(const noded_call& call) {
    switch (call.method) {
        case 0: return list_images(call);
        case 1: return inspect_image(call);
        case 2: return give(call);
        case 3: return wait_import(call);
        case 4: return save_images(call);
    }
    Fd unwanted(call.fd_owned);
    host_.refuse(call.token, NODED_REJECT_INVALID, "storage has no such method");
}

void StoragePlugin::list_images(const noded_call& call) {
    Fd unwanted(call.fd_owned);
    std::vector<const Image*> newest_first;
    for (const auto& [id, image] : state_.images) newest_first.push_back(&image);
    std::ranges::stable_sort(newest_first, std::greater{}, &Image::created_ns);
    sdk::Message<Storage::ListImagesResults> results;
    auto images = results->initImages(unsigned(newest_first.size()));
    const auto users = state_.users();
    for (unsigned i = 0; i < images.size(); ++i) {
        auto of_image = users.find(newest_first[i]->id);
        fill_summary(*newest_first[i], of_image == users.end() ? nobody : of_image->second,
                     images[i]);
    }
    host_.respond(call.token, results);
}

void StoragePlugin::inspect_image(const noded_call& call) {
    Fd unwanted(call.fd_owned);
    sdk::Reading<Storage::InspectImageParams> params(call.params);
    auto found = state_.find_image(params->getReference().cStr());
    if (!found) return host_.refuse(call.token, found.error().code, found.error().message);
    const Image& image = *found->image;
    sdk::Message<Storage::InspectImageResults> results;
    auto out = results->initImage();
    const auto users = state_.users();
    auto of_image = users.find(image.id);
    fill_summary(image, of_image == users.end() ? nobody : of_image->second, out);
    out.setConfig(sdk::text(image.config));
    auto layers = out.initLayers(unsigned(image.layers.size()));
    auto bytes = out.initLayerBytes(layers.size());
    for (unsigned i = 0; i < layers.size(); ++i) {
        layers.set(i, sdk::text(image.layers[i].diff_id));
        bytes.set(i, image.layers[i].size_bytes);
    }
    host_.respond(call.token, results);
}

void StoragePlugin::give(const noded_call& call) {
    Fd file(call.fd_owned);
    sdk::Reading<Storage::GiveParams> params(call.params);
    CommandId command;
    if (!read_id(params->getCommandId(), command))
        return host_.refuse(call.token, NODED_REJECT_INVALID, "the id of a command has 32 bytes");
    if (!file.valid())
        return host_.refuse(call.token, NODED_REJECT_INVALID,
                            "no descriptor came with the call: give it the archive's");
    struct stat info;
    if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
        return host_.refuse(call.token, NODED_REJECT_INVALID,
                            "the archive is not a regular file: write it to one first");
    sdk::Message<Storage::GiveResults> results;
    // A retry: the import is under way, or was.
    const bool known =
        state_.imports.contains(command) || state_.outcome_of(command) != nullptr;
    if (known) return host_.respond(call.token, results);
    if (given_.size() >= limits::archives_given_max && !given_.contains(command))
        return host_.refuse(call.token, NODED_REJECT_BUSY,
                            "too many archives wait for their import; try again later");
    park(command, std::move(file));
    host_.respond(call.token, results);
}

void StoragePlugin::wait_import(const noded_call& call) {
    Fd unwanted(call.fd_owned);
    sdk::Reading<Storage::WaitImportParams> params(call.params);
    CommandId command;
    if (!read_id(params->getCommandId(), command))
        return host_.refuse(call.token, NODED_REJECT_INVALID, "the id of a command has 32 bytes");
    if (const ImportOutcome* outcome = state_.outcome_of(command))
        return respond_outcome(call.token, *outcome);
    if (waits_.size() >= limits::waits_max)
        return host_.refuse(call.token, NODED_REJECT_BUSY, "too many calls wait for imports");
    waits_.emplace(command, call.token);
}

void StoragePlugin::cancelled(uint64_t token) {
    if (stop_save(token)) return;
    std::erase_if(waits_, [token](const auto& wait) { return wait.second == token; });
}

void StoragePlugin::answer_waits(const CommandId& command) {
    const auto [first, last] = waits_.equal_range(command);
    if (first == last) return;
    const ImportOutcome* outcome = state_.outcome_of(command);
    if (outcome == nullptr) return;
    for (auto wait = first; wait != last; ++wait) respond_outcome(wait->second, *outcome);
    waits_.erase(first, last);
}

void StoragePlugin::respond_outcome(uint64_t token, const ImportOutcome& outcome) {
    sdk::Message<Storage::WaitImportResults> results;
    write_strings(outcome.ids, [&](unsigned n) { return results->initIds(n); });
    write_strings(outcome.names, [&](unsigned n) { return results->initNames(n); });
    results->setError(sdk::text(outcome.error));
    host_.respond(token, results);
}

}  // namespace noded::storage
