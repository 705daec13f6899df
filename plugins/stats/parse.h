// The kernel's text into figures. Pure; whatever is not understood is left out, never an error: a
// newer kernel may write more, an older one less.
//
// Formats: the kernel's admin-guide/cgroup-v1/, cgroup-v2.rst, accounting/psi.rst, iostats.rst, and
// proc(5).
#pragma once

#include <string_view>

#include "plugins/stats/sample.h"

namespace noded::stats {

/// The number behind "key " at the beginning of a line; nothing if there is none.
std::optional<uint64_t> value_of(std::string_view text, std::string_view key);
/// A file of one number. "max", and what is so large that no machine has it, is 0: no limit.
std::optional<uint64_t> parse_value(std::string_view text);

/// v2 cpu.stat; nothing if it has no usage_usec.
std::optional<Cpu> parse_cpu_stat(std::string_view text);
/// v1 cpu.stat: the throttling, into `cpu`.
void parse_throttling_v1(std::string_view text, Cpu& cpu);
/// memory.stat; `v1` has its own names. Fills all but usage, limit and the working set.
void parse_memory_stat(std::string_view text, bool v1, Memory& memory);
/// v2 io.stat, the sum over all devices.
Io parse_io_stat(std::string_view text);
/// v1 blkio.throttle.io_service_bytes_recursive and io_serviced_recursive.
Io parse_blkio(std::string_view bytes, std::string_view operations);
std::optional<Pressure> parse_pressure(std::string_view text);

/// /proc/net/dev, one entry per interface.
std::vector<Network> parse_net_dev(std::string_view text);
/// Of all of them.
Net sum_of(const std::vector<Network>& networks);
/// /proc/diskstats, those that were ever used.
std::vector<Disk> parse_diskstats(std::string_view text);
/// /proc/stat.
void parse_stat(std::string_view text, uint64_t ticks_per_second, NodeFigures& node);
NodeMemory parse_meminfo(std::string_view text);
/// Each line of it.
std::vector<MemoryItem> parse_meminfo_items(std::string_view text);
/// /proc/self/mountinfo: what is mounted from disks of this machine, without the figures. What is
/// on a network is left out, since a look at it may hang.
std::vector<Filesystem> parse_filesystems(std::string_view mountinfo);
Load parse_loadavg(std::string_view text);

}  // namespace noded::stats
