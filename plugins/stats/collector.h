// Collector: takes one sample of the node and of all containers. Where an eBPF program reads the
// kernel's own figures, all containers cost one call and files are read only for what else they
// tell, when that may have changed; elsewhere everything is in files, which stay open.
//
// Runs on the offload lane, one call at a time; owns all that it touches. A file that cannot be
// read leaves out its figures, a container without any leaves out its row: nobody else's sample
// suffers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "plugins/stats/places.h"
#include "plugins/stats/sample.h"
#include "plugins/stats/sys.h"

namespace noded::stats {

class Collector {
public:
    explicit Collector(std::shared_ptr<Sys> sys);
    ~Collector();

    /// All figures of now; the rows are in the order of the targets. Files of containers that are
    /// not among them are closed. The same list again costs no look at who is new or gone.
    /// `follow` attaches what counts on the scheduler's path, or takes it away. `sample` is one of
    /// before, or an empty one: of another only the memory is used.
    void take(const Targets& targets, bool node_wanted, bool follow, Sample& sample);
    /// The next sample follows another one so soon that what was read of pressure for that one
    /// would be taken for now.
    void read_pressure_anew() { pressure_anew_ = true; }
    void follow_scheduler(bool follow);
    /// Begins to count in the kernel for those that are new, and ends it for those that are gone.
    /// Called by take for a list that is new.
    KernelState watch(const std::vector<Target>& targets);
    /// The same for those that have just started, so that little is missed, without a look at who
    /// is gone.
    KernelState watch_more(const std::vector<Target>& targets);
    /// Closes all files: nobody asks any more, and an open file holds what it tells of in memory.
    void release();

    /// Where figures come from, and what this machine lacks. Constant.
    const std::vector<std::string>& sources() const { return sources_; }
    const std::vector<std::string>& warnings() const { return warnings_; }

private:
    struct Files;
    struct NodeFiles;
    /// What is known of one run of a container from one sample to the next.
    struct Entry {
        Entry();
        Entry(Entry&&) noexcept;
        Entry& operator=(Entry&&) noexcept;
        ~Entry();

        uint32_t run = 0;
        uint64_t cgroup_id = 0;  ///< 0: it is not counted for
        uint32_t tries = 0;
        std::unique_ptr<Files> files;
        const Counted* counted = nullptr;  ///< once it was looked for
        uint64_t round = 0;                ///< in which it was seen last
    };

    void discover();
    void load_counters();
    bool runs_still(const Target& target);
    std::unique_ptr<Files> find_files(const Target& target);
    bool sample_container(const Target& target, Entry& entry, Sample& sample);
    bool read_container(const Target& target, Files& files, const Counted* counted,
                        ContainerFigures& out);
    void read_cpu(Files& files, const Group& group, ContainerFigures& out);
    void read_memory(Files& files, const Group& group, ContainerFigures& out);
    void read_io(Files& files, const Group& group, ContainerFigures& out);
    void read_pressure(Files& files, const Group& group, ContainerFigures& out);
    void read_network(const Target& target, Files& files, const Group& group,
                      ContainerFigures& out);
    void read_node(NodeFigures& node);
    std::vector<Filesystem> measured_filesystems();
    std::unique_ptr<File> open(const std::string& folder, const char* name);
    void find_group(const Target& target, Entry& entry);
    std::string who_updates(const std::string& folder) const;
    void forget(const Entry& entry);
    void read_counters();
    KernelState kernel_state() const { return counters_ ? counters_->state() : kernel_; }
    void fetch_ahead(size_t at) const;

    const std::shared_ptr<Sys> sys_;
    std::vector<Mount> mounts_;
    std::vector<std::string> sources_, warnings_;
    std::unique_ptr<NodeFiles> node_;
    std::unordered_map<uint64_t, Entry> entries_;  ///< by key
    std::vector<Entry*> met_;  ///< those of the targets that were looked at last, in their order
    Targets known_;            ///< these, if all were looked at that run
    bool settled_ = false;     ///< there is none among them that may be counted for next time
    uint64_t round_ = 0;
    size_t files_open_max_ = 0;
    /// Files of the groups above containers, or of their own: whoever reads them brings what is
    /// below up to date.
    std::map<std::string, std::unique_ptr<File>> above_;
    bool updates_all_ = true;  ///< none was missing
    std::unique_ptr<Counters> counters_;
    bool counters_tried_ = false;
    bool pressure_anew_ = false;
    KernelState kernel_;  ///< while there are no counters
    const Counters::Table* counted_ = nullptr;  ///< of the newest sample
};

}  // namespace noded::stats
