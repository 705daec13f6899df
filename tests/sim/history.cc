// Checkers over durable events, see history.h.
#include "tests/sim/history.h"

#include <capnp/any.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>

#include "plugins/container/plugin.h"
#include "plugins/sdk/message.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"
#include "tests/sim/stranger.h"

namespace noded::sim {
namespace {

uint64_t mix(uint64_t hash, Bytes bytes) {
    for (const uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211u;
    return hash;
}

template <typename T>
uint64_t mix(uint64_t hash, const T& value) {
    return mix(hash, Bytes(reinterpret_cast<const uint8_t*>(&value), sizeof value));
}

uint64_t hash_of(const log::Record& event) {
    uint64_t hash = 14695981039346656037u;
    hash = mix(hash, event.seq);
    hash = mix(hash, event.time_ns);
    hash = mix(hash, event.type);
    hash = mix(hash, event.cause_seq);
    hash = mix(hash, Bytes(event.command_id.bytes));
    hash = mix(hash, event.sender);
    return mix(hash, event.payload);
}

noded_bytes flat(const log::Record& event) { return {event.payload.data(), event.payload.size()}; }

template <typename T>
std::string id_in(const log::Record& event) {
    return sdk::Reading<T>(flat(event))->getId().cStr();
}
template <typename T>
std::string run_in(const log::Record& event) {
    const sdk::Reading<T> in(flat(event));
    return std::string(in->getId().cStr()) + "/" + std::to_string(in->getRun());
}
template <typename T>
std::string exec_in(const log::Record& event) {
    return sdk::Reading<T>(flat(event))->getExecId().cStr();
}
template <typename T>
std::string container_in(const log::Record& event) {
    return sdk::Reading<T>(flat(event))->getContainerId().cStr();
}

uint64_t first_word(const log::Record& event) {
    uint64_t word = 0;
    memcpy(&word, event.payload.data(), std::min(sizeof word, event.payload.size()));
    return word;
}

/// For the trace: name and first text, which is the id of what the event is about.
std::string in_words(const log::Record& event) {
    std::string name = "event";
    for (uint32_t i = 0; i < container::descriptor.folds.count; ++i)
        if (container::descriptor.folds.list[i].id == event.type)
            name = container::descriptor.folds.list[i].name;
    // The stranger's payloads are no messages.
    if (name == "event" || event.payload.empty()) return name;
    std::vector<uint64_t> words(event.payload.size() / sizeof(uint64_t));
    memcpy(words.data(), event.payload.data(), words.size() * sizeof(uint64_t));
    const auto* at = reinterpret_cast<const capnp::word*>(words.data());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(at, words.size()));
    const auto pointers = reader.getRoot<capnp::AnyStruct>().getPointerSection();
    if (pointers.size() == 0 || !pointers[0].isList()) return name;
    const auto list = pointers[0].getAs<capnp::AnyList>();
    if (list.getElementSize() != capnp::ElementSize::BYTE) return name;
    return name + " " + pointers[0].getAs<capnp::Text>().cStr();
}

}  // namespace

void History::durable(const log::Record& event) {
    const uint64_t hash = hash_of(event);
    if (world_.traced && event.seq > events_.size())
        world_.tell(node_, std::to_string(event.seq) + " " + in_words(event));
    if (event.seq <= events_.size()) {
        if (events_[event.seq - 1].hash != hash)
            fail("event " + std::to_string(event.seq) + " was durable and has changed");
        return;
    }
    if (event.seq != events_.size() + 1)
        return fail("event " + std::to_string(event.seq) + " follows event " +
                    std::to_string(events_.size()));
    events_.push_back({hash, event.command_id});
    hash_ = mix(hash_, hash);
    const bool begins = !event.command_id.is_zero() && commands_.insert(event.command_id).second;
    if (event.sender.empty() == begins)
        fail("event " + std::to_string(event.seq) +
             (begins ? " does not tell who sent its command" : " tells of a sender again"));
    judge(event);
}

bool History::holds(uint64_t seq, const CommandId& id) const {
    return seq >= 1 && seq <= events_.size() && events_[seq - 1].command_id == id;
}

bool History::is_open(const std::string& intent) const {
    const auto found = intents_.find(intent);
    return found != intents_.end() && !found->second;
}

void History::intent(const std::string& key) {
    if (!intents_.emplace(key, false).second) fail("a second intent " + key);
}

void History::outcome(const std::string& key) {
    const auto found = intents_.find(key);
    if (found == intents_.end()) return fail("an outcome without intent: " + key);
    if (found->second) return fail("a second outcome of " + key);
    found->second = true;
}

void History::judge(const log::Record& event) {
    using namespace schema;
    switch (event.type) {
        case capnp::typeId<ContainerRequested>():
            intent("create/" + id_in<ContainerRequested>(event));
            return intent("rootfs/" + id_in<ContainerRequested>(event));
        case capnp::typeId<ContainerStartRequested>():
            // One that follows a run has that run's command at its root.
            if (event.cause_seq == 0) {
                intent("start-command/" + event.command_id.hex());
                outcome("start-command/" + event.command_id.hex());
            }
            return intent("start/" + run_in<ContainerStartRequested>(event));
        case capnp::typeId<ContainerStarted>():
            outcome("start/" + run_in<ContainerStarted>(event));
            return intent("run/" + run_in<ContainerStarted>(event));
        case capnp::typeId<ContainerStartFailed>():
            return outcome("start/" + run_in<ContainerStartFailed>(event));
        case capnp::typeId<ContainerExited>():
            return outcome("run/" + run_in<ContainerExited>(event));
        case capnp::typeId<ContainerStopRequested>():
        case capnp::typeId<ContainerKillRequested>():
            intent("signal-command/" + event.command_id.hex());
            return outcome("signal-command/" + event.command_id.hex());
        case capnp::typeId<ContainerPauseRequested>():
            intents_["freeze/" + id_in<ContainerPauseRequested>(event)] = true;
            return;
        case capnp::typeId<ContainerPaused>():
            frozen_.insert(run_in<ContainerPaused>(event));
            return;
        case capnp::typeId<ContainerUnpaused>():
            frozen_.erase(run_in<ContainerUnpaused>(event));
            return;
        case capnp::typeId<ContainerPauseFailed>():
            // Of a pause or of its end: what the machine did is not known.
            unknown_.insert(run_in<ContainerPauseFailed>(event));
            return;
        case capnp::typeId<ContainerUnpauseRequested>():
            intents_["thaw/" + id_in<ContainerUnpauseRequested>(event)] = true;
            return;
        case capnp::typeId<ContainerUpdateRequested>():
            intent("update/" + event.command_id.hex());
            return outcome("update/" + event.command_id.hex());
        case capnp::typeId<ContainerRemovalRequested>():
            intent("remove/" + id_in<ContainerRemovalRequested>(event));
            return intent("remove-rootfs/" + id_in<ContainerRemovalRequested>(event));
        case capnp::typeId<ContainerRemoved>():
            outcome("create/" + id_in<ContainerRemoved>(event));
            return outcome("remove/" + id_in<ContainerRemoved>(event));
        case capnp::typeId<ExecRequested>(): return intent("exec/" + exec_in<ExecRequested>(event));
        case capnp::typeId<ExecExited>(): return outcome("exec/" + exec_in<ExecExited>(event));
        case capnp::typeId<ExecFailed>(): return outcome("exec/" + exec_in<ExecFailed>(event));
    }
    judge_storage(event);
}

void History::judge_storage(const log::Record& event) {
    using namespace schema;
    switch (event.type) {
        case capnp::typeId<RootfsPrepared>():
            return outcome("rootfs/" + container_in<RootfsPrepared>(event));
        case capnp::typeId<RootfsPrepareFailed>():
            return outcome("rootfs/" + container_in<RootfsPrepareFailed>(event));
        case capnp::typeId<RootfsRemoved>():
            return outcome("remove-rootfs/" + container_in<RootfsRemoved>(event));
        case capnp::typeId<ImageAdded>():
            intents_["image"] = true;
            return;
        case capnp::typeId<ImageImportRequested>():
            return intent("import/" + event.command_id.hex());
        case kExitNoted:
            intent("note/" + std::to_string(first_word(event)));
            return outcome("note/" + std::to_string(first_word(event)));
        case capnp::typeId<ImageImported>():
        case capnp::typeId<ImageImportFailed>():
            return outcome("import/" + event.command_id.hex());
    }
}

void History::published(const log::Record& event) {
    if (event.seq > events_.size())
        return fail("event " + std::to_string(event.seq) + " was published before it was durable");
    if (event.seq <= last_published_) return;   // read again after a restart
    if (event.seq != last_published_ + 1)
        return fail("publication " + std::to_string(event.seq) + " follows " +
                    std::to_string(last_published_));
    if (events_[event.seq - 1].hash != hash_of(event))
        fail("publication " + std::to_string(event.seq) + " is not what the log has");
    last_published_ = event.seq;
}

size_t History::count(std::string_view prefix) const {
    return size_t(std::ranges::count_if(
        intents_, [&](const auto& entry) { return entry.first.starts_with(prefix); }));
}

void History::check_outcomes(const std::function<bool(const std::string&)>& is_running) const {
    for (const auto& [key, done] : intents_) {
        if (done || key.starts_with("create/")) continue;
        if (key.starts_with("run/") && is_running(key.substr(4))) continue;
        // A container that was removed while its rootfs was being prepared needs none any more.
        if (key.starts_with("rootfs/") && intents_.contains("remove/" + key.substr(7))) continue;
        fail("the intent " + key + " has no outcome");
    }
}

}  // namespace noded::sim
