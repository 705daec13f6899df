// See shim_pool.h.
#include "plugins/container/shim_pool.h"

#include <algorithm>
#include <mutex>

#include "plugins/container/limits.h"

namespace noded::container {

/// What the lane does: removes what is left, as far as it is free, and makes one.
struct ShimPool::Work {
    std::mutex mutex;
    bool unwanted = false;
    std::vector<std::string> left;
    std::string folders;
    std::string stamp;
    Result<SpawnedShim> shim = fail("a shim was not spawned");
};

namespace {

/// After a start that took the last one, while its shim makes the container: at its end the client
/// waits.
constexpr int64_t kUrgentNs = 100'000;
/// Between two that are made.
constexpr int64_t kApartNs = 10'000'000;
/// After a burst.
constexpr int64_t kShrinkNs = 10'000'000'000;
/// After one could not be made.
constexpr int64_t kAgainNs = 1'000'000'000;
/// Shims that were told to end do so at once.
constexpr int64_t kEndNs = 1'000'000'000;
constexpr const char* kResolvConf = "/etc/resolv.conf";

}  // namespace

ShimPool::ShimPool(sdk::Host host, std::shared_ptr<Sys> sys, const sdk::Quiet& quiet,
                   ShimUser& user, std::function<void(Fd)> reap_when_ended)
    : host_(host),
      sys_(std::move(sys)),
      quiet_(quiet),
      user_(user),
      reap_when_ended_(std::move(reap_when_ended)) {}

void ShimPool::begin(std::shared_ptr<const Cgroups> cgroups) {
    cgroups_ = std::move(cgroups);
    wanted_ = limits::idle_shims;
    left_ = cgroups_->spares();
    for (std::string& name : sys_->folders_in(host_.state_dir()))
        if (name.starts_with(spare_group_prefix) && std::ranges::count(left_, name) == 0)
            left_.push_back(std::move(name));
    fill_in(kUrgentNs);
}

std::string ShimPool::log_folder(const std::string& folders) const {
    return host_.state_dir() + "/" + folders;
}

Result<std::unique_ptr<ShimLink>> ShimPool::link_to(Result<SpawnedShim> shim) {
    SpawnedShim spawned = TRY(std::move(shim));
    auto link = std::make_unique<ShimLink>(host_, user_, "", std::move(spawned.control),
                                           std::move(spawned.pidfd), uint32_t(spawned.pid));
    if (!link->start()) return fail("watch the socket of a shim: the host has no watch left");
    return link;
}

ReadyShim ShimPool::take(const std::string& id) {
    ReadyShim ready;
    const std::string stamp = idle_.empty() ? "" : sys_->stamp(kResolvConf);
    while (!ready.link && !idle_.empty()) {
        ready = std::move(idle_.front());
        idle_.pop_front();
        if (ready.stamp != stamp) let_go(std::exchange(ready, {}));
    }
    if (ready.link) ready.link->adopt(id);
    taken_ns_ = host_.monotonic_ns();
    if (ready.link && idle_.empty()) grow();
    fill_in(idle_.empty() ? kUrgentNs : quiet_.left_ns());
    return ready;
}

void ShimPool::grow() {
    if (cgroups_ == nullptr) return;
    wanted_ = std::min(2 * wanted_, limits::idle_shims_after_burst);
    if (shrink_timer_ == 0) shrink_timer_ = host_.start_timer(kShrinkNs, shrink, this);
}

void ShimPool::shrink(void*, void* argument) noexcept {
    auto& pool = *static_cast<ShimPool*>(argument);
    const int64_t left_ns = pool.taken_ns_ + kShrinkNs - pool.host_.monotonic_ns();
    pool.shrink_timer_ = left_ns > 0 ? pool.host_.start_timer(left_ns, shrink, argument) : 0;
    if (pool.shrink_timer_ != 0) return;
    pool.wanted_ = limits::idle_shims;
    while (pool.idle_.size() > pool.wanted_) {
        pool.let_go(std::move(pool.idle_.back()));
        pool.idle_.pop_back();
    }
    pool.fill_in(kApartNs);
}

void ShimPool::let_go(ReadyShim ready) {
    if (ready.link) reap_when_ended_(tell_to_end(ready));
}

/// A socket that was watched stays open for a while, so the shim is told; its zygote ends before
/// it. Returns its pidfd.
Fd ShimPool::tell_to_end(ReadyShim& ready) {
    (void)ready.link->send(ControlType::release, 0, 0, {});
    ready.link->stop();
    if (!ready.folders.empty()) leave(std::move(ready.folders));
    return ready.link->take_pidfd();
}

Result<ReadyShim> ShimPool::make(const std::string& id) {
    ReadyShim ready{TRY(link_to(sys_->spawn_shim(host_.libexec_dir() + "/shim", {}))), "", ""};
    ready.link->adopt(id);
    return ready;
}

bool ShimPool::lost(ShimLink& link) {
    const auto there =
        std::ranges::find_if(idle_, [&](auto& ready) { return ready.link.get() == &link; });
    if (there == idle_.end()) return false;
    leave(std::move(there->folders));
    idle_.erase(there);
    fill_in(kAgainNs);
    return true;
}

/// None that a folder has which is still to be removed.
std::string ShimPool::next_name() {
    std::string name;
    do {
        name = std::string(spare_group_prefix) + std::to_string(names_++);
    } while (std::ranges::count(left_, name) > 0);
    return name;
}

/// The pool is looked at then, or before if that was said already; sooner when it is empty.
void ShimPool::fill_in(int64_t delay_ns) {
    if (cgroups_ == nullptr || work_) return;
    if (timer_ != 0 && delay_ns != kUrgentNs) return;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = host_.start_timer(delay_ns, fill, this);
}

void ShimPool::fill(void*, void* argument) noexcept {
    auto& pool = *static_cast<ShimPool*>(argument);
    pool.timer_ = 0;
    const int64_t left_ns = pool.quiet_.left_ns();
    if (left_ns == 0 || pool.idle_.empty()) return pool.make_one();
    pool.fill_in(left_ns);
}

void ShimPool::make_one() {
    const bool short_of = idle_.size() < wanted_;
    if (!short_of && left_.empty()) return;
    work_ = std::make_shared<Work>();
    if (short_of) work_->folders = next_name();
    work_->left = std::exchange(left_, {});
    auto job = [work = work_, sys = sys_, cgroups = cgroups_,
                program = host_.libexec_dir() + "/shim", state_dir = host_.state_dir()] {
        std::lock_guard lock(work->mutex);
        if (work->unwanted) return;
        std::erase_if(work->left, [&](const std::string& name) {
            return cgroups->remove(name) && sys->remove_folder(state_dir + "/" + name);
        });
        if (work->folders.empty()) return;
        const SpareGroups groups = cgroups->make_spare(work->folders);
        (void)sys->make_folder(state_dir + "/" + work->folders, Sys::log_folder_mode);
        work->stamp = sys->stamp(kResolvConf);
        work->shim = sys->spawn_shim(program, groups);
    };
    const bool begun = host_.offload(std::move(job), [this, work = work_] {
        if (!work->unwanted) made(*work);
    });
    if (begun) return;
    // Then the next start makes for itself what it needs.
    left_ = std::move(work_->left);
    work_.reset();
}

void ShimPool::made(Work& work) {
    const std::shared_ptr<Work> kept = std::move(work_);
    std::ranges::move(work.left, std::back_inserter(left_));
    if (work.folders.empty()) return refill();
    auto link = link_to(std::move(work.shim));
    if (!link) {
        leave(std::move(work.folders));
        host_.warn(link.error().message);
        return fill_in(kAgainNs);
    }
    ReadyShim ready{std::move(*link), std::move(work.folders), std::move(work.stamp)};
    if (idle_.size() < wanted_) idle_.push_back(std::move(ready));
    else let_go(std::move(ready));   // the pool was made smaller meanwhile
    refill();
}

/// What is left may have to be waited for: zygotes that were told to end are still in their groups.
void ShimPool::refill() {
    if (idle_.size() < wanted_) fill_in(idle_.empty() ? kUrgentNs : kApartNs);
    else if (!left_.empty()) fill_in(kAgainNs);
}

/// The zygotes end before their shims, and then the groups are free.
void ShimPool::stop(std::vector<ReadyShim> others) {
    for (uint64_t* timer : {&timer_, &shrink_timer_}) {
        if (*timer != 0) host_.stop_timer(*timer);
        *timer = 0;
    }
    std::vector<Fd> ending;
    if (work_) {
        std::lock_guard lock(work_->mutex);
        work_->unwanted = true;
        if (work_->shim) ending.push_back(std::move(work_->shim->pidfd));
        work_->shim = fail("no shim is needed any more");
        std::ranges::move(work_->left, std::back_inserter(left_));
        if (!work_->folders.empty()) leave(work_->folders);
    }
    work_.reset();
    std::ranges::move(idle_, std::back_inserter(others));
    idle_.clear();
    for (ReadyShim& ready : others)
        if (ready.link) ending.push_back(tell_to_end(ready));
    const int64_t deadline_ns = host_.monotonic_ns() + kEndNs;
    for (const Fd& end : ending)
        sys_->await_end(end.get(), std::max<int64_t>(deadline_ns - host_.monotonic_ns(), 0));
    for (const std::string& name : left_) {
        if (cgroups_) (void)cgroups_->remove(name);
        (void)sys_->remove_folder(log_folder(name));
    }
    cgroups_.reset();
}

}  // namespace noded::container
