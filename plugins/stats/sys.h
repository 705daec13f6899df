// Sys: what the stats plugin reads of the kernel. sys_linux.cc is the kernel, sys_fake.cc keeps
// files in memory.
//
// Used on the offload lane, by one job at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/stats/counters.h"

namespace noded::stats {

/// A file of /proc or of a cgroup that is kept open: each read begins at its start.
class File {
public:
    virtual ~File() = default;
    /// What stands there now, valid until the next read of any file of the same Sys. An error when
    /// what it told of is gone: ENODEV of a removed cgroup, ESRCH of a process.
    virtual Result<std::string_view> read() = 0;
    /// Of the list of mounts alone: whether it may tell something else than when this was asked
    /// last. A look that costs a tenth of a read.
    virtual bool changed() = 0;
};

class Sys {
public:
    virtual ~Sys() = default;
    virtual Result<std::unique_ptr<File>> open(const std::string& path) = 0;
    virtual int64_t monotonic_ns() = 0;
    virtual int64_t realtime_ns() = 0;
    /// Of the times in /proc/stat.
    virtual uint64_t ticks_per_second() = 0;
    /// How many descriptors this process may have.
    virtual size_t files_max() = 0;
    /// Fills the figures of a mounted file system; false if there are none.
    virtual bool measure(Filesystem& filesystem) = 0;
    /// By which eBPF knows a cgroup: the number of its folder in the v2 tree; 0 if it is gone.
    virtual uint64_t cgroup_id(const std::string& folder) = 0;
    virtual Result<std::unique_ptr<Counters>> load_counters(const std::string& mount) = 0;
};

/// What loads the programs that count for the v2 tree mounted there: load_bpf_counters, or what
/// says why nothing shall count.
using LoadCounters = Result<std::unique_ptr<Counters>> (*)(const std::string& mount);
std::shared_ptr<Sys> linux_sys(LoadCounters load);

/// Opens, reads and closes.
Result<std::string> read_once(Sys& sys, const std::string& path);

}  // namespace noded::stats
