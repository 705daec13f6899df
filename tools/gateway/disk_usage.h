// DiskUsage: what each container that runs has written into its own layer.
//
// The kernel keeps no such sum: noded walks through the files of a container when it is asked. That
// is too much for each scrape, so scrapes are told what the last walk found, and begin the next one
// when the last is long enough ago. A walk goes through one container after another and waits for
// nobody; nothing is walked through while nobody scrapes. One event loop, that of main.cc.
#pragma once

#include <kj/async-io.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/gateway/node_link.h"

namespace noded::gateway {

class DiskUsage final : kj::TaskSet::ErrorHandler {
public:
    /// `period_s`: from the end of a walk until the next one may begin, at least; 0: there is none.
    DiskUsage(kj::AsyncIoContext& io, NodeLink& link, int64_t period_s);

    /// By container id, of those that run and were walked through.
    const std::map<std::string, Layer>& look(const std::vector<std::string>& running);

private:
    struct Walk;

    void taskFailed(kj::Exception&& exception) override;
    kj::Promise<void> go_on(kj::Own<Walk> walk);
    void end(const Walk& walk);

    kj::AsyncIoContext& io_;
    NodeLink& link_;
    const kj::Duration period_;
    std::map<std::string, Layer> layers_;
    bool walking_ = false;
    kj::TimePoint next_;  ///< when the next walk may begin
    kj::TaskSet tasks_;
};

}  // namespace noded::gateway
