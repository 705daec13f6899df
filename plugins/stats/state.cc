// Folded state: who runs, and the snapshot. See state.h.
#include "plugins/stats/state.h"

#include <algorithm>

#include "plugins/stats/limits.h"

namespace noded::stats {

namespace {

Target target_of(const std::string& id, const Container& container) {
    return {std::make_shared<const Who>(id, container.name, container.image, container.key),
            container.run, container.pid, container.pid_start_time, container.host_network};
}

}  // namespace

std::optional<Target> State::target(const std::string& id) const {
    const auto found = containers.find(id);
    if (found == containers.end() || found->second.pid == 0) return {};
    return target_of(id, found->second);
}

Targets State::targets() const {
    if (targets_) return targets_;
    std::vector<const std::pair<const std::string, Container>*> running;
    for (const auto& entry : containers)
        if (entry.second.pid != 0) running.push_back(&entry);
    std::ranges::sort(running, [](const auto* a, const auto* b) {
        return a->second.created_seq > b->second.created_seq;
    });
    // The oldest are kept when there are too many, so that what is watched stays.
    if (running.size() > limits::containers_max)
        running.erase(running.begin(), running.end() - ptrdiff_t(limits::containers_max));
    std::vector<Target> targets;
    targets.reserve(running.size());
    for (const auto* entry : running) targets.push_back(target_of(entry->first, entry->second));
    targets_ = std::make_shared<const std::vector<Target>>(std::move(targets));
    return targets_;
}

Container& State::at(const std::string& id) {
    Container& container = containers[id];
    if (container.key == 0) container.key = ++newest_key_;
    return container;
}

size_t State::running() const {
    return static_cast<size_t>(std::ranges::count_if(
        containers, [](const auto& entry) { return entry.second.pid != 0; }));
}

bool State::shares_network() const {
    return std::ranges::any_of(containers, [](const auto& entry) {
        return entry.second.host_network && entry.second.pid != 0;
    });
}

void State::save(schema::StatsSnapshot::Builder out) const {
    auto list = out.initContainers(unsigned(containers.size()));
    unsigned at = 0;
    for (const auto& [id, container] : containers) {
        auto record = list[at++];
        record.setId(sdk::text(id));
        record.setName(sdk::text(container.name));
        record.setImage(sdk::text(container.image));
        record.setHostNetwork(container.host_network);
        record.setCreatedSeq(container.created_seq);
        record.setRun(container.run);
        record.setPid(container.pid);
        record.setPidStartTime(container.pid_start_time);
    }
}

void State::load(schema::StatsSnapshot::Reader in) {
    for (const auto record : in.getContainers()) {
        Container& container = at(record.getId().cStr());
        container.name = record.getName().cStr();
        container.image = record.getImage().cStr();
        container.host_network = record.getHostNetwork();
        container.created_seq = record.getCreatedSeq();
        container.run = record.getRun();
        container.pid = record.getPid();
        container.pid_start_time = record.getPidStartTime();
    }
}

}  // namespace noded::stats
