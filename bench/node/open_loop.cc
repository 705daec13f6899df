// See open_loop.h.
#include "bench/node/open_loop.h"

#include <cstdio>

#include "agent/base/time_slice.h"

namespace noded::bench {

namespace {

constexpr int64_t kEveryUs = 1000;
constexpr double kBeforeUs = 0.5e6, kAfterUs = 0.5e6, kLongestUs = 40e6;

}  // namespace

kj::Promise<void> OpenLoop::run() {
    // What is measured is the node, and not how long the client waits for a CPU.
    set_time_slice(100'000);
    begin_us_ = now_us() + 1000;
    return tick(0).then([this] { return sent_.onEmpty(); });
}

void OpenLoop::print(double from_us) const {
    printf("{\"read_max_us\":%.0f,\"read_max_at_s\":%.3f,\"put_max_us\":%.0f,\"calls\":%zu,"
           "\"seconds\":%.3f}\n",
           read_max_us_, (read_max_due_us_ - from_us) / 1e6, put_max_us_, calls_,
           (happened_us_ - from_us) / 1e6);
}

kj::Promise<void> OpenLoop::tick(int64_t number) {
    const double due = begin_us_ + static_cast<double>(number * kEveryUs);
    const double now = now_us();
    if (happened() && now > happened_us_ + kAfterUs) return kj::READY_NOW;
    if (now > begin_us_ + kLongestUs) return kj::READY_NOW;
    if (now < due) {
        return timer_.afterDelay(static_cast<int64_t>(due - now + 1) * kj::MICROSECONDS)
            .then([this, number] { return tick(number); });
    }
    if (!begun_ && now > begin_us_ + kBeforeUs) {
        begun_ = true;
        begin();
    }
    ++calls_;
    sent_.add(number % 2 == 0 ? read(due) : change(due));
    return kj::evalLater([this, number] { return tick(number + 1); });
}

kj::Promise<void> OpenLoop::read(double due) {
    return ask().then([this, due](bool happened) {
        const double now = now_us();
        if (now - due > read_max_us_) {
            read_max_us_ = now - due;
            read_max_due_us_ = due;
        }
        if (happened_us_ == 0 && begun_ && happened) happened_us_ = now;
    });
}

kj::Promise<void> OpenLoop::change(double due) {
    // Numbers of objects come again, ids of commands do not, nor in the next run.
    const uint64_t id = first_id_ + puts_;
    const uint64_t at = puts_++ * kEventsPerPut % (objects_ - kEventsPerPut);
    return put(node_, at, kEventsPerPut, id).then([this, due](uint64_t) {
        put_max_us_ = std::max(put_max_us_, now_us() - due);
    });
}

}  // namespace noded::bench
