// See stats_row.h.
#include "tools/nodectl/stats_row.h"

#include <cstdio>
#include <vector>

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

std::string percent(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.2f%%", value);
    return text;
}

constexpr const char* kUnknown = "--";

/// Both samples, if they are of one run and some time apart.
bool comparable(const StatsSubject& subject) {
    return subject.figures && subject.before &&
           subject.figures->getRun() == subject.before->getRun() &&
           subject.figures->getMonotonicNs() > subject.before->getMonotonicNs();
}

/// How much of the time between the samples a counter of time grew; 0 when it was reset.
double part_of_time(const StatsSubject& subject, uint64_t now_ns, uint64_t before_ns) {
    const int64_t time_ns =
        subject.figures->getMonotonicNs() - subject.before->getMonotonicNs();
    if (now_ns < before_ns) return 0;
    return static_cast<double>(now_ns - before_ns) / static_cast<double>(time_ns) * 100;
}

using Pressure = schema::PressureFigures::Pressure::Reader;

/// The part of the time in which some task waited.
std::string pressure(const StatsSubject& subject,
                     bool (*has)(const schema::PressureFigures::Reader&),
                     Pressure (*get)(const schema::PressureFigures::Reader&)) {
    if (!comparable(subject)) return kUnknown;
    const auto now = subject.figures->getPressure(), before = subject.before->getPressure();
    if (!has(now) || !has(before)) return kUnknown;
    // It is not read for each sample, and has times of its own.
    const int64_t time_ns = now.getMonotonicNs() - before.getMonotonicNs();
    const uint64_t now_us = get(now).getSomeUs(), before_us = get(before).getSomeUs();
    if (time_ns <= 0) return kUnknown;
    if (now_us < before_us) return percent(0);
    return percent(double(now_us - before_us) * 1000 / double(time_ns) * 100);
}

std::string throttled(const StatsSubject& subject) {
    if (!comparable(subject) || !subject.figures->hasCpu() || !subject.before->hasCpu())
        return kUnknown;
    return percent(part_of_time(subject, subject.figures->getCpu().getThrottledNs(),
                                subject.before->getCpu().getThrottledNs()));
}

/// Without a figure of docker's.
Json further_fields(const StatsSubject& subject) {
    using Figures = schema::PressureFigures::Reader;
    const bool counted = subject.figures && subject.figures->hasKernel();
    const auto count = [&](uint64_t value) {
        return counted ? std::to_string(value) : std::string(kUnknown);
    };
    const auto kernel = subject.figures.value_or(nodectl::Figures()).getKernel();
    return {
        {"Throttled", throttled(subject)},
        {"WaitP50", wait_percentile(subject, 50)},
        {"WaitP99", wait_percentile(subject, 99)},
        {"IOP50", io_percentile(subject, 50)},
        {"IOP99", io_percentile(subject, 99)},
        {"PressureCPU", pressure(subject, [](const Figures& all) { return all.hasCpu(); },
                                 [](const Figures& all) -> Pressure { return all.getCpu(); })},
        {"PressureMemory",
         pressure(subject, [](const Figures& all) { return all.hasMemory(); },
                  [](const Figures& all) -> Pressure { return all.getMemory(); })},
        {"PressureIO", pressure(subject, [](const Figures& all) { return all.hasIo(); },
                                [](const Figures& all) -> Pressure { return all.getIo(); })},
        {"Switches", count(kernel.getInvoluntarySwitches())},
        {"PageFaults", subject.figures && subject.figures->hasMemory()
                           ? std::to_string(subject.figures->getMemory().getPageFaults())
                           : std::string(kUnknown)},
        {"Execs", count(kernel.getExecs())},
        {"Exits", count(kernel.getExits())},
        {"Connects", count(kernel.getTcpConnects())},
        {"Retransmits", count(kernel.getTcpRetransmits())},
        {"OOMKills", count(kernel.getOomKills())},
    };
}

std::string pair(uint64_t one, uint64_t other) {
    return human_size(one) + " / " + human_size(other);
}

/// As docker shows a container whose figures do not come any more.
Row unknown_row(const StatsSubject& subject, const std::string& id) {
    return {.fields = {{"BlockIO", kUnknown},
                       {"CPUPerc", kUnknown},
                       {"Container", subject.asked.empty() ? id : subject.asked},
                       {"ID", id},
                       {"MemPerc", kUnknown},
                       {"MemUsage", std::string(kUnknown) + " / " + kUnknown},
                       {"Name", subject.name},
                       {"NetIO", kUnknown},
                       {"PIDs", kUnknown}},
            .methods = further_fields(subject)};
}

}  // namespace

double cpu_percent(const StatsSubject& subject) {
    if (!comparable(subject) || !subject.figures->hasCpu() || !subject.before->hasCpu()) return 0;
    return part_of_time(subject, subject.figures->getCpu().getTotalNs(),
                        subject.before->getCpu().getTotalNs());
}

namespace {

using Buckets = capnp::List<uint64_t>::Reader;

/// Of what lies between two histograms in doubling steps of microseconds. Empty buckets at the end
/// of one are left out.
std::string percentile(const Buckets& now, const Buckets& before, int percent) {
    if (now.size() < before.size()) return kUnknown;
    std::vector<uint64_t> waits;
    uint64_t all = 0;
    for (unsigned i = 0; i < now.size(); i++) {
        const uint64_t old = i < before.size() ? before[i] : 0;
        waits.push_back(now[i] >= old ? now[i] - old : 0);
        all += waits.back();
    }
    if (all == 0) return kUnknown;
    size_t bucket = 0;
    for (uint64_t seen = waits[0]; seen * 100 < all * static_cast<uint64_t>(percent);)
        seen += waits[++bucket];
    const uint64_t most_us = uint64_t{2} << bucket;
    if (most_us < 1000) return std::to_string(most_us) + "µs";
    if (most_us < 1'000'000) return std::to_string(most_us / 1000) + "ms";
    return std::to_string(most_us / 1'000'000) + "s";
}

}  // namespace

std::string wait_percentile(const StatsSubject& subject, int percent) {
    if (!comparable(subject)) return kUnknown;
    return percentile(subject.figures->getKernel().getWaitUsLog2(),
                      subject.before->getKernel().getWaitUsLog2(), percent);
}

std::string io_percentile(const StatsSubject& subject, int percent) {
    if (!comparable(subject)) return kUnknown;
    return percentile(subject.figures->getKernel().getIoUsLog2(),
                      subject.before->getKernel().getIoUsLog2(), percent);
}

Row stats_row(const StatsSubject& subject, uint64_t memory_total, bool truncate) {
    const Figures figures = subject.figures.value_or(Figures());
    const std::string id = truncate ? short_id(subject.id) : subject.id;
    if (subject.gone) return unknown_row(subject, id);
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
            },
            .methods = further_fields(subject)};
}

}  // namespace noded::nodectl
