// Commands against state, see decide.h. One function per command and per proposed outcome. The
// rules and sentences of RemoveImage are docker's, because scripts match them.
#include "plugins/storage/decide.h"

#include <algorithm>

#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/reference.h"
#include "plugins/storage/limits.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {
namespace {

using sdk::Decision;
using sdk::Message;
using sdk::Reading;
using sdk::to_string;

void refuse(Decision& out, const Refusal& refusal) { out.reject(refusal.code, refusal.message); }
void refuse_invalid(Decision& out, const std::string& why) {
    out.reject(NODED_REJECT_INVALID, why);
}

/// A name that an image can have: no digest in it.
std::expected<std::string, Refusal> parse_name(std::string_view text) {
    auto reference = image::parse_reference(text);
    if (!reference)
        return std::unexpected(Refusal{NODED_REJECT_INVALID, reference.error().message});
    if (!reference->digest.empty())
        return std::unexpected(Refusal{NODED_REJECT_INVALID,
                                       "refusing to create a tag with a digest reference"});
    return reference->familiar();
}

void emit_untagged(Decision& out, const std::string& id, const std::string& name) {
    Message<schema::ImageUntagged> event;
    event->setId(sdk::text(id));
    event->setName(sdk::text(name));
    out.emit(event);
}
void emit_removed(Decision& out, const std::string& id) {
    Message<schema::ImageRemoved> event;
    event->setId(sdk::text(id));
    out.emit(event);
}

// --- ImportImage, LoadImages, TagImage.

/// Empty, or why the changes of an import cannot be applied.
std::string trouble_with_changes(capnp::List<capnp::Text>::Reader changes) {
    if (changes.size() > limits::changes_max)
        return "an import takes at most " + std::to_string(limits::changes_max) + " changes";
    size_t bytes = 0;
    image::RuntimeConfig scratch;
    for (auto change : changes) {
        bytes += change.size();
        if (bytes > limits::changes_bytes_max)
            return "the changes are longer than " +
                   std::to_string(limits::changes_bytes_max >> 10) + " KiB";
        if (auto applied = image::apply_change(scratch, to_string(change)); !applied)
            return applied.error().message;
    }
    return {};
}

bool too_many_imports(const State& state, Decision& out) {
    if (state.imports.size() < limits::imports_pending_max) return false;
    out.reject(NODED_REJECT_BUSY, std::to_string(limits::imports_pending_max) +
                                      " imports are under way; try again when one is done");
    return true;
}

void import_image(const State& state, const noded_command& command, Decision& out) {
    Reading<schema::ImportImage> wanted(command.payload);
    std::string name;
    if (wanted->getReference().size() > 0) {
        auto parsed = parse_name(to_string(wanted->getReference()));
        if (!parsed) return refuse(out, parsed.error());
        name = *parsed;
    }
    if (auto trouble = trouble_with_changes(wanted->getChanges()); !trouble.empty())
        return refuse_invalid(out, trouble);
    if (wanted->getMessage().size() > limits::message_bytes_max)
        return refuse_invalid(out, "the message of an import has at most " +
                                       std::to_string(limits::message_bytes_max) + " bytes");
    if (too_many_imports(state, out)) return;
    Message<schema::ImageImportRequested> event;
    event->setKind(schema::ImageImportRequested::Kind::ROOTFS);
    event->setReference(sdk::text(name));
    event->setChanges(wanted->getChanges());
    event->setMessage(wanted->getMessage());
    out.emit(event);
}

void load_images(const State& state, const noded_command& command, Decision& out) {
    Reading<schema::LoadImages> wanted(command.payload);
    if (too_many_imports(state, out)) return;
    Message<schema::ImageImportRequested> event;
    event->setKind(schema::ImageImportRequested::Kind::ARCHIVE);
    out.emit(event);
}

void tag_image(const State& state, const noded_command& command, Decision& out) {
    Reading<schema::TagImage> wanted(command.payload);
    auto source = state.find_image(to_string(wanted->getSource()));
    if (!source) return refuse(out, source.error());
    auto name = parse_name(to_string(wanted->getTarget()));
    if (!name) return refuse(out, name.error());
    if (source->image->names.contains(*name)) return;
    if (source->image->names.size() >= limits::names_per_image_max)
        return out.reject(NODED_REJECT_LIMIT,
                          "image " + short_id(source->image->id) + " has " +
                              std::to_string(limits::names_per_image_max) +
                              " names already; remove one first");
    Message<schema::ImageTagged> event;
    event->setId(sdk::text(source->image->id));
    event->setName(sdk::text(*name));
    out.emit(event);
}

// --- RemoveImage.

struct Users {
    const std::string* any = nullptr;      ///< a container that stands on the image
    const std::string* running = nullptr;  ///< one that runs
};

Users users(const State& state, const std::string& image_id) {
    Users users;
    for (const auto& [id, container] : state.containers) {
        if (container.image_id != image_id || container.gone) continue;
        if (users.any == nullptr) users.any = &id;
        if (container.running && users.running == nullptr) users.running = &id;
    }
    return users;
}

/// Docker's "single reference": names of one repository only may go together with the image.
bool in_one_repository(const std::set<std::string>& names) {
    auto repository = [](const std::string& name) { return name.substr(0, name.rfind(':')); };
    return std::ranges::all_of(names, [&](const std::string& name) {
        return repository(name) == repository(*names.begin());
    });
}

Refusal conflict(const Image& image, bool force_helps, const std::string& why) {
    return {NODED_REJECT_CONFLICT,
            "conflict: unable to delete " + short_id(image.id) +
                (force_helps ? " (must be forced) - " : " (cannot be forced) - ") + why};
}

/// `wanted` is the name as the user wrote it.
void remove_by_name(const State& state, const Found& found, const std::string& wanted, bool force,
                    Decision& out) {
    const Image& image = *found.image;
    const Users used = users(state, image.id);
    const bool last_name = image.names.size() == 1;
    if (last_name && used.any != nullptr && !force)
        return refuse(out, {NODED_REJECT_CONFLICT,
                            "conflict: unable to remove repository reference \"" + wanted +
                                "\" (must force) - container " + short_id(*used.any) +
                                " is using its referenced image " + short_id(image.id)});
    emit_untagged(out, image.id, found.name);
    // A running container keeps its image, which goes on without a name.
    if (last_name && used.running == nullptr) emit_removed(out, image.id);
}

void remove_by_id(const State& state, const Found& found, bool force, Decision& out) {
    const Image& image = *found.image;
    const Users used = users(state, image.id);
    if (used.running != nullptr)
        return refuse(out, conflict(image, false,
                                    "image is being used by running container " +
                                        short_id(*used.running)));
    if (!force && !in_one_repository(image.names))
        return refuse(out, conflict(image, true, "image is referenced in multiple repositories"));
    if (!force && used.any != nullptr)
        return refuse(out, conflict(image, true,
                                    "image is being used by stopped container " +
                                        short_id(*used.any)));
    for (const std::string& name : image.names) emit_untagged(out, image.id, name);
    emit_removed(out, image.id);
}

void remove_image(const State& state, const noded_command& command, Decision& out) {
    Reading<schema::RemoveImage> wanted(command.payload);
    const std::string reference = to_string(wanted->getReference());
    auto found = state.find_image(reference);
    if (!found) return refuse(out, found.error());
    if (found->name.empty()) return remove_by_id(state, *found, wanted->getForce(), out);
    remove_by_name(state, *found, reference, wanted->getForce(), out);
}

// --- Outcomes of effects. One that came too late (the restart already gave the intent another
// outcome) is refused and forgotten.

void stale(Decision& out, const std::string& why) { out.reject(NODED_REJECT_CONFLICT, why); }

void import_outcome(const State& state, const noded_command& proposal, Decision& out) {
    if (!state.imports.contains(command_id(proposal.id)))
        return stale(out, "no import of this command is under way");
    out.emit_proposed(proposal);
}

void image_added(const State& state, const noded_command& proposal, Decision& out) {
    Reading<schema::ImageAdded> added(proposal.payload);
    const bool is_new = !state.images.contains(to_string(added->getId()));
    if (is_new && state.images.size() >= limits::images_max)
        return out.reject(NODED_REJECT_LIMIT, "the node has " + std::to_string(limits::images_max) +
                                                  " images already");
    import_outcome(state, proposal, out);
}

void rootfs_outcome(const State& state, const std::string& container, const noded_command& proposal,
                    Decision& out) {
    auto found = state.containers.find(container);
    if (found == state.containers.end() || found->second.rootfs != Rootfs::requested)
        return stale(out, "container " + short_id(container) + " waits for no rootfs");
    out.emit_proposed(proposal);
}

void rootfs_removed(const State& state, const noded_command& proposal, Decision& out) {
    Reading<schema::RootfsRemoved> removed(proposal.payload);
    auto found = state.containers.find(to_string(removed->getContainerId()));
    if (found == state.containers.end() || !found->second.removing ||
        found->second.rootfs == Rootfs::removed)
        return stale(out, "no rootfs is being removed");
    out.emit_proposed(proposal);
}

void decide_proposal(const State& state, const noded_command& proposal, Decision& out) {
    switch (proposal.type) {
        case capnp::typeId<schema::ImageAdded>(): return image_added(state, proposal, out);
        case capnp::typeId<schema::ImageImported>():
        case capnp::typeId<schema::ImageImportFailed>():
            return import_outcome(state, proposal, out);
        case capnp::typeId<schema::RootfsPrepared>(): {
            Reading<schema::RootfsPrepared> event(proposal.payload);
            return rootfs_outcome(state, to_string(event->getContainerId()), proposal, out);
        }
        case capnp::typeId<schema::RootfsPrepareFailed>(): {
            Reading<schema::RootfsPrepareFailed> event(proposal.payload);
            return rootfs_outcome(state, to_string(event->getContainerId()), proposal, out);
        }
        case capnp::typeId<schema::RootfsRemoved>(): return rootfs_removed(state, proposal, out);
    }
    refuse_invalid(out, "storage proposes no such outcome");
}

}  // namespace

void decide(const State& state, const noded_command& command, Decision& out) {
    if (command.origin == NODED_ORIGIN_PROPOSAL) return decide_proposal(state, command, out);
    switch (command.type) {
        case capnp::typeId<schema::ImportImage>(): return import_image(state, command, out);
        case capnp::typeId<schema::LoadImages>(): return load_images(state, command, out);
        case capnp::typeId<schema::TagImage>(): return tag_image(state, command, out);
        case capnp::typeId<schema::RemoveImage>(): return remove_image(state, command, out);
    }
    refuse_invalid(out, "storage decides no such command");
}

}  // namespace noded::storage
