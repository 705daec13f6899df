// A kernel in memory for tests of the stats plugin: files by path, which may change and vanish
// while they are open.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "plugins/stats/sys.h"

namespace noded::stats {

class FakeSys final : public Sys {
public:
    Result<std::unique_ptr<File>> open(const std::string& path) override;
    int64_t monotonic_ns() override { return now_ns; }
    int64_t realtime_ns() override { return now_ns + 1'700'000'000'000'000'000; }
    uint64_t ticks_per_second() override { return 100; }
    size_t files_max() override { return files_allowed; }

    bool measure(Filesystem& filesystem) override;
    uint64_t cgroup_id(const std::string& folder) override;
    Result<std::unique_ptr<Counters>> load_counters(const std::string& mount) override;

    /// Removes what begins with it, open or not.
    void remove(const std::string& prefix);

    std::map<std::string, std::string> files;
    int64_t now_ns = 0;
    size_t files_allowed = 4096;
    std::map<std::string, uint64_t> cgroup_ids;  ///< by folder
    std::string counters_refusal;                ///< why the kernel takes no programs
    Counters::Table counted;                     ///< of those that are watched, by cgroup id
    Watch watched;                               ///< the newest
    bool groups_read = false;                    ///< Counted::group is what the test filled in
    bool scheduler_followed = false;
    bool cgroups_hidden = false;                 ///< for now
    size_t open_now = 0;
    size_t opens = 0;
    std::set<std::string> opened;  ///< ever
    size_t reads = 0;
};

/// A machine with the hybrid cgroup mounts, or v2 alone, and nothing running.
void fill_machine(FakeSys& sys, bool v2_only);
/// A process in a cgroup of its own below `parent`, with figures made of `n`.
void fill_container(FakeSys& sys, bool v2_only, const std::string& id, uint32_t pid, uint64_t n,
                    const std::string& parent = "/noded/0badcafe");

}  // namespace noded::stats
