// See known_commands.h.
#include "agent/core/known_commands.h"

#include <cstring>
#include <utility>

#include "agent/base/check.h"
#include "agent/limits.h"

namespace noded::core {

namespace {

/// All words count: an id is random, but nothing makes a client draw all of it.
uint32_t hash_of(const CommandId& id) {
    uint64_t words[4];
    static_assert(sizeof words == sizeof id.bytes);
    memcpy(words, id.bytes.data(), sizeof words);
    const uint64_t sum = words[0] * 0x9e3779b97f4a7c15u + words[1] * 0xbf58476d1ce4e5b9u +
                         words[2] * 0x94d049bb133111ebu + words[3] * 0xd6e8feb86659fd93u;
    return static_cast<uint32_t>((sum ^ (sum >> 29)) * 0x2545f4914f6cdd1du >> 32);
}

bool same(const CommandId& a, const CommandId& b) {
    uint64_t left[4], right[4];
    memcpy(left, a.bytes.data(), sizeof left);
    memcpy(right, b.bytes.data(), sizeof right);
    return ((left[0] ^ right[0]) | (left[1] ^ right[1]) | (left[2] ^ right[2]) |
            (left[3] ^ right[3])) == 0;
}

}  // namespace

void KnownCommands::expect(const CommandId& id) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[home(hash_of(id))], 1);
}

KnownCommands::Known* KnownCommands::find(const CommandId& id) {
    if (slots_.empty()) return nullptr;
    const uint32_t hash = hash_of(id);
    for (size_t at = home(hash); slots_[at].place != 0; at = next(at)) {
        if (slots_[at].hash != hash) continue;
        Known& known = ring_[slots_[at].place - 1];
        if (same(known.id, id)) return &known;
    }
    return nullptr;
}

void KnownCommands::add(const Known& known) {
    size_t place = ring_.size();
    if (ring_.size() == limits::command_ids_remembered_max) {
        place = oldest_;
        let_oldest_go();
        ring_[place] = known;
    } else {
        if (2 * (ring_.size() + 1) > slots_.size()) grow();
        ring_.push_back(known);
    }
    put({static_cast<uint32_t>(place + 1), hash_of(known.id)});
}

void KnownCommands::put(Slot slot) {
    size_t at = home(slot.hash);
    while (slots_[at].place != 0) at = next(at);
    slots_[at] = slot;
}

void KnownCommands::grow() {
    CHECK(oldest_ == 0);
    const std::vector<Slot> before = std::exchange(slots_, {});
    bits_ = before.empty() ? kFirstBits : bits_ + 1;
    slots_.resize(size_t{1} << bits_);
    for (const Slot& slot : before)
        if (slot.place != 0) put(slot);
}

/// What was put behind it because its slot was taken moves up, so that looking for it still ends at
/// it (Knuth, volume 3, 6.4, algorithm R).
void KnownCommands::let_oldest_go() {
    const uint32_t place = static_cast<uint32_t>(oldest_ + 1);
    size_t hole = home(hash_of(ring_[oldest_].id));
    while (slots_[hole].place != place) {
        CHECK(slots_[hole].place != 0);
        hole = next(hole);
    }
    const size_t mask = slots_.size() - 1;
    for (size_t at = next(hole); slots_[at].place != 0; at = next(at)) {
        const size_t from_home = (at - home(slots_[at].hash)) & mask;
        if (from_home < ((at - hole) & mask)) continue;
        slots_[hole] = slots_[at];
        hole = at;
    }
    slots_[hole] = {};
    oldest_ = (oldest_ + 1) % ring_.size();
    expect(ring_[(oldest_ + kAhead) % ring_.size()].id);
}

void KnownCommands::clear() {
    ring_.clear();
    slots_.clear();
    oldest_ = bits_ = 0;
}

}  // namespace noded::core
