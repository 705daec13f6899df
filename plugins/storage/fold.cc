// Events into state, see decide.h. One function per event; every event that was ever in a log is
// accepted, also one that names what is gone.
#include <algorithm>
#include <cstring>

#include "agent/base/check.h"
#include "plugins/storage/created.h"
#include "plugins/storage/decide.h"
#include "plugins/storage/limits.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using sdk::Reading;
using sdk::to_string;
using sdk::to_strings;

Origin origin_of(const noded_event& event) { return {event.seq, command_id(event.command_id)}; }

/// Takes a name from the image that has it.
void untag(State& state, const std::string& name) {
    auto found = state.names.find(name);
    if (found == state.names.end()) return;
    auto image = state.images.find(found->second);
    CHECK(image != state.images.end());
    image->second.names.erase(name);
    state.names.erase(found);
}

void tag(State& state, const std::string& id, const std::string& name) {
    auto image = state.images.find(id);
    if (image == state.images.end()) return;
    untag(state, name);
    state.names[name] = id;
    image->second.names.insert(name);
}

void image_added(State& state, const noded_event& event) {
    Reading<schema::ImageAdded> added(event.payload);
    Image& image = state.images[to_string(added->getId())];
    image.id = to_string(added->getId());
    image.config = to_string(added->getConfig());
    image.created_ns = created_ns(image.config);
    if (added->getManifestDigest().size() > 0)
        image.manifest_digest = to_string(added->getManifestDigest());
    image.layers.clear();
    for (auto layer : added->getLayers())
        image.layers.push_back({to_string(layer.getDiffId()), layer.getSizeBytes()});
    image.size_bytes = added->getSizeBytes();
    for (auto name : added->getNames()) tag(state, image.id, to_string(name));
}

void image_removed(State& state, const noded_event& event) {
    Reading<schema::ImageRemoved> removed(event.payload);
    auto image = state.images.find(to_string(removed->getId()));
    if (image == state.images.end()) return;
    const std::set<std::string> names = image->second.names;
    for (const std::string& name : names) untag(state, name);
    state.images.erase(image);
}

// --- Imports.

void import_requested(State& state, const noded_event& event) {
    Reading<schema::ImageImportRequested> requested(event.payload);
    Import& import = state.imports[command_id(event.command_id)];
    import.seq = event.seq;
    import.archive = requested->getKind() == schema::ImageImportRequested::Kind::ARCHIVE;
    import.reference = to_string(requested->getReference());
    import.changes = to_strings(requested->getChanges());
    import.message = to_string(requested->getMessage());
}

void commit_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerCommitRequested> requested(event.payload);
    Import& import = state.imports[command_id(event.command_id)];
    import.seq = event.seq;
    import.container = to_string(requested->getId());
    import.waits = requested->getPauses();
    import.commit.resize(event.payload.size / sizeof(uint64_t));
    memcpy(import.commit.data(), event.payload.data, import.commit.size() * sizeof(uint64_t));
}

/// The container is paused, runs no more, or (then `error` says why) cannot be paused.
void commits_go_on(State& state, const std::string& container, const std::string& error = {}) {
    for (auto& [command, import] : state.imports) {
        if (!import.waits || import.container != container) continue;
        import.waits = false;
        import.pause_error = error;
    }
}

void import_ended(State& state, ImportOutcome outcome) {
    state.imports.erase(outcome.command_id);
    state.outcomes.push_back(std::move(outcome));
    if (state.outcomes.size() > limits::outcomes_remembered_max) state.outcomes.pop_front();
}

void import_succeeded(State& state, const noded_event& event) {
    Reading<schema::ImageImported> imported(event.payload);
    import_ended(state, {command_id(event.command_id), to_strings(imported->getIds()),
                         to_strings(imported->getNames()), {}});
}

void import_failed(State& state, const noded_event& event) {
    Reading<schema::ImageImportFailed> failed(event.payload);
    import_ended(state, {command_id(event.command_id), {}, {}, to_string(failed->getMessage())});
}

// --- Containers, as far as they use images and disk.

void container_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerRequested> requested(event.payload);
    Container& container = state.containers[to_string(requested->getId())];
    container.image_id = to_string(requested->getSpec().getImageId());
    container.layers = to_strings(requested->getSpec().getLayers());
    container.requested = origin_of(event);
}

Container* container_in(State& state, capnp::Text::Reader id) {
    auto found = state.containers.find(to_string(id));
    return found == state.containers.end() ? nullptr : &found->second;
}

