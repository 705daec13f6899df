// PluginWatch: notices files that are dropped into the plugin directory while noded runs.
//
// A file counts once it is complete: closed after writing, moved in, or linked. main opens the
// watch before it loads the directory, so that nothing falls between the two. Loading waits for the
// end of a turn in which the pipeline is quiescent, because a late plugin folds what is durable and
// nothing else.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/reactor/reactor.h"

namespace noded::host {

class PluginWatch final : reactor::Completion {
public:
    PluginWatch(reactor::Reactor& reactor, Host& host, core::Pipeline& pipeline)
        : reactor_(reactor), host_(host), pipeline_(pipeline) {}

    Status open(const std::string& directory);
    /// Once per turn: loads what appeared.
    void turn_end();

private:
    void complete(int32_t result, bool more) override;
    void read_names();

    reactor::Reactor& reactor_;
    Host& host_;
    core::Pipeline& pipeline_;
    std::string directory_;
    Fd inotify_;
    std::vector<std::string> appeared_;
};

}  // namespace noded::host
