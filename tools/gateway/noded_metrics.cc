// noded itself; see metrics.h.
#include <array>

#include "tools/gateway/metrics.h"

namespace noded::gateway {
namespace {

constexpr double kNs = 1e-9;

/// In the order of the schema's Phase.
constexpr std::array kPhases = {"requested", "created",  "starting",  "running",
                                "exited",    "removing", "restarting"};

void write_log(schema::Info::Reader info, Exposition& out) {
    const auto one = [&](const char* name, Type type, const char* help, double value) {
        out.family(name, type, help);
        out.sample("", value);
    };
    one("noded_start_time_seconds", Type::gauge, "Time at which noded was ready, in unixtime.",
        double(info.getStartedNs()) * kNs);
    one("noded_events_total", Type::counter, "Events in the log since it was begun.",
        double(info.getDurableSeq()));
    one("noded_log_bytes", Type::gauge, "What segments and snapshots of the log take.",
        double(info.getLogBytes()));
    one("noded_log_limit_bytes", Type::gauge, "What they may take, 0 for no limit.",
        double(info.getLogBytesMax()));
    one("noded_log_archive_bytes", Type::gauge, "What archives of the log take.",
        double(info.getArchiveBytes()));
    one("noded_clients", Type::gauge, "Connections of RPC clients.", double(info.getClients()));
}

}  // namespace

void write_noded(const Answers& answers, Exposition& out) {
    std::array<size_t, kPhases.size()> counts{};
    size_t paused = 0;
    for (const auto& state : answers.containers) {
        const auto phase = static_cast<size_t>(state.getPhase());
        if (state.getPaused()) ++paused;
        else if (phase < counts.size()) ++counts[phase];
    }
    out.family("noded_containers", Type::gauge, "Containers, by state.");
    for (size_t i = 0; i < counts.size(); ++i)
        out.sample(labels({{"state", kPhases[i]}}), double(counts[i]));
    out.sample(labels({{"state", "paused"}}), double(paused));
    if (!answers.info) return;
    out.family("noded_info", Type::gauge, "The node.");
    out.sample(labels({{"node", answers.info->getNodeName().cStr()},
                       {"version", answers.info->getVersion().cStr()}}),
               1);
    write_log(*answers.info, out);
}

}  // namespace noded::gateway
