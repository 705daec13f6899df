// events: proposals and commands of plugins enter the pipeline here.
#include <cstring>
#include <utility>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {

namespace {

core::Command command_of(Host& host, core::Command::Origin origin, uint64_t type,
                         noded_bytes payload, uint64_t cause_seq, const uint8_t* id) {
    core::Command command;
    command.origin = origin;
    command.type = type;
    command.payload.assign(payload.data, payload.data + payload.size);
    command.cause_seq = cause_seq;
    command.time_ns = host.reactor().clock().realtime_ns();
    if (id != nullptr) memcpy(command.id.bytes.data(), id, command.id.bytes.size());
    return command;
}

/// FNV-1a, 64 bits: it has to tell apart, not to resist.
uint64_t hash(uint64_t from, Bytes bytes) {
    for (const uint8_t byte : bytes) from = (from ^ byte) * 0x100000001b3;
    return from;
}

/// The same plugin's same effect of the same event gives the same id, so that a repeated reaction
/// is harmless.
CommandId id_of_reaction(const std::string& plugin, const core::Command& command) {
    constexpr uint64_t basis = 0xcbf29ce484222325;
    const uint64_t words[] = {command.cause_seq, command.type,
                              hash(basis, {reinterpret_cast<const uint8_t*>(plugin.data()),
                                           plugin.size()}),
                              hash(basis, command.payload)};
    CommandId id;
    static_assert(sizeof words == sizeof id.bytes);
    memcpy(id.bytes.data(), words, sizeof words);
    return id;
}

int propose(const noded_host* face, uint64_t type, noded_bytes payload, uint64_t cause_seq,
            const uint8_t* command_id) noexcept {
    Instance& instance = require(face, "events.propose");
    return instance.host->propose(
        instance, command_of(*instance.host, core::Command::Origin::proposal, type, payload,
                             cause_seq, command_id));
}

int submit(const noded_host* face, uint64_t type, noded_bytes payload, uint64_t cause_seq,
           const uint8_t* id) noexcept {
    Instance& instance = require(face, "events.submit");
    if (payload.size % kWordSize != 0 || payload.size > limits::command_events_bytes_max) return -1;
    if (id == nullptr && cause_seq == 0) return -1;
    core::Command command = command_of(*instance.host, core::Command::Origin::client, type, payload,
                                       cause_seq, id);
    if (id == nullptr) command.id = id_of_reaction(instance.description.id, command);
    command.client =
        ("plugin " + instance.description.id).substr(0, limits::command_client_bytes_max);
    instance.host->submit(std::move(command));
    return 0;
}

}  // namespace

int Host::propose(Instance& from, core::Command command) {
    const bool fits = command.payload.size() % kWordSize == 0 &&
                      command.payload.size() <= limits::command_events_bytes_max;
    if (!from.owns_event(command.type) || !fits) {
        ++from.undeclared_events;
        log_line(Severity::warning, "host", "plugin " + from.description.id +
                 (fits ? " proposed an event that it did not declare"
                       : " proposed an event of a size that is not allowed") + "; it was refused");
        if (from.undeclared_events > limits::plugin_undeclared_events_max) {
            stop_plugin(from, "it proposed more than " +
                              std::to_string(limits::plugin_undeclared_events_max) +
                              " events that it did not declare");
        }
        return -1;
    }
    if (from.proposals_queued >= limits::plugin_proposals_queued_max) {
        stop_plugin(from, std::to_string(from.proposals_queued) +
                              " of its proposals wait for the log already; restart noded when "
                              "there is room, and it finds out anew what happened");
        return -1;
    }
    ++from.proposals_queued;
    CHECK(pipeline_ != nullptr);
    pipeline_->submit(std::move(command), [&from](const core::Reply&) { --from.proposals_queued; });
    reactor_.run_again();
    return 0;
}

void Host::submit(core::Command command) {
    CHECK(pipeline_ != nullptr);
    pipeline_->submit(std::move(command), [](const core::Reply&) {});
    reactor_.run_again();
}

const noded_ext_events ext_events = {sizeof(noded_ext_events), propose, submit};

}  // namespace noded::host
