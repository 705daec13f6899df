// See quiet.h.
#include "plugins/sdk/quiet.h"

#include <algorithm>

namespace noded::sdk {
namespace {

/// Between two things, so that a start that comes meets one of them and not all.
constexpr int64_t kApartNs = 1'000'000;

}  // namespace

void Quiet::disturb() { quiet_from_ns_ = host_.monotonic_ns() + quiet_ns; }

int64_t Quiet::left_ns() const {
    return std::max<int64_t>(quiet_from_ns_ - host_.monotonic_ns(), 0);
}

void Quiet::put_off(std::function<void()> work) {
    put_off_.push_back({host_.monotonic_ns() + longest_ns, std::move(work)});
    if (put_off_.size() > put_off_max_) return look_again(0);
    if (timer_ == 0) look_again(left_ns());
}

void Quiet::stop() {
    stop_timer();
    put_off_.clear();
}

void Quiet::stop_timer() {
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
}

void Quiet::do_oldest() {
    const std::function<void()> work = std::move(put_off_.front().work);
    put_off_.pop_front();
    work();
}

bool Quiet::is_due() const {
    return put_off_.size() > put_off_max_ || put_off_.front().due_ns <= host_.monotonic_ns();
}

void Quiet::work_off() {
    while (!put_off_.empty() && is_due()) do_oldest();
    if (!put_off_.empty() && left_ns() == 0) do_oldest();
    if (put_off_.empty()) return;
    const int64_t due_ns = put_off_.front().due_ns - host_.monotonic_ns();
    look_again(std::min(std::max(left_ns(), kApartNs), due_ns));
}

void Quiet::fire(void*, void* argument) noexcept {
    auto& quiet = *static_cast<Quiet*>(argument);
    quiet.timer_ = 0;
    quiet.work_off();
}

/// Without a timer nobody would come back to it, so then all is done now.
void Quiet::look_again(int64_t delay_ns) {
    stop_timer();
    timer_ = host_.start_timer(delay_ns, fire, this);
    while (timer_ == 0 && !put_off_.empty()) do_oldest();
}

}  // namespace noded::sdk
