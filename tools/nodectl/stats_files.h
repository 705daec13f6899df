// StatsFiles: samples that nodectl takes itself, of the kernel's files, where the node has not
// loaded the plugin stats. They have what the files tell and nothing that eBPF counts. Called by
// stats.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "plugins/stats/collector.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

class StatsFiles {
public:
    explicit StatsFiles(Session& session);

    /// What the plugin would answer: two samples at first, then the next one, a second after the
    /// one before. Of all containers that run.
    Result<std::unique_ptr<capnp::MessageBuilder>> read();

private:
    Result<stats::Targets> targets();
    Result<stats::Sample> take(int64_t pause_ms);

    Session& session_;
    stats::Collector collector_;
    std::map<std::string, std::shared_ptr<const stats::Who>> known_;   ///< by id
    uint64_t seq_ = 0;
};

}  // namespace noded::nodectl
