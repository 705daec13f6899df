// Collector: takes one sample of the node and of all containers, from files that stay open.
//
// Runs on the offload lane, one call at a time; owns all that it touches. A file that cannot be
// read leaves out its figures, a container without any leaves out its row: nobody else's sample
// suffers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/stats/places.h"
#include "plugins/stats/sample.h"
#include "plugins/stats/sys.h"

namespace noded::stats {

/// One container that runs, as the log knows it.
struct Target {
    std::string id, name, image;
    uint32_t run = 0;
    uint32_t pid = 0;
    uint64_t pid_start_time = 0;
    bool host_network = false;  ///< whose figures are the node's
    bool wanted = true;         ///< otherwise its files only stay open
};

class Collector {
public:
    explicit Collector(std::shared_ptr<Sys> sys);
    ~Collector();

    /// All figures of now; the rows are in the order of the targets. Files of containers that are
    /// not among them are closed.
    /// `follow` attaches what counts on the scheduler's path, which stays until it is told else.
    Sample take(const std::vector<Target>& targets, bool node_wanted = true, bool follow = true);
    void follow_scheduler(bool follow);
    /// Begins to count in the kernel for those that are new, and ends it for those that are gone.
    /// Called by take, and when a container has started, so that little is missed.
    KernelState watch(const std::vector<Target>& targets);
    /// Closes all files: nobody asks any more, and an open file holds what it tells of in memory.
    void release();

    /// Where figures come from, and what this machine lacks. Constant.
    const std::vector<std::string>& sources() const { return sources_; }
    const std::vector<std::string>& warnings() const { return warnings_; }

private:
    struct Files;
    struct NodeFiles;

    void discover();
    std::unique_ptr<Files> open_files(const Target& target);
    bool sample_container(const Target& target, Files& files, Sample& sample);
    bool read_container(const Target& target, Files& files, ContainerFigures& out);
    void read_node(NodeFigures& node);
    std::unique_ptr<File> open(const std::string& folder, const char* name);
    uint64_t find_cgroup(const Target& target, uint64_t& blkio_id);
    void count_in_kernel(const Places& places);

    const std::shared_ptr<Sys> sys_;
    std::vector<Mount> mounts_;
    std::vector<std::string> sources_, warnings_;
    std::unique_ptr<NodeFiles> node_;
    std::map<std::string, std::unique_ptr<Files>> files_;  ///< by id
    size_t files_open_max_ = 0;

    struct Watched {
        uint32_t run = 0;
        uint64_t cgroup_id = 0;  ///< 0: it is not counted for
        uint32_t tries = 0;
    };
    std::map<std::string, Watched> watched_;  ///< by id
    std::unique_ptr<Counters> counters_;
    bool counters_tried_ = false;
    KernelState kernel_;  ///< while there are no counters
    std::map<uint64_t, Kernel> kernel_figures_;  ///< of the newest sample
};

}  // namespace noded::stats
