// The pure step, the batch and the memory of command ids; see core.h.
#include "agent/core/core.h"

#include <cstring>
#include <span>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "agent/log/sender.h"

namespace noded::core {

Bytes Arena::copy(Bytes from) {
    const size_t size = round_up(from.size(), kWordSize);
    if (blocks_.empty() || blocks_.back().size - blocks_.back().used < size) {
        const size_t block_size = size > kBlockBytes ? size : kBlockBytes;
        blocks_.push_back({std::make_unique<uint64_t[]>(block_size / kWordSize), block_size, 0});
    }
    Block& block = blocks_.back();
    uint8_t* at = reinterpret_cast<uint8_t*>(block.words.get()) + block.used;
    if (!from.empty()) memcpy(at, from.data(), from.size());
    block.used += size;
    CHECK(block.used <= block.size);
    return {at, from.size()};
}

void Arena::clear() {
    if (blocks_.size() > 1) blocks_.resize(1);
    if (!blocks_.empty()) blocks_.front().used = 0;
}

void Batch::clear() {
    events.clear();
    answers.clear();
    arena.clear();
}

namespace {

/// Adds what decide says to the batch; a rejection takes it out again and leaves nothing behind.
class Collected final : public Decision {
public:
    Collected(const Command& command, uint64_t next_seq, Batch& batch)
        : command_(command), next_seq_(next_seq), batch_(batch), first_(batch.events.size()) {}

    void emit(uint64_t type, Bytes payload) override {
        if (rejected_) return;
        const size_t count = batch_.events.size() - first_;
        if (count == limits::events_per_command_max) {
            return reject({kRejectLimit,
                           "the command would cause more than " +
                               std::to_string(limits::events_per_command_max) + " events"});
        }
        bytes_ += payload.size();
        if (bytes_ > limits::command_events_bytes_max) {
            return reject({kRejectLimit,
                           "the command would cause events of more than " +
                               std::to_string(limits::command_events_bytes_max) + " bytes"});
        }
        CHECK_MSG(payload.size() % kWordSize == 0, "a payload is a whole number of words");
        batch_.events.push_back({next_seq_ + count, command_.time_ns, type, command_.cause_seq,
                                 command_.id, batch_.arena.copy(payload),
                                 count == 0 ? sender() : Bytes()});
    }
    void reject(Rejection rejection) override {
        rejected_ = true;
        rejection_ = std::move(rejection);
        batch_.events.erase(batch_.events.begin() + static_cast<ptrdiff_t>(first_),
                            batch_.events.end());
    }

    bool rejected() const { return rejected_; }
    Rejection take_rejection() { return std::move(rejection_); }
    std::span<const Event> events() const { return std::span(batch_.events).subspan(first_); }

private:
    /// Nobody sent a proposal: its cause is an event.
    Bytes sender() {
        if (command_.origin != Command::Origin::client) return {};
        log::EncodedSender encoded;
        return batch_.arena.copy(log::encode_sender(
            {command_.type, command_.uid, command_.gid, command_.pid, command_.client}, encoded));
    }

    const Command& command_;
    const uint64_t next_seq_;
    Batch& batch_;
    const size_t first_;   ///< of its events in the batch
    size_t bytes_ = 0;
    bool rejected_ = false;
    Rejection rejection_;
};

}  // namespace

void Core::step(const Command& command, ReplyTo to, uint64_t next_seq, Batch& batch) {
    CHECK(next_seq > 0);
    const bool from_client = command.origin == Command::Origin::client;
    Batch::Answer& answer = batch.answers.emplace_back(std::move(to));
    // The id of what a plugin observed at its start: a client's would be taken for a retry of that.
    if (from_client && command.id.is_zero()) {
        answer.reply.rejection = {kRejectInvalid, kNoCommandId};
        return;
    }
    if (const auto* known = from_client ? known_.find(command.id) : nullptr; known != nullptr) {
        answer.reply = {true, true, known->first_seq, known->last_seq, {}};
        return;
    }
    Collected decided(command, next_seq, batch);
    domain_.decide(command, decided);
    if (decided.rejected()) {
        answer.reply.rejection = decided.take_rejection();
        return;
    }
    answer.reply.accepted = true;
    const auto events = decided.events();
    if (events.empty()) return;
    const uint64_t first = events.front().seq, last = events.back().seq;
    answer.reply.first_seq = first;
    answer.reply.last_seq = last;
    // Only what stands in the log is remembered: replay must come to the same memory.
    const KnownCommands::Known known{command.id, first, last, command.cause_seq, command.time_ns};
    if (from_client) known_.add(known);
    else remember(known);
    for (const Event& event : events) domain_.fold(event);
}

void Core::remember(const Event& event) {
    remember({event.command_id, event.seq, event.seq, event.cause_seq, event.time_ns});
}

void Core::remember(const KnownCommands::Known& known) {
    KnownCommands::Known* const before = known_.find(known.id);
    if (before == nullptr) return known_.add(known);
    // The events of one command follow each other and have one cause and one time; a later one of
    // the same id is the outcome of an effect, not its decision.
    const bool goes_on = known.first_seq == before->last_seq + 1 &&
                         known.cause_seq == before->cause_seq && known.time_ns == before->time_ns;
    if (goes_on) before->last_seq = known.last_seq;
}

namespace {

struct SavedId {
    uint8_t id[32];
    uint64_t first_seq;
    uint64_t last_seq;
};
static_assert(sizeof(SavedId) == 48);

}  // namespace

Buffer Core::save() const {
    Buffer bytes(known_.size() * sizeof(SavedId));
    uint8_t* at = bytes.data();
    known_.each([&](const KnownCommands::Known& known) {
        SavedId saved{{}, known.first_seq, known.last_seq};
        memcpy(saved.id, known.id.bytes.data(), sizeof saved.id);
        memcpy(at, &saved, sizeof saved);
        at += sizeof saved;
    });
    return bytes;
}

Status Core::load(Bytes bytes) {
    if (bytes.size() % sizeof(SavedId) != 0 ||
        bytes.size() / sizeof(SavedId) > limits::command_ids_remembered_max) {
        return fail("the snapshot's list of command ids has " + std::to_string(bytes.size()) +
                    " bytes");
    }
    known_.clear();
    for (size_t at = 0; at < bytes.size(); at += sizeof(SavedId)) {
        SavedId saved;
        memcpy(&saved, bytes.data() + at, sizeof saved);
        CommandId id;
        memcpy(id.bytes.data(), saved.id, sizeof saved.id);
        // What was decided before a snapshot stands in it whole.
        remember({id, saved.first_seq, saved.last_seq, UINT64_MAX, 0});
    }
    return {};
}

}  // namespace noded::core
