// Walks through containers' files, see disk_usage.h.
#include "tools/gateway/disk_usage.h"

#include <algorithm>
#include <set>
#include <utility>

#include "tools/gateway/limits.h"

namespace noded::gateway {

struct DiskUsage::Walk {
    std::vector<std::string> ids;
    size_t at = 0;
    kj::TimePoint begun;
};

DiskUsage::DiskUsage(kj::AsyncIoContext& io, NodeLink& link, int64_t period_s)
    : io_(io),
      link_(link),
      period_(period_s * kj::SECONDS),
      next_(io.provider->getTimer().now()),
      tasks_(*this) {}

const std::map<std::string, Layer>& DiskUsage::look(const std::vector<std::string>& running) {
    const std::set<std::string> known(running.begin(), running.end());
    std::erase_if(layers_, [&](const auto& entry) { return !known.contains(entry.first); });
    const kj::TimePoint now = io_.provider->getTimer().now();
    if (period_ == 0 * kj::SECONDS || walking_ || now < next_ || running.empty()) return layers_;
    walking_ = true;
    auto walk = kj::heap<Walk>(Walk{running, 0, now});
    tasks_.add(kj::evalLater(
        [this, walk = kj::mv(walk)]() mutable { return go_on(kj::mv(walk)); }));
    return layers_;
}

/// One that cannot be walked through, because it is gone or for another reason, has no figure.
kj::Promise<void> DiskUsage::go_on(kj::Own<Walk> walk) {
    if (walk->at == walk->ids.size()) {
        end(*walk);
        return kj::READY_NOW;
    }
    const std::string id = walk->ids[walk->at++];
    return link_.layer(id)
        .then([this, id](Layer layer) { layers_[id] = std::move(layer); },
              [this, id](kj::Exception&&) { layers_.erase(id); })
        .then([this, walk = kj::mv(walk)]() mutable { return go_on(kj::mv(walk)); });
}

/// Who has many files is not walked through all the time.
void DiskUsage::end(const Walk& walk) {
    const kj::TimePoint now = io_.provider->getTimer().now();
    next_ = now + std::max(period_, (now - walk.begun) * limits::walk_rest);
    walking_ = false;
}

void DiskUsage::taskFailed(kj::Exception&&) { walking_ = false; }

}  // namespace noded::gateway
