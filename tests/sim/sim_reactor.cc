// The loop in virtual time, see sim_reactor.h.
#include "tests/sim/sim_reactor.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "agent/base/check.h"
#include "agent/limits.h"

namespace noded::sim {
namespace {

[[noreturn]] void not_simulated() {
    CHECK_MSG(false, "the simulator has no files and no network");
    __builtin_unreachable();
}

}  // namespace

void SimReactor::read(int, std::span<uint8_t>, uint64_t, reactor::Completion&) { not_simulated(); }
void SimReactor::write(int, Bytes, uint64_t, bool, reactor::Completion&) { not_simulated(); }
void SimReactor::send_message(int, const msghdr*, reactor::Completion&) { not_simulated(); }
void SimReactor::receive_message(int, msghdr*, reactor::Completion&) { not_simulated(); }
void SimReactor::accept(int, reactor::Completion&) { not_simulated(); }

void SimReactor::add(Operation operation) {
    operation.number = ++numbers_;
    operations_.push_back(std::move(operation));
}

void SimReactor::poll(int fd, uint32_t events, bool multishot, reactor::Completion& done) {
    add({0, &done, INT64_MAX, 0, multishot, fd, events, 0, nullptr});
}

void SimReactor::timer(int64_t deadline_ns, reactor::Completion& done) {
    add({0, &done, std::max(deadline_ns, world_.now_ns), -ETIME, false, -1, 0, 0, nullptr});
}

void SimReactor::cancel(reactor::Completion& operation) {
    for (Operation& at : operations_) {
        if (at.done != &operation || at.work) continue;
        at.due_ns = world_.now_ns;
        at.result = -ECANCELED;
        at.more = false;
        at.fd = -1;
    }
}

bool SimReactor::offload(std::function<int32_t()> work, reactor::Completion& done) {
    if (offloaded_ >= limits::offload_queue_max) return false;
    ++offloaded_;
    const int64_t due_ns = world_.now_ns + world_.random.between(1'000, 5'000'000);
    add({0, &done, due_ns, 0, false, -1, 0, 0, std::move(work)});
    return true;
}

int64_t SimReactor::next_ns() const {
    int64_t next = wake_ns_;
    for (const Operation& at : operations_) next = std::min(next, at.due_ns);
    return next;
}

void SimReactor::complete(std::list<Operation>::iterator at) {
    reactor::Completion& done = *at->done;
    int32_t result = at->result;
    const bool more = at->more;
    const std::function<int32_t()> work = std::move(at->work);
    if (more)
        at->due_ns = INT64_MAX;
    else
        operations_.erase(at);
    if (work) {
        --offloaded_;
        result = work();
    }
    done.complete(result, more);
}

void SimReactor::turn() {
    wake_ns_ = INT64_MAX;
    std::vector<uint64_t> due;
    for (const Operation& at : operations_)
        if (at.due_ns <= world_.now_ns) due.push_back(at.number);
    for (size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[world_.random.below(i)]);
    for (const uint64_t number : due) {
        // An earlier one may have cancelled it: then it is still there, with another result.
        const auto at = std::ranges::find(operations_, number, &Operation::number);
        if (at != operations_.end()) complete(at);
    }
    for (reactor::TurnEnd* hook : hooks_) hook->turn_end();
}

void SimReactor::scan() {
    std::vector<pollfd> polled;
    std::vector<Operation*> watches;
    for (Operation& at : operations_) {
        if (at.fd < 0 || at.due_ns != INT64_MAX) continue;
        polled.push_back({at.fd, short(at.events), 0});
        watches.push_back(&at);
    }
    if (polled.empty() || ::poll(polled.data(), polled.size(), 0) <= 0) return;
    for (size_t i = 0; i < polled.size(); ++i) {
        const uint32_t seen = uint32_t(polled[i].revents) & ~watches[i]->told;
        if (seen == 0) continue;
        watches[i]->told |= seen & (POLLOUT | POLLHUP | POLLRDHUP);
        watches[i]->result = int32_t(seen);
        watches[i]->due_ns = world_.now_ns + world_.random.between(1'000, 50'000);
    }
}

}  // namespace noded::sim
