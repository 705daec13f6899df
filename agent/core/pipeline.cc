// The path of every command on one screen: turn_end and synced, in the order of the words.
#include "agent/core/pipeline.h"

#include <cerrno>
#include <string>
#include <utility>

#include "agent/base/check.h"
#include "agent/limits.h"

namespace noded::core {

void Pipeline::submit(Command command, ReplyTo to) {
    const bool is_client = command.origin == Command::Origin::client;
    if (is_client && queued() >= limits::commands_queued_max) {
        Reply refused;
        refused.rejection = {kRejectBusy, "the node has too many commands waiting; try again"};
        return to(refused);
    }
    queue_.push_back({std::move(command), std::move(to)});
}

void Pipeline::turn_end() {
    if (stage_ != Stage::idle || queued() == 0) return;
    decide_batch();                                              // decide, append, provisional fold
    if (!batch_.events.empty()) {
        stage_ = Stage::syncing;
        return log_.sync(*this);                                 // sync
    }
    synced({}, log_.durable_seq());
}

void Pipeline::synced(Status status, uint64_t durable_seq) {
    // The state is ahead of the log now and may never be seen: only a restart leads back to what is
    // durable.
    CHECK_MSG(status.has_value(), status ? "" : status.error().message.c_str());
    CHECK(durable_seq + 1 == log_.next_seq());
    stage_ = Stage::telling;                                     // fold is final
    reply();                                                     // reply
    react();                                                     // react
    publish();                                                   // publish
    batch_.clear();
    stage_ = Stage::idle;
    for (auto& waiting : std::exchange(gated_, {})) waiting();
}

void Pipeline::decide_batch() {
    CHECK(batch_.events.empty() && batch_.answers.empty());
    std::vector<Queued> waiting;
    Status room;
    for (; queued() > 0 && has_room_in_batch(); ++taken_) {
        // Once there is none, the turn's other commands are not worth another try each.
        if (room) {
            room = log_.ensure_room(limits::command_logged_bytes_max,
                                    limits::events_per_command_max);
        }
        if (queued() > kAhead) core_.expect(queue_[taken_ + kAhead].command);
        Queued& next = queue_[taken_];
        if (!room) {
            refuse_for_lack_of_room(std::move(next), room.error(), waiting);
            continue;
        }
        const size_t first = batch_.events.size();
        core_.step(next.command, std::move(next.to), log_.next_seq(), batch_);
        for (size_t i = first; i < batch_.events.size(); ++i) log_.append(batch_.events[i]);
    }
    // What waits comes first again, in its order.
    for (auto at = waiting.rbegin(); at != waiting.rend(); ++at) queue_[--taken_] = std::move(*at);
    // What is behind may never end: it moves up once that is the smaller part.
    if (2 * taken_ < queue_.size()) return;
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ = 0;
}

bool Pipeline::has_room_in_batch() const {
    return batch_.events.empty() ||
           log_.fits(limits::command_logged_bytes_max, limits::events_per_command_max);
}

void Pipeline::refuse_for_lack_of_room(Queued next, const Error& error,
                                       std::vector<Queued>& waiting) {
    // What already happened must not be forgotten: a proposal waits until there is room again.
    if (next.command.origin == Command::Origin::proposal) return waiting.push_back(std::move(next));
    Reply refused;
    const char* const remedy =
        error.code == EDQUOT
            ? "; that passes when a snapshot lets old events go, otherwise raise logBytesMax"
            : "; free disk space in the state directory";
    refused.rejection = {kRejectLimit, "the node takes no commands now: " + error.message + remedy};
    if (next.to) batch_.answers.push_back({std::move(next.to), std::move(refused)});
}

void Pipeline::reply() {
    for (Batch::Answer& answer : batch_.answers)
        if (answer.to) answer.to(answer.reply);
}

void Pipeline::react() {
    for (const Event& event : batch_.events) domain_.react(event);
}

void Pipeline::publish() {
    for (const Event& event : batch_.events) publisher_.publish(event);
}

void Pipeline::when_durable(std::move_only_function<void()> answer) {
    if (stage_ == Stage::syncing) return gated_.push_back(std::move(answer));
    answer();
}

}  // namespace noded::core
