// Imports: from the descriptor that a client gave, by way of the offload lane, to the events that
// say what came of it.
#include <algorithm>

#include "agent/base/check.h"
#include "plugins/storage/created.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/plugin.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using sdk::write_strings;

constexpr const char* kTooLarge = " does not fit into one event";

bool propose_added(const sdk::Host& host, const image::ImportedImage& image,
                   const sdk::Cause& cause) {
    CHECK(image.diff_ids.size() == image.layer_bytes.size());
    sdk::Message<schema::ImageAdded> added;
    added->setId(sdk::text(image.id));
    added->setConfig(sdk::text(image.config_json));
    added->setManifestDigest(sdk::text(image.manifest_digest));
    added->setSizeBytes(image.total_bytes);
    auto layers = added->initLayers(unsigned(image.diff_ids.size()));
    for (unsigned i = 0; i < layers.size(); ++i) {
        layers[i].setDiffId(sdk::text(image.diff_ids[i]));
        layers[i].setSizeBytes(image.layer_bytes[i]);
    }
    write_strings(image.names, [&](unsigned n) { return added->initNames(n); });
    return host.propose(added, cause);
}

}  // namespace

void StoragePlugin::park(const CommandId& command, Fd file) {
    given_[command] = {std::move(file), host_.monotonic_ns()};
    if (given_timer_ == 0) drop_old_archives();
}

// One timer for all: it fires when the oldest is due, and is set again for the next.
void StoragePlugin::drop_old_archives() {
    const int64_t now = host_.monotonic_ns();
    int64_t next_ns = INT64_MAX;
    std::erase_if(given_, [&](const auto& entry) {
        // One whose command came waits for the store, however long that takes.
        if (state_.imports.contains(entry.first)) return false;
        const int64_t left_ns = entry.second.given_ns + limits::archive_given_ns_max - now;
        if (left_ns > 0) next_ns = std::min(next_ns, left_ns);
        return left_ns <= 0;
    });
    given_timer_ = 0;
    if (next_ns == INT64_MAX) return;
    given_timer_ = host_.start_timer(
        next_ns,
        [](void* self, void*) noexcept { static_cast<StoragePlugin*>(self)->drop_old_archives(); },
        nullptr);
}

void StoragePlugin::request_import(const Origin& origin) {
    if (!state_.imports.contains(origin.command_id)) return;
    if (!given_.contains(origin.command_id))
        return fail_import(origin,
                           "no archive came with the command: the client must give one first");
    imports_waiting_.push_back(origin);
    next_store_work();
}

/// Starts the first import that waits. False: the lane is full and nothing has changed, or it was a
/// commit that cannot be, which waits no more.
bool StoragePlugin::start_import() {
    const Origin origin = imports_waiting_.front();
    const Import& wanted = state_.imports.at(origin.command_id);
    if (!wanted.commit.empty()) return start_commit(origin, wanted);
    auto given = given_.find(origin.command_id);
    CHECK(given != given_.end());
    auto job = std::make_shared<ImportJob>();
    job->file = std::move(given->second.file);
    job->archive = wanted.archive;
    job->reference = wanted.reference;
    job->changes = wanted.changes;
    job->message = wanted.message;
    job->created = rfc3339(host_.realtime_ns());
    auto images = std::make_shared<Result<std::vector<image::ImportedImage>>>();
    const bool started = host_.offload(
        [sys = sys_, job, images] {
            *images = sys->import(*job);
            job->file.reset();  // here, because closing a large file may block
        },
        [this, origin, images] { finish_import(origin, std::move(*images)); });
    if (started) {
        importing_ = origin.command_id;
        imports_waiting_.pop_front();
        given_.erase(given);
    } else {
        given->second.file = std::move(job->file);
    }
    return started;
}

void StoragePlugin::finish_import(const Origin& origin,
                                  Result<std::vector<image::ImportedImage>> images) {
    CHECK(store_busy_);
    CHECK(importing_ == origin.command_id);
    if (!images) return fail_import(origin, images.error().message);
    if (state_.images.size() + images->size() > limits::images_max)
        return fail_import(origin, "the node has " + std::to_string(limits::images_max) +
                                       " images already; remove some first");
    std::vector<std::string> ids;
    std::vector<std::string> names;
    for (const image::ImportedImage& image : *images) {
        for (const std::string& notice : image.notices)
            host_.info(short_id(image.id) + ": " + notice);
        ids.push_back(image.id);
        names.insert(names.end(), image.names.begin(), image.names.end());
        if (!propose_added(host_, image, cause_of(origin)))
            return fail_import(origin, "image " + short_id(image.id) + kTooLarge);
    }
    sdk::Message<schema::ImageImported> done;
    write_strings(ids, [&](unsigned n) { return done->initIds(n); });
    write_strings(names, [&](unsigned n) { return done->initNames(n); });
    if (!host_.propose(done, cause_of(origin)))
        fail_import(origin, "the list of what was loaded" + std::string(kTooLarge));
}

// The store is free for the next one only now that the layers are part of the state.
void StoragePlugin::import_ended(const CommandId& command) {
    answer_waits(command);
    failed_commits_.erase(command);
    if (!store_busy_ || importing_ != command) return;
    store_busy_ = false;
    importing_ = {};
    next_store_work();
}

void StoragePlugin::fail_import(const Origin& origin, const std::string& message) {
    sdk::Message<schema::ImageImportFailed> event;
    event->setMessage(sdk::text(message));
    host_.propose(event, cause_of(origin));
}

}  // namespace noded::storage
