// An open-loop client while a snapshot is taken. Commands wait for the disk, too, to which the
// snapshot is being written; they are what makes it due.
#include "bench/node/open_loop.h"

namespace noded::bench {
namespace {

constexpr int kIdlePolls = 30;   // of 100 ms each

class SnapshotLoop final : public OpenLoop {
public:
    SnapshotLoop(schema::Node::Client node, kj::Timer& timer, const Arguments& arguments,
                 uint64_t before)
        : OpenLoop(std::move(node), timer, arguments), before_(before) {}

private:
    kj::Promise<bool> ask() override {
        return node().infoRequest().send().then([this](auto&& response) {
            return response.getInfo().getSnapshotSeq() > before_;
        });
    }

    const uint64_t before_;
};

/// For as long as a snapshot takes, while none is written: what the machine itself takes.
class QuietLoop final : public OpenLoop {
public:
    using OpenLoop::OpenLoop;

private:
    static constexpr double kForUs = 1e6;

    void begin() override { begun_us_ = now_us(); }
    kj::Promise<bool> ask() override {
        return node().infoRequest().send().then(
            [this](auto&&) { return now_us() > begun_us_ + kForUs; });
    }

    double begun_us_ = 0;
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
    if (arguments.objects < OBJECTS_PER_PUT_MAX) return fail("--objects says how many there are");
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    const uint64_t before = TRY(wait_idle(*client, node));
    SnapshotLoop loop(node, client->event_port().getTimer(), arguments, before);
    TRY_STATUS(client->wait(loop.run()));
    if (!loop.trouble().empty()) return fail(loop.trouble());
    if (!loop.happened()) return fail("no snapshot was taken");
    loop.print();
    return {};
}

Status quiet_pause(const Arguments& arguments) {
    if (arguments.objects < OBJECTS_PER_PUT_MAX) return fail("--objects says how many there are");
    const auto client = TRY(rpc::Client::connect(arguments.host));
    QuietLoop loop(client->bootstrap().castAs<schema::Node>(),
                   client->event_port().getTimer(), arguments);
    TRY_STATUS(client->wait(loop.run()));
    if (!loop.trouble().empty()) return fail(loop.trouble());
    loop.print();
    return {};
}

}  // namespace noded::bench
