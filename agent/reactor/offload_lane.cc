// The offload lane; see the header.
#include "agent/reactor/offload_lane.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "agent/base/check.h"
#include "agent/limits.h"

namespace noded::reactor {

bool OffloadLane::add(std::function<int32_t()> work, Completion& completion) {
    if (accepted_ >= limits::offload_queue_max) return false;
    if (threads_.empty()) start_threads();
    ++accepted_;
    {
        std::lock_guard lock(mutex_);
        CHECK(!stopping_);
        queue_.push_back({std::move(work), &completion, completion.offload_owner()});
    }
    queued_.notify_one();
    return true;
}

bool OffloadLane::remove(Completion& completion) {
    std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(queue_, &completion, &Work::completion);
    if (found == queue_.end()) return false;
    queue_.erase(found);
    --accepted_;
    return true;
}

std::vector<OffloadLane::Done> OffloadLane::take_done() {
    std::vector<Done> taken;
    {
        std::lock_guard lock(mutex_);
        taken.swap(done_);
    }
    CHECK(taken.size() <= accepted_);
    accepted_ -= taken.size();
    return taken;
}

void OffloadLane::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
        for (Work& work : queue_) done_.push_back({work.completion, -ECANCELED});
        queue_.clear();
    }
    queued_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void OffloadLane::start_threads() {
    // Signals belong to the loop: a lane thread must never be the one that the kernel picks for
    // them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < limits::offload_threads; ++i) threads_.emplace_back([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// The oldest whose owner has nothing running. The last free thread is for noded's own work alone.
std::deque<OffloadLane::Work>::iterator OffloadLane::next() {
    const auto plugins = busy_.size() - size_t(std::ranges::count(busy_, nullptr));
    const bool own_only = plugins + 1 >= limits::offload_threads;
    return std::ranges::find_if(queue_, [&](const Work& work) {
        return std::ranges::find(busy_, work.owner) == busy_.end() &&
               (work.owner == nullptr || !own_only);
    });
}

void OffloadLane::run() {
    pthread_setname_np(pthread_self(), "offload");
    std::unique_lock lock(mutex_);
    for (;;) {
        queued_.wait(lock, [this] { return stopping_ || next() != queue_.end(); });
        if (stopping_) return;
        const auto at = next();
        Work work = std::move(*at);
        queue_.erase(at);
        busy_.push_back(work.owner);
        lock.unlock();
        const int32_t result = work.call();
        // What the work owns is released here, before its owner hears of the end.
        work.call = nullptr;
        lock.lock();
        busy_.erase(std::ranges::find(busy_, work.owner));
        done_.push_back({work.completion, result});
        // This thread takes one piece; what its owner has next may be for another thread. One that
        // would find nothing is not woken.
        const bool more = !queue_.empty();
        // Without the lock: who is woken takes it first.
        lock.unlock();
        wake_();
        if (more) queued_.notify_one();
        lock.lock();
    }
}

}  // namespace noded::reactor
