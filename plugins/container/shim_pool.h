// ShimPool: what starts need and can be made before anybody asks for a container. A few shims wait,
// each with its spare namespaces and with a set of empty folders that a start renames: a group in
// every v1 hierarchy, in which the shim's zygote sits already, and a log folder.
//
// Making one is two milliseconds of kernel work on two threads, in which a start that is under way
// would have to share the CPUs. So the pool is filled in quiet moments (quiet.h), one at a time;
// while starts come close behind one another only when nothing is left. A burst is served from the
// pool; starts without end are as fast as shims can be made. A burst that takes all makes the pool
// larger, until no start has come for some seconds.
//
// Lives on the reactor; the work is done on the offload lane.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/cgroup.h"
#include "plugins/container/shim_link.h"
#include "plugins/container/sys.h"
#include "plugins/sdk/host.h"
#include "plugins/sdk/quiet.h"

namespace noded::container {

/// A shim that waits, watched, and the name of its folders; empty when it has none.
struct ReadyShim {
    std::unique_ptr<ShimLink> link;
    std::string folders;
    std::string stamp;  ///< of the host's resolv.conf, of which its spare has a copy
};

class ShimPool {
public:
    /// `user` hears of shims that were taken, and of the end of one that was not: see lost().
    /// `reap_when_ended` is given pidfds of shims that were told to end.
    ShimPool(sdk::Host host, std::shared_ptr<Sys> sys, const sdk::Quiet& quiet, ShimUser& user,
             std::function<void(Fd)> reap_when_ended);
    ShimPool(const ShimPool&) = delete;
    ShimPool& operator=(const ShimPool&) = delete;

    /// Begins to fill itself, after removing what a node before this one left.
    void begin(std::shared_ptr<const Cgroups> cgroups);
    /// Nothing is made any more; what waits, and `others`, have ended and are removed. Before the
    /// destructor, while the host lives.
    void stop(std::vector<ReadyShim> others);

    /// One for container `id`; its link is nullptr when none waits. One whose copy of resolv.conf
    /// is out of date is let go.
    ReadyShim take(const std::string& id);
    /// One that was taken and is not needed: it ends, and what it has is removed.
    void let_go(ReadyShim ready);
    /// One that is made on the spot, without folders.
    Result<ReadyShim> make(const std::string& id);
    /// What a start did not rename is removed some time after its shim has left it.
    void leave(std::string folders) { left_.push_back(std::move(folders)); }
    std::string log_folder(const std::string& folders) const;
    /// True if `link` was one that waited: it is gone.
    bool lost(ShimLink& link);

private:
    struct Work;

    Result<std::unique_ptr<ShimLink>> link_to(Result<SpawnedShim> shim);
    std::string next_name();
    void fill_in(int64_t delay_ns);
    static void fill(void* self, void* argument) noexcept;
    void make_one();
    void made(Work& work);
    void refill();
    void grow();
    static void shrink(void* self, void* argument) noexcept;
    Fd tell_to_end(ReadyShim& ready);

    sdk::Host host_;
    std::shared_ptr<Sys> sys_;
    const sdk::Quiet& quiet_;
    ShimUser& user_;
    std::function<void(Fd)> reap_when_ended_;
    std::shared_ptr<const Cgroups> cgroups_;
    std::deque<ReadyShim> idle_;
    std::vector<std::string> left_;  ///< names of folders that nobody needs
    uint64_t names_ = 0;
    size_t wanted_ = 0;  ///< so many shall wait
    int64_t taken_ns_ = 0;  ///< when the last one was
    uint64_t timer_ = 0, shrink_timer_ = 0;
    std::shared_ptr<Work> work_;  ///< on the lane
};

}  // namespace noded::container
