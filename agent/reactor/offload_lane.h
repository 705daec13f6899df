// The offload lane: a bounded queue of calls that block, and the few threads that make them.
//
// Work of one owner (Completion::offload_owner) runs in order, one after another, so that a plugin
// need not fear its own work, and an import does not delay another plugin's.
//
// Invariants: every accepted piece of work is handed back exactly once, through take_done() on the
// loop's thread; at most limits::offload_queue_max are accepted and not yet handed back. Threads
// start with the first piece of work, so that a process that never blocks pays nothing. Used by
// UringReactor alone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/reactor/reactor.h"

namespace noded::reactor {

class OffloadLane {
public:
    struct Done {
        Completion* completion;
        int32_t result;
    };

    /// `wake` is called from a lane thread after something was added to what take_done() returns.
    explicit OffloadLane(std::function<void()> wake) : wake_(std::move(wake)) {}
    ~OffloadLane() { stop(); }

    /// False if the lane is full; then nothing happens.
    bool add(std::function<int32_t()> work, Completion& completion);

    /// Takes back work that no thread has begun; false if there is none of this completion.
    bool remove(Completion& completion);

    /// What has finished since the last call.
    std::vector<Done> take_done();

    /// Waits for what runs; what was queued comes back as -ECANCELED through take_done().
    void stop();

private:
    struct Work {
        std::function<int32_t()> call;
        Completion* completion;
        const void* owner;
    };

    std::deque<Work>::iterator next();
    void run();
    void start_threads();

    std::function<void()> wake_;
    std::mutex mutex_;
    std::condition_variable queued_;
    std::deque<Work> queue_;
    std::vector<const void*> busy_;  ///< owners whose work runs now
    std::vector<Done> done_;
    size_t accepted_ = 0;  // Loop thread only: handed in and not yet handed back.
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace noded::reactor
