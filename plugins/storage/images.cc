// The store's queue, and the sweep that deletes the layers and blobs of removed images.
#include "plugins/storage/plugin.h"

namespace noded::storage {
namespace {

constexpr int64_t kRetryNs = 100'000'000;

/// What images and containers refer to. `orphans` becomes true if a layer has only containers.
Keep keep_of(const State& state, bool& orphans) {
    Keep keep;
    for (const auto& [id, image] : state.images) {
        keep.blobs.insert(id);
        if (!image.manifest_digest.empty()) keep.blobs.insert(image.manifest_digest);
        for (const Layer& layer : image.layers) keep.layers.insert(layer.diff_id);
    }
    orphans = false;
    for (const auto& [id, container] : state.containers)
        for (const std::string& layer : container.layers)
            orphans |= keep.layers.insert(layer).second;
    return keep;
}

}  // namespace

void StoragePlugin::want_sweep() {
    sweep_wanted_ = true;
    next_store_work();
}

// Most containers leave their image behind; only where it was removed under one is there work.
void StoragePlugin::container_gone() {
    if (orphans_) want_sweep();
}

bool StoragePlugin::start_sweep() {
    auto keep = std::make_shared<Keep>(keep_of(state_, orphans_));
    auto swept = std::make_shared<Result<size_t>>();
    const bool started = host_.offload(
        [sys = sys_, keep, swept] { *swept = sys->sweep(*keep); },
        [this, swept] {
            if (!*swept) host_.warn("the layers of removed images stay: " + swept->error().message);
            store_busy_ = false;
            next_store_work();
        });
    if (started) sweep_wanted_ = false;
    return started;
}

void StoragePlugin::next_store_work() {
    if (retry_timer_ != 0) return;
    bool lane_full = false;
    const auto waiting = [this] { return imports_waiting_.size() + saves_waiting_.size(); };
    while (!store_busy_ && !lane_full && (sweep_wanted_ || waiting() > 0)) {
        const size_t before = waiting();
        // The sweep first: it is short, and makes room.
        if (sweep_wanted_) store_busy_ = start_sweep();
        else store_busy_ = imports_waiting_.empty() ? start_save() : start_import();
        lane_full = !store_busy_ && waiting() == before;
    }
    if (!lane_full) return;
    retry_timer_ = host_.start_timer(
        kRetryNs,
        [](void* self, void*) noexcept {
            auto& plugin = *static_cast<StoragePlugin*>(self);
            plugin.retry_timer_ = 0;
            plugin.next_store_work();
        },
        nullptr);
}

}  // namespace noded::storage
