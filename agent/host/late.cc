// Plugins that come while noded runs: they fold the history before they are loaded, a slice per
// turn in which nobody else has something to do, so that nobody waits for them; see host.h.
//
// Invariant: until it is loaded a plugin is entered for nothing but init, snapshot_load and fold,
// and no snapshot is written, because it would let go of events that the plugin has not seen.
#include <algorithm>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {

void Host::load_late(const std::string& path) {
    CHECK(pipeline_ != nullptr && pipeline_->quiescent());
    if (is_loaded_from(path)) return;
    if (instances_.size() >= limits::plugins_max) {
        return log_line(Severity::warning, "host",
                        "ignored " + path + ": there are too many plugins");
    }
    Instance& instance = list_file(path);
    auto table = open_plugin(path);
    if (!table) return refuse(instance, table.error().message);
    admit_late(instance, *table, describe(**table));
}

void Host::load_late(const noded_plugin& table, const std::string& name) {
    admit_late(list_file(name), &table, describe(table));
}

void Host::admit_late(Instance& instance, const noded_plugin* table,
                      Result<Description> described) {
    const Status admitted = described ? admit(instance, *table, std::move(*described))
                                      : Status(std::unexpected(described.error()));
    if (!admitted) return refuse(instance, admitted.error().message);
    if (const Status state = load_state(instance); !state)
        return stop_plugin(instance, state.error().message);
    instance.status = Instance::Status::loading;
    instance.reason = "it folds the history before it can be asked; try again";
    folding_.push_back(&instance);
    if (folding_.size() > 1) return;
    late_history_.begin();
    fold_next_slice();   // a short history is all of it
}

void Host::fold_late() {
    if (folding_.empty()) return;
    // Who waits for an answer goes first, as a slice takes longer than what a turn deals with; but
    // a node that is never idle must come to an end with it, too.
    const bool others = reactor_.is_behind() || pipeline_->has_work();
    if (others && ++turns_waited_ < limits::late_turns_waited_max) return reactor_.run_again();
    fold_next_slice();
}

void Host::fold_next_slice() {
    turns_waited_ = 0;
    Instance& instance = *folding_.front();
    const Status folded = fold_slice(instance);
    if (folded && instance.folded_seq < log_->durable_seq()) {
        if (!late_history_.waits()) reactor_.run_again();
        return;
    }
    // The end of a turn in which nothing is under way: what is folded is all that there is.
    if (folded && !pipeline_->quiescent()) return;
    folding_.pop_front();
    instance.status = Instance::Status::loaded;
    instance.reason.clear();
    if (folded) finish_late(instance);
    else stop_plugin(instance, "its events could not be replayed: " + folded.error().message);
    if (folding_.empty()) return;
    late_history_.begin();
    reactor_.run_again();
}

/// From when the first event is at hand, which in line has to be found first.
Status Host::fold_slice(Instance& instance) {
    constexpr size_t kEventsPerLook = 64;
    size_t events = 0;
    int64_t end_ns = 0;
    return late_history_.read(*log_, instance.folded_seq + 1, [&](const core::Event& event) {
        if (events == 0)
            end_ns = reactor_.clock().monotonic_ns() + limits::late_slice_ns;
        fold_into(instance, event, Phase::replay);
        if (++events >= limits::late_slice_events_max) return false;
        return events % kEventsPerLook != 0 || reactor_.clock().monotonic_ns() < end_ns;
    });
}

void Host::finish_late(Instance& instance) {
    ++loaded_late_;
    log_line(Severity::info, "host", "plugin " + instance.description.id + " " +
             instance.description.version + " is loaded, its state counts from seq " +
             std::to_string(instance.counts_from_seq));
    instance.reconciled = true;
    {
        PhaseScope scope(instance, Phase::reactor);
        instance.table->reconcile(instance.self);
    }
    retry_those_that_need(instance.description.id);
}

// A file that was dropped while the directory was being loaded is told of twice; one that replaced
// a loaded file is another file.
bool Host::is_loaded_from(const std::string& path) const {
    const FileIdentity now = FileIdentity::of(path);
    return std::ranges::any_of(instances_, [&](const auto& instance) {
        const bool is_there =
            instance->loaded() || instance->status == Instance::Status::loading;
        return is_there && instance->file == path && instance->identity == now;
    });
}

void Host::retry_those_that_need(const std::string& id) {
    std::vector<std::string> files;
    for (const auto& instance : instances_) {
        if (instance->status == Instance::Status::refused &&
            std::ranges::count(instance->description.needs, id) > 0)
            files.push_back(instance->file);
    }
    for (const std::string& file : files) load_late(file);
}

}  // namespace noded::host
