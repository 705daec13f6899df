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

std::string view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

void fill(capnp::List<capnp::Text>::Builder list, const auto& texts) {
    unsigned at = 0;
    for (const std::string& text : texts) list.set(at++, sdk::text(text));
}
std::vector<std::string> strings(capnp::List<capnp::Text>::Reader list) {
    std::vector<std::string> out;
    for (auto text : list) out.push_back(view(text));
    return out;
}

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
    fill(out.initNames(unsigned(image.names.size())), image.names);
    auto layers = out.initLayers(unsigned(image.layers.size()));
    for (unsigned i = 0; i < layers.size(); ++i) {
        layers[i].setDiffId(sdk::text(image.layers[i].diff_id));
        layers[i].setSizeBytes(image.layers[i].size_bytes);
    }
}

void load_image(State& state, Snapshot::ImageRecord::Reader in) {
    Image& image = state.images[view(in.getId())];
    image.id = view(in.getId());
    image.config = view(in.getConfig());
    image.created_ns = created_ns(image.config);
    image.manifest_digest = view(in.getManifestDigest());
    image.size_bytes = in.getSizeBytes();
    for (auto layer : in.getLayers())
        image.layers.push_back({view(layer.getDiffId()), layer.getSizeBytes()});
    for (auto name : in.getNames()) {
        image.names.insert(view(name));
        state.names[view(name)] = image.id;
    }
}

void save_container(const std::string& id, const Container& container,
                    Snapshot::ContainerRecord::Builder out) {
    out.setId(sdk::text(id));
    out.setImageId(sdk::text(container.image_id));
    fill(out.initLayers(unsigned(container.layers.size())), container.layers);
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
    Container& container = state.containers[view(in.getId())];
    container.image_id = view(in.getImageId());
    container.layers = strings(in.getLayers());
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
    fill(request.initChanges(unsigned(import.changes.size())), import.changes);
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
    import.reference = view(request.getReference());
    import.changes = strings(request.getChanges());
    import.message = view(request.getMessage());
    const auto commit = in.getCommit();
    if (commit.size() == 0) return;
    import.commit.resize(commit.size() / sizeof(uint64_t));
    memcpy(import.commit.data(), commit.begin(), import.commit.size() * sizeof(uint64_t));
    import.waits = in.getWaits();
    import.pause_error = view(in.getPauseError());
    sdk::Reading<schema::ContainerCommitRequested> requested(flat_bytes(import.commit));
    import.container = view(requested->getId());
}

void save_outcome(const ImportOutcome& outcome, Snapshot::ImportOutcome::Builder out) {
    out.setCommandId(data(outcome.command_id));
    fill(out.initIds(unsigned(outcome.ids.size())), outcome.ids);
    fill(out.initNames(unsigned(outcome.names.size())), outcome.names);
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
    // Ours, and as large as the state: the usual bound against hostile messages does not apply.
    capnp::ReaderOptions options;
    options.traversalLimitInWords = bytes.size;
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data),
                     bytes.size / sizeof(capnp::word)),
        options);
    auto snapshot = reader.getRoot<Snapshot>();
    State state;
    for (auto image : snapshot.getImages()) load_image(state, image);
    for (auto container : snapshot.getContainers()) load_container(state, container);
    for (auto import : snapshot.getImports()) load_import(state, import);
    for (auto outcome : snapshot.getOutcomes())
        state.outcomes.push_back({id_of(outcome.getCommandId()), strings(outcome.getIds()),
                                  strings(outcome.getNames()), view(outcome.getError())});
    return state;
}

}  // namespace noded::storage
