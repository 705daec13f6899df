// See reader.h.
#include "agent/past/reader.h"

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "agent/base/logger.h"
#include "agent/base/version.h"
#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/limits.h"
#include "agent/log/beside.h"
#include "agent/log/storage_file.h"
#include "agent/past/child.h"
#include "agent/past/place.h"
#include "agent/past/readers.h"
#include "agent/past/sections.h"
#include "agent/pub/outbox.h"
#include "agent/reactor/uring_reactor.h"
#include "agent/rpc/node_service.h"
#include "agent/rpc/refusal.h"
#include "ipc/rpc/server.h"

namespace noded::past {

namespace {

constexpr int64_t kLookNs = 1'000'000'000;

/// Node, for who may only ask.
class PastService final : public rpc_service::NodeService {
public:
    explicit PastService(rpc_service::Node& node) : NodeService(node, host::Caller{}) {}

    kj::Promise<void> submit(SubmitContext) override {
        return rpc_service::refusal({NODED_REJECT_INVALID, "the past cannot be changed"});
    }
    kj::Promise<void> callWithStream(CallWithStreamContext) override {
        return rpc_service::refusal(
            {NODED_REJECT_INVALID, "what passes through descriptors is not in the log"});
    }
};

/// Plugins tidy up their directories when they are loaded; those of the live node are not theirs.
Status hide_directories(const Config& config) {
    if (unshare(CLONE_NEWNS) != 0) return fail_errno(errno, "leave the mount namespace");
    // What is unmounted outside goes here, too.
    if (mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0)
        return fail_errno(errno, "make the mounts those of this process");
    for (const std::string& directory : {config.state_dir, config.runtime_dir}) {
        const std::string path = directory + "/plugins";
        TRY_STATUS(host::make_directory_on_disk(path));
        if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=16m") != 0)
            return fail_errno(errno, "mount a file system at " + path);
    }
    return {};
}

/// The node of then. Members stand in the order in which they need each other.
struct PastNode {
    const Config& config;
    reactor::UringReactor& reactor;
    pub::Outbox outbox;   ///< never opened: nothing happens any more
    std::unique_ptr<log::Storage> storage;
    std::unique_ptr<log::Log> log;
    std::unique_ptr<host::Host> host;
    std::unique_ptr<core::Pipeline> pipeline;
    std::optional<rpc_service::Node> node;

    PastNode(const Config& c, reactor::UringReactor& r) : config(c), reactor(r), outbox(r) {}

    Status fold(const Moment& moment, uint64_t last);
    void stop() {
        if (host) host->stop();
        outbox.close();
    }

private:
    void stop_unknown(const Place& place, const std::optional<uint64_t>& snapshot_seq);
};

Status PastNode::fold(const Moment& moment, uint64_t last) {
    TRY_STATUS(hide_directories(config));
    storage = TRY(log::open_file_storage_read_only(config.state_dir + "/log"));
    Place place = TRY(find_place(*storage, moment, last, reactor.clock().realtime_ns()));
    log = TRY(log::open_log_beside(*storage, place.seq));
    host = std::make_unique<host::Host>(
        reactor, outbox,
        host::Paths{config.state_dir, config.runtime_dir, config.libexec_dir, config.plugin_dir});
    pipeline = std::make_unique<core::Pipeline>(*host, *log, outbox);
    outbox.connect(*host);
    host->configure(config.plugins);
    host->connect(*pipeline, *log);
    const auto snapshot_seq =
        place.snapshot ? std::optional(place.snapshot->seq) : std::optional<uint64_t>();
    TRY_STATUS(fold_all(*pipeline, *host, *log, std::move(place.snapshot)));
    stop_unknown(place, snapshot_seq);
    node.emplace(rpc_service::Node{reactor, *pipeline, *host, *log, outbox});
    node->version = kVersion;
    node->snapshot_seq = [snapshot_seq] { return snapshot_seq.value_or(0); };
    node->log_report = [] { return Result<log::KeeperReport>(fail("that is not in the log")); };
    node->clients = [] { return size_t{1}; };
    node->as_of_ns = place.time_ns;
    return {};
}

/// A plugin that came after the snapshot was written: what it would have known then is gone with
/// the events before.
void PastNode::stop_unknown(const Place& place, const std::optional<uint64_t>& snapshot_seq) {
    if (place.oldest <= 1 || !snapshot_seq) return;
    for (const auto& instance : host->instances()) {
        if (!instance->loaded() || instance->snapshot_seq != 0) continue;
        host->stop_plugin(*instance,
                          "the snapshot of seq " + std::to_string(*snapshot_seq) +
                              " has no state of it, so its state at seq " +
                              std::to_string(place.seq) + " cannot be known");
    }
}

/// Looks at times whether anything was asked.
struct IdleWatch final : reactor::Completion {
    reactor::Reactor& reactor;
    const rpc::RpcServer& server;
    uint64_t messages = 0;
    int64_t since_ns;

