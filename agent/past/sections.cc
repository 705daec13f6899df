// See sections.h.
#include "agent/past/sections.h"

#include <set>

#include "agent/core/replay.h"

namespace noded::past {

/// Name of the core's own section; no plugin id begins like this.
static constexpr char kCoreSection[] = ":core";

Status fold_all(core::Pipeline& pipeline, host::Host& host, log::Log& log,
                std::optional<log::Snapshot> snapshot,
                std::span<const host::LinkedPlugin> linked) {
    if (snapshot) {
        auto& sections = snapshot->sections;
        if (const auto* core = snapshot->find(kCoreSection)) {
            TRY_STATUS(pipeline.core().load(core->data));
        }
        std::erase_if(sections, [](const auto& section) { return section.name == kCoreSection; });
    }
    const uint64_t first = host.load_directory(snapshot ? &*snapshot : nullptr, linked);
    return core::replay(log, first, pipeline.core(), host);
}

Result<std::vector<log::Snapshot::Section>> state_sections(core::Pipeline& pipeline,
                                                           const host::Host& host) {
    std::vector<log::Snapshot::Section> sections{{kCoreSection, pipeline.core().save()}};
    for (auto& section : TRY(host.save())) sections.push_back(std::move(section));
    return sections;
}

std::vector<log::SnapshotSection> borrow(const std::vector<log::Snapshot::Section>& sections) {
    std::vector<log::SnapshotSection> borrowed;
    for (const auto& section : sections) borrowed.push_back({section.name, section.data});
    return borrowed;
}

uint64_t state_bytes(const std::vector<log::Snapshot::Section>& sections) {
    uint64_t bytes = 0;
    for (const auto& section : sections) bytes += section.data.size();
    return bytes;
}

std::string loaded_plugins(const host::Host& host) {
    std::set<std::string> sorted;   // one that came late is the last in the node, not in a replica
    for (const auto& instance : host.instances())
        if (instance->loaded()) sorted.insert(instance->description.id);
    std::string ids;
    for (const std::string& id : sorted) ids += (ids.empty() ? "" : ",") + id;
    return ids;
}

}  // namespace noded::past
