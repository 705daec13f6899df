// The folded state as a StorageSnapshot and back, see decide.h. Maps are ordered, so the same state
// gives the same bytes.
#include <cstring>

#include "plugins/storage/created.h"
#include "plugins/storage/decide.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using Snapshot = schema::StorageSnapshot;
using sdk::to_string;
using sdk::to_strings;
using sdk::write_strings;

capnp::Data::Reader data(const CommandId& id) { return {id.bytes.data(), id.bytes.size()}; }
CommandId id_of(capnp::Data::Reader data) {
    CommandId id;
    KJ_REQUIRE(data.size() == id.bytes.size(), "the id of a command has 32 bytes");
    std::copy(data.begin(), data.end(), id.bytes.begin());
    return id;
}

void save_image(const Image& image, Snapshot::ImageRecord::Builder out) {
    out.setId(sdk::text(image.id));
    out.setConfig(sdk::text(image.config));
    out.setManifestDigest(sdk::text(image.manifest_digest));
    out.setSizeBytes(image.size_bytes);
    write_strings(image.names, [&](unsigned n) { return out.initNames(n); });
    auto layers = out.initLayers(unsigned(image.layers.size()));
    for (unsigned i = 0; i < layers.size(); ++i) {
        layers[i].setDiffId(sdk::text(image.layers[i].diff_id));
        layers[i].setSizeBytes(image.layers[i].size_bytes);
    }
}

void load_image(State& state, Snapshot::ImageRecord::Reader in) {
    Image& image = state.images[to_string(in.getId())];
    image.id = to_string(in.getId());
    image.config = to_string(in.getConfig());
    image.created_ns = created_ns(image.config);
    image.manifest_digest = to_string(in.getManifestDigest());
    image.size_bytes = in.getSizeBytes();
    for (auto layer : in.getLayers())
        image.layers.push_back({to_string(layer.getDiffId()), layer.getSizeBytes()});
    for (auto name : in.getNames()) {
        image.names.insert(to_string(name));
        state.names[to_string(name)] = image.id;
    }
}

void save_container(const std::string& id, const Container& container,
                    Snapshot::ContainerRecord::Builder out) {
    out.setId(sdk::text(id));
    out.setImageId(sdk::text(container.image_id));
    write_strings(container.layers, [&](unsigned n) { return out.initLayers(n); });
    out.setRootfs(Snapshot::Rootfs(container.rootfs));
    out.setRunning(container.running);
    out.setRemoving(container.removing);
    out.setGone(container.gone);
    out.setRequestedSeq(container.requested.seq);
    out.setRequestedCommand(data(container.requested.command_id));
    out.setRemovalSeq(container.removal.seq);
    out.setRemovalCommand(data(container.removal.command_id));
}

void load_container(State& state, Snapshot::ContainerRecord::Reader in) {
    Container& container = state.containers[to_string(in.getId())];
    container.image_id = to_string(in.getImageId());
    container.layers = to_strings(in.getLayers());
    container.rootfs = Rootfs(in.getRootfs());
    container.running = in.getRunning();
    container.removing = in.getRemoving();
    container.gone = in.getGone();
    container.requested = {in.getRequestedSeq(), id_of(in.getRequestedCommand())};
    container.removal = {in.getRemovalSeq(), id_of(in.getRemovalCommand())};
}
static_assert(int(Rootfs::requested) == int(Snapshot::Rootfs::REQUESTED));
static_assert(int(Rootfs::prepared) == int(Snapshot::Rootfs::PREPARED));
static_assert(int(Rootfs::failed) == int(Snapshot::Rootfs::FAILED));
static_assert(int(Rootfs::removed) == int(Snapshot::Rootfs::REMOVED));

void save_import(const CommandId& command, const Import& import,
                 Snapshot::ImportRecord::Builder out) {
    out.setCommandId(data(command));
    out.setSeq(import.seq);
    auto request = out.initRequest();
    using Kind = schema::ImageImportRequested::Kind;
    request.setKind(import.archive ? Kind::ARCHIVE : Kind::ROOTFS);
    request.setReference(sdk::text(import.reference));
    write_strings(import.changes, [&](unsigned n) { return request.initChanges(n); });
    request.setMessage(sdk::text(import.message));
    if (import.commit.empty()) return;
    out.setCommit({reinterpret_cast<const uint8_t*>(import.commit.data()),
                   import.commit.size() * sizeof(uint64_t)});
    out.setWaits(import.waits);
    out.setPauseError(sdk::text(import.pause_error));
}

void load_import(State& state, Snapshot::ImportRecord::Reader in) {
    Import& import = state.imports[id_of(in.getCommandId())];
    auto request = in.getRequest();
    import.seq = in.getSeq();
    import.archive = request.getKind() == schema::ImageImportRequested::Kind::ARCHIVE;
    import.reference = to_string(request.getReference());
    import.changes = to_strings(request.getChanges());
    import.message = to_string(request.getMessage());
    const auto commit = in.getCommit();
    if (commit.size() == 0) return;
    import.commit.resize(commit.size() / sizeof(uint64_t));
    memcpy(import.commit.data(), commit.begin(), import.commit.size() * sizeof(uint64_t));
    import.waits = in.getWaits();
    import.pause_error = to_string(in.getPauseError());
    sdk::Reading<schema::ContainerCommitRequested> requested(flat_bytes(import.commit));
    import.container = to_string(requested->getId());
}

void save_outcome(const ImportOutcome& outcome, Snapshot::ImportOutcome::Builder out) {
    out.setCommandId(data(outcome.command_id));
    write_strings(outcome.ids, [&](unsigned n) { return out.initIds(n); });
    write_strings(outcome.names, [&](unsigned n) { return out.initNames(n); });
    out.setError(sdk::text(outcome.error));
}

}  // namespace

void save(const State& state, const sdk::Sink& sink) {
    sdk::Message<Snapshot> snapshot;
    unsigned at = 0;
    auto images = snapshot->initImages(unsigned(state.images.size()));
    for (const auto& [id, image] : state.images) save_image(image, images[at++]);
    at = 0;
    auto containers = snapshot->initContainers(unsigned(state.containers.size()));
    for (const auto& [id, container] : state.containers)
        save_container(id, container, containers[at++]);
    at = 0;
    auto imports = snapshot->initImports(unsigned(state.imports.size()));
    for (const auto& [command, import] : state.imports) save_import(command, import, imports[at++]);
    at = 0;
    auto outcomes = snapshot->initOutcomes(unsigned(state.outcomes.size()));
    for (const ImportOutcome& outcome : state.outcomes) save_outcome(outcome, outcomes[at++]);
    sink.write(snapshot.flat());
}

State load(noded_bytes bytes) {
    const sdk::Reading<Snapshot> snapshot(bytes, sdk::own_message(bytes));
    State state;
    for (auto image : snapshot->getImages()) load_image(state, image);
    for (auto container : snapshot->getContainers()) load_container(state, container);
    for (auto import : snapshot->getImports()) load_import(state, import);
    for (auto outcome : snapshot->getOutcomes())
        state.outcomes.push_back({id_of(outcome.getCommandId()), to_strings(outcome.getIds()),
                                  to_strings(outcome.getNames()), to_string(outcome.getError())});
    return state;
}

}  // namespace noded::storage