    IdleWatch(reactor::Reactor& r, const rpc::RpcServer& s)
        : reactor(r), server(s), since_ns(r.clock().monotonic_ns()) {
        arm();
    }
    void arm() { reactor.timer(reactor.clock().monotonic_ns() + kLookNs, *this); }
    void complete(int32_t result, bool) override {
        if (result != -ECANCELED) arm();
        if (std::exchange(messages, server.messages()) != server.messages())
            since_ns = reactor.clock().monotonic_ns();
    }
    bool too_long() const {
        return reactor.clock().monotonic_ns() - since_ns > limits::past_reader_idle_ns;
    }
};

Status answer(const Config& config, const Moment& moment, uint64_t last, Fd socket) {
    const auto reactor = TRY(reactor::UringReactor::create());
    PastNode past(config, *reactor);
    const Status folded = past.fold(moment, last);
    rpc::RpcServer server(*reactor, [&](const rpc::PeerCredentials&) -> capnp::Capability::Client {
        // Whatever is called says why nothing can be answered.
        if (!folded)
            return rpc_service::exception_of({NODED_REJECT_NOT_FOUND, folded.error().message});
        return kj::heap<PastService>(*past.node);
    });
    IdleWatch idle(*reactor, server);
    server.serve(std::move(socket));
    reactor->run_until([&] { return server.connections() == 0 || idle.too_long(); });
    past.stop();
    reactor->stop();
    return {};
}

std::optional<Moment> read_moment(const std::string& text) {
    if (text.starts_with("seq:")) return Moment::seq(strtoull(text.c_str() + 4, nullptr, 10));
    if (text.starts_with("ns:")) return Moment::time(strtoll(text.c_str() + 3, nullptr, 10));
    return std::nullopt;
}

}  // namespace

std::string written_moment(const Moment& moment) {
    return moment.by_time ? "ns:" + std::to_string(moment.at_time_ns)
                          : "seq:" + std::to_string(moment.at_seq);
}

int reader_main(int argc, char** argv) {
    // noded past MOMENT LAST PARENT [settings of a node]
    constexpr int kOwnArguments = 5;
    const auto moment = argc < kOwnArguments ? std::nullopt : read_moment(argv[2]);
    if (!moment) {
        fprintf(stderr, "noded: a reader of the past is started by noded itself\n");
        return 2;
    }
    if (!become_child(atoi(argv[4]))) return 1;
    // What it finds is told to its client; in the node's diagnostics it would seem to be of now.
    set_log_threshold(Severity::none);
    const auto config = read_config(argc - kOwnArguments + 1, argv + kOwnArguments - 1);
    const Status answered =
        config ? answer(*config, *moment, strtoull(argv[3], nullptr, 10), Fd(kChildSocket))
               : Status(std::unexpected(config.error()));
    if (answered) return 0;
    fprintf(stderr, "noded: read the past: %s\n", answered.error().message.c_str());
    return 1;
}

}  // namespace noded::past