template <typename T>
void container_runs(State& state, const noded_event& event, bool running) {
    Reading<T> changed(event.payload);
    if (Container* container = container_in(state, changed->getId())) container->running = running;
}

template <typename T>
void rootfs_is(State& state, const noded_event& event, Rootfs rootfs) {
    Reading<T> changed(event.payload);
    Container* container = container_in(state, changed->getContainerId());
    if (container != nullptr) container->rootfs = rootfs;
}

void removal_requested(State& state, const noded_event& event) {
    Reading<schema::ContainerRemovalRequested> requested(event.payload);
    Container* container = container_in(state, requested->getId());
    if (container == nullptr) return;
    container->removing = true;
    container->removal = origin_of(event);
}

/// The container is forgotten when both of its removal's outcomes are there, in whatever order.
void container_removed(State& state, const noded_event& event) {
    Reading<schema::ContainerRemoved> removed(event.payload);
    Container* container = container_in(state, removed->getId());
    if (container == nullptr) return;
    container->gone = container->removing && container->rootfs != Rootfs::removed;
    if (!container->gone) state.containers.erase(to_string(removed->getId()));
}

void rootfs_removed(State& state, const noded_event& event) {
    Reading<schema::RootfsRemoved> removed(event.payload);
    Container* container = container_in(state, removed->getContainerId());
    if (container == nullptr) return;
    container->rootfs = Rootfs::removed;
    if (container->gone) state.containers.erase(to_string(removed->getContainerId()));
}

template <typename T>
std::string id_in(const noded_event& event) {
    Reading<T> in(event.payload);
    return to_string(in->getId());
}

bool fold_container(State& state, const noded_event& event) {
    switch (event.type) {
        case capnp::typeId<schema::ContainerRequested>(): container_requested(state, event); break;
        case capnp::typeId<schema::ContainerStartRequested>():
            container_runs<schema::ContainerStartRequested>(state, event, true);
            break;
        case capnp::typeId<schema::ContainerStartFailed>():
            container_runs<schema::ContainerStartFailed>(state, event, false);
            break;
        case capnp::typeId<schema::ContainerExited>():
            container_runs<schema::ContainerExited>(state, event, false);
            commits_go_on(state, id_in<schema::ContainerExited>(event));
            break;
        case capnp::typeId<schema::ContainerCommitRequested>():
            commit_requested(state, event);
            break;
        case capnp::typeId<schema::ContainerPaused>():
            commits_go_on(state, id_in<schema::ContainerPaused>(event));
            break;
        case capnp::typeId<schema::ContainerUnpauseRequested>():
            commits_go_on(state, id_in<schema::ContainerUnpauseRequested>(event),
                          "the container was unpaused before its files were read");
            break;
        case capnp::typeId<schema::ContainerPauseFailed>(): {
            Reading<schema::ContainerPauseFailed> failed(event.payload);
            commits_go_on(state, to_string(failed->getId()),
                          "cannot pause the container: " + to_string(failed->getMessage()));
            break;
        }
        case capnp::typeId<schema::ContainerRemovalRequested>():
            removal_requested(state, event);
            break;
        case capnp::typeId<schema::ContainerRemoved>(): container_removed(state, event); break;
        default: return false;
    }
    return true;
}

}  // namespace

void fold(State& state, const noded_event& event) {
    if (fold_container(state, event)) return;
    switch (event.type) {
        case capnp::typeId<schema::ImageImportRequested>(): return import_requested(state, event);
        case capnp::typeId<schema::ImageAdded>(): return image_added(state, event);
        case capnp::typeId<schema::ImageImported>(): return import_succeeded(state, event);
        case capnp::typeId<schema::ImageImportFailed>(): return import_failed(state, event);
        case capnp::typeId<schema::ImageTagged>(): {
            Reading<schema::ImageTagged> tagged(event.payload);
            return tag(state, to_string(tagged->getId()), to_string(tagged->getName()));
        }
        case capnp::typeId<schema::ImageUntagged>(): {
            Reading<schema::ImageUntagged> untagged(event.payload);
            return untag(state, to_string(untagged->getName()));
        }
        case capnp::typeId<schema::ImageRemoved>(): return image_removed(state, event);
        case capnp::typeId<schema::RootfsPrepared>():
            return rootfs_is<schema::RootfsPrepared>(state, event, Rootfs::prepared);
        case capnp::typeId<schema::RootfsPrepareFailed>():
            return rootfs_is<schema::RootfsPrepareFailed>(state, event, Rootfs::failed);
        case capnp::typeId<schema::RootfsRemoved>():
            return rootfs_removed(state, event);
    }
}

}  // namespace noded::storage
