// What a container uses as docker stats shows it: counters of two samples into percentages and
// sizes. Pure. Called by stats.cc.
#pragma once

#include <optional>
#include <string>

#include "schemas/stats.capnp.h"
#include "tools/nodectl/rows.h"

namespace noded::nodectl {

using Figures = schema::ContainerFigures::Reader;

/// A row of the table; `figures` is absent for a container that does not run.
struct StatsSubject {
    std::string id;
    std::string name;
    std::string asked;  ///< as the user named it; empty if nobody did
    std::optional<Figures> figures;
    std::optional<Figures> before;  ///< of an earlier sample
    bool gone = false;  ///< removed since the user named it: shown as "--"
};

/// CPU time between the two samples, 100 for one CPU that was busy all the time; 0 where there is
/// no earlier sample of the same run.
double cpu_percent(const StatsSubject& subject);

/// What so many per cent of the waits for a CPU between the two samples took at most: "128µs", by
/// doubling steps; "--" where nothing is known or nobody waited.
std::string wait_percentile(const StatsSubject& subject, int percent);

/// The same of requests of block devices.
std::string io_percentile(const StatsSubject& subject, int percent);

/// `memory_total` is shown as the limit of a container that has none. Beside docker's fields there
/// are, for templates, those that docker does not know: Throttled, WaitP50, WaitP99, IOP50, IOP99,
/// PressureCPU, PressureMemory, PressureIO, Retransmits, OOMKills.
Row stats_row(const StatsSubject& subject, uint64_t memory_total, bool truncate);

}  // namespace noded::nodectl
