// See stats_row.h.
#include "tools/nodectl/stats_row.h"

#include <cstdio>

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

std::string percent(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.2f%%", value);
    return text;
}

std::string pair(uint64_t one, uint64_t other) {
    return human_size(one) + " / " + human_size(other);
}

}  // namespace

double cpu_percent(const StatsSubject& subject) {
    if (!subject.figures || !subject.before || !subject.figures->hasCpu()) return 0;
    const Figures &now = *subject.figures, &before = *subject.before;
    const int64_t time_ns = now.getMonotonicNs() - before.getMonotonicNs();
    const uint64_t used = now.getCpu().getTotalNs(), used_before = before.getCpu().getTotalNs();
    if (now.getRun() != before.getRun() || !before.hasCpu() || time_ns <= 0 || used < used_before)
        return 0;
    return static_cast<double>(used - used_before) / static_cast<double>(time_ns) * 100;
}

Row stats_row(const StatsSubject& subject, uint64_t memory_total, bool truncate) {
    const Figures figures = subject.figures.value_or(Figures());
    const std::string id = truncate ? short_id(subject.id) : subject.id;
    const uint64_t used = figures.getMemory().getWorkingSetBytes();
    uint64_t limit = figures.getMemory().getLimitBytes();
    if (limit == 0 || limit > memory_total) limit = memory_total;
    if (!figures.hasMemory()) limit = 0;
    const double part =
        limit > 0 ? static_cast<double>(used) / static_cast<double>(limit) * 100 : 0;
    const auto io = figures.getIo();
    // What shares the node's network has figures of its own only where the kernel counts them.
    const auto net = figures.hasNet() ? figures.getNet() : figures.getKernel().getNet();
    return {.fields = {
                {"BlockIO", pair(io.getReadBytes(), io.getWriteBytes())},
                {"CPUPerc", percent(cpu_percent(subject))},
                {"Container", subject.asked.empty() ? id : subject.asked},
                {"ID", id},
                {"MemPerc", percent(part)},
                {"MemUsage", binary_size(used) + " / " + binary_size(limit)},
                {"Name", subject.name},
                {"NetIO", pair(net.getReceivedBytes(), net.getSentBytes())},
                {"PIDs", std::to_string(figures.getPids().getCurrent())},
            }};
}

}  // namespace noded::nodectl
