// An open-loop client while a snapshot is taken: calls leave by the clock, one per millisecond,
// whether the earlier ones were answered or not, and each one's time counts from when it was due.
// Reads show how long the node stood still; commands, sent in turn with them, wait for the disk
// too, to which the snapshot is being written. The commands are what makes the snapshot due.
#include <kj/async-unix.h>
#include <kj/timer.h>

#include <cstdio>

#include "bench/node/harness.h"

namespace noded::bench {
namespace {

constexpr int64_t kEveryUs = 1000;
constexpr uint64_t kEventsPerPut = 32;
constexpr int kIdlePolls = 30;   // of 100 ms each
constexpr double kBeforeUs = 0.5e6, kAfterUs = 0.5e6, kLongestUs = 40e6;

class OpenLoop final : private kj::TaskSet::ErrorHandler {
public:
    OpenLoop(schema::Node::Client node, kj::Timer& timer, const Arguments& arguments)
        : node_(std::move(node)), timer_(timer), objects_(arguments.objects) {}

    /// Sends from one end of a snapshot to the other, and a little before and after.
    kj::Promise<void> run(uint64_t snapshot_before) {
        snapshot_before_ = snapshot_before;
        begin_us_ = now_us() + 1000;
        return tick(0).then([this] { return sent_.onEmpty(); });
    }
    const std::string& trouble() const { return trouble_; }
    bool taken() const { return taken_us_ != 0; }
    void print() const {
        printf("{\"read_max_us\":%.0f,\"put_max_us\":%.0f,\"calls\":%zu,\"seconds\":%.2f}\n",
               read_max_us_, put_max_us_, calls_, (taken_us_ - begin_us_) / 1e6);
    }

private:
    kj::Promise<void> tick(int64_t number) {
        const double due = begin_us_ + static_cast<double>(number * kEveryUs);
        const double now = now_us();
        if (taken() && now > taken_us_ + kAfterUs) return kj::READY_NOW;
        if (now > begin_us_ + kLongestUs) return kj::READY_NOW;
        if (now < due) {
            return timer_.afterDelay(static_cast<int64_t>(due - now + 1) * kj::MICROSECONDS)
                .then([this, number] { return tick(number); });
        }
        ++calls_;
        sent_.add(number % 2 == 0 ? read(due) : change(due));
        return kj::evalLater([this, number] { return tick(number + 1); });
    }
    void taskFailed(kj::Exception&& error) override { trouble_ = error.getDescription().cStr(); }
    kj::Promise<void> read(double due) {
        return node_.infoRequest().send().then([this, due](auto&& response) {
            const double now = now_us();
            read_max_us_ = std::max(read_max_us_, now - due);
            if (!taken() && now > begin_us_ + kBeforeUs &&
                response.getInfo().getSnapshotSeq() > snapshot_before_)
                taken_us_ = now;
        });
    }
    kj::Promise<void> change(double due) {
        // Numbers of objects come again, ids of commands do not, nor in the next run.
        const uint64_t id = first_id_ + puts_;
        const uint64_t at = puts_++ * kEventsPerPut % (objects_ - kEventsPerPut);
        return put(node_, at, kEventsPerPut, id).then([this, due](uint64_t) {
            put_max_us_ = std::max(put_max_us_, now_us() - due);
        });
    }

    schema::Node::Client node_;
    kj::Timer& timer_;
    const uint64_t objects_;
    const uint64_t first_id_ = static_cast<uint64_t>(now_us() * 1000);
    uint64_t puts_ = 0;
    uint64_t snapshot_before_ = 0;
    double begin_us_ = 0, taken_us_ = 0;
    double read_max_us_ = 0, put_max_us_ = 0;
    size_t calls_ = 0;
    std::string trouble_;
    kj::TaskSet sent_{*this};
};

/// Seq of the newest snapshot, once no other has come for a while.
Result<uint64_t> wait_idle(rpc::Client& client, schema::Node::Client& node) {
    uint64_t newest = 0;
    for (int same = 0; same < kIdlePolls; ++same) {
        const auto response = TRY(client.wait(node.infoRequest().send()));
        if (response.getInfo().getSnapshotSeq() != newest) same = 0;
        newest = response.getInfo().getSnapshotSeq();
        TRY_STATUS(client.wait(
            client.event_port().getTimer().afterDelay(100 * kj::MILLISECONDS)));
    }
    return newest;
}

}  // namespace

Status snapshot_pause(const Arguments& arguments) {
    if (arguments.objects <= kEventsPerPut) return fail("--objects says how many there are");
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    const uint64_t before = TRY(wait_idle(*client, node));
    OpenLoop loop(node, client->event_port().getTimer(), arguments);
    TRY_STATUS(client->wait(loop.run(before)));
    if (!loop.trouble().empty()) return fail(loop.trouble());
    if (!loop.taken()) return fail("no snapshot was taken");
    loop.print();
    return {};
}

}  // namespace noded::bench
