// The plugin that errs, see stranger.h.
#include "tests/sim/stranger.h"

#include <array>
#include <cstring>
#include <map>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "plugins/sdk/plugin.h"
#include "schemas/container.capnp.h"

namespace noded::sim {
namespace {

constexpr uint64_t kStrangerPoked = 0xd1c5a3f0e2b70002;
constexpr uint64_t kUndeclared = 0xd1c5a3f0e2b7ffff;
constexpr uint64_t kContainerExited = capnp::typeId<schema::ContainerExited>();

constexpr noded_type kCommands[] = {{kPokeStranger, "PokeStranger"}};
constexpr noded_type kEvents[] = {{kStrangerPoked, "StrangerPoked"}, {kExitNoted, "ExitNoted"}};
constexpr noded_type kFolds[] = {{kStrangerPoked, "StrangerPoked"},
                                 {kExitNoted, "ExitNoted"},
                                 {kContainerExited, "ContainerExited"}};
constexpr const char* kExtensions[] = {NODED_EXT_EVENTS, NODED_EXT_OFFLOAD, nullptr};

constexpr noded_descriptor kDescriptor = {
    .size = sizeof(noded_descriptor),
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .reserved = 0,
    .id = "stranger",
    .version = "1.0.0",
    .description = "Notes the ends of containers, and errs",
    .extensions_required = kExtensions,
    .plugins_needed = nullptr,
    .commands = {kCommands, 1},
    .events = {kEvents, 2},
    .folds = {kFolds, 3},
    .schema = {nullptr, 0},
};

Kernel* loading = nullptr;

noded_bytes one_word(const uint64_t& word) {
    return {reinterpret_cast<const uint8_t*>(&word), sizeof word};
}
uint64_t first_word(noded_bytes bytes) {
    uint64_t word = 0;
    memcpy(&word, bytes.data, std::min<size_t>(sizeof word, bytes.size));
    return word;
}

struct Stranger {
    const noded_host* host;
    const noded_ext_events* events;
    const noded_ext_offload* offload;
    Kernel& kernel;
    // Folded.
    uint64_t pokes = 0;
    uint64_t notes = 0;
    std::map<uint64_t, std::array<uint8_t, 32>> not_noted;   ///< seqs of ends, with their commands

    void propose_note(uint64_t seq) const {
        const auto& command = not_noted.at(seq);
        (void)events->propose(host, kExitNoted, one_word(seq), seq, command.data());
    }
};

Stranger& of(void* self) { return *static_cast<Stranger*>(self); }

void* init(const noded_host* host) noexcept {
    if (loading->plugin_errs()) {
        host->fail(host, "the stranger does not feel like it");
        return nullptr;
    }
    const auto find = [host](const char* id) { return host->get_extension(host, id); };
    return new Stranger{host, static_cast<const noded_ext_events*>(find(NODED_EXT_EVENTS)),
                        static_cast<const noded_ext_offload*>(find(NODED_EXT_OFFLOAD)), *loading};
}

void decide(void* self, const noded_command* command, const noded_decision* out) noexcept {
    const uint64_t word = first_word(command->payload);
    if (command->origin == NODED_ORIGIN_PROPOSAL) {
        if (of(self).not_noted.contains(word)) out->emit(out, command->type, command->payload);
        return;
    }
    // Something that it may emit stands before what it may not: neither must be logged.
    out->emit(out, kStrangerPoked, command->payload);
    if (word % 2 == 1) out->emit(out, kUndeclared, command->payload);
}

void fold(void* self, const noded_event* event) noexcept {
    Stranger& stranger = of(self);
    if (event->type == kStrangerPoked) ++stranger.pokes;
    if (event->type == kExitNoted) {
        ++stranger.notes;
        stranger.not_noted.erase(first_word(event->payload));
    }
    if (event->type == kContainerExited)
        memcpy(stranger.not_noted[event->seq].data(), event->command_id, 32);
}

/// So much that others find the lane full.
void fill_the_lane(const Stranger& stranger) {
    const auto nothing = [](void*) noexcept {};
    const auto told = [](void*, void*) noexcept {};
    while (stranger.offload->run(stranger.host, nothing, told, nullptr) == 0) {}
}

void propose_nonsense(const Stranger& stranger) {
    const uint64_t word = 7;
    for (uint64_t i = 0; i <= limits::plugin_undeclared_events_max; ++i)
        (void)stranger.events->propose(stranger.host, kUndeclared, one_word(word), 0, nullptr);
}

void react(void* self, const noded_event* event) noexcept {
    Stranger& stranger = of(self);
    if (event->type != kContainerExited) return;
    if (stranger.kernel.plugin_errs()) fill_the_lane(stranger);
    if (stranger.kernel.plugin_errs()) return propose_nonsense(stranger);
    // It may have been noted already: by reconcile, or by an event that stands behind this one.
    if (stranger.not_noted.contains(event->seq)) stranger.propose_note(event->seq);
}

void reconcile(void* self) noexcept {
    const auto open = of(self).not_noted;
    for (const auto& [seq, command] : open) of(self).propose_note(seq);
}

void snapshot_save(void* self, const noded_sink* sink) noexcept {
    const Stranger& stranger = of(self);
    sink->write(sink, one_word(stranger.pokes));
    sink->write(sink, one_word(stranger.notes));
    for (const auto& [seq, command] : stranger.not_noted) {
        sink->write(sink, one_word(seq));
        sink->write(sink, {command.data(), command.size()});
    }
}

int snapshot_load(void* self, noded_bytes bytes) noexcept {
    Stranger& stranger = of(self);
    if (stranger.kernel.plugin_errs()) return 0;
    CHECK(bytes.size >= 16);
    stranger.pokes = first_word(bytes);
    stranger.notes = first_word({bytes.data + 8, 8});
    for (const uint8_t* at = bytes.data + 16; at < bytes.data + bytes.size; at += 40)
        memcpy(stranger.not_noted[first_word({at, 8})].data(), at + 8, 32);
    return 1;
}

void stop(void*) noexcept {}
void destroy(void* self) noexcept { delete static_cast<Stranger*>(self); }
const void* get_extension(void*, const char*) noexcept { return nullptr; }

constexpr noded_plugin kTable = {
    sizeof(noded_plugin), 0,             &kDescriptor,  init, decide,  fold,         react,
    reconcile,            snapshot_save, snapshot_load, stop, destroy, get_extension};

}  // namespace

const noded_plugin& stranger_table() { return kTable; }
void let_stranger_err_with(Kernel& kernel) { loading = &kernel; }

}  // namespace noded::sim
