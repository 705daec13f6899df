// Durable appends of one client: one 256-byte record, one sync, again. Prints the median and the
// 99th percentile, of the log alone and of a whole command through decide, fold and reply in
// process. Run by bench/compare.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "agent/base/check.h"
#include "agent/core/pipeline.h"
#include "agent/log/log.h"
#include "agent/log/storage_file.h"
#include "agent/reactor/uring_reactor.h"

namespace noded {
namespace {

constexpr int kWarmUp = 500;
constexpr int kMeasured = 10'000;
constexpr size_t kPayloadBytes = 256 - 72;   // the record header has 72

double now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

struct Percentiles {
    double p50 = 0;
    double p99 = 0;
};

Percentiles percentiles(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples[samples.size() * 99 / 100]};
}

struct Synced final : log::SyncDone {
    bool done = false;
    void synced(Status status, uint64_t) override {
        CHECK(status.has_value());
        done = true;
    }
};

Percentiles measure_log(reactor::UringReactor& reactor, log::Log& log) {
    const std::vector<uint64_t> payload(kPayloadBytes / 8, 0x1234567812345678);
    const Bytes bytes(reinterpret_cast<const uint8_t*>(payload.data()), kPayloadBytes);
    std::vector<double> samples;
    for (int i = 0; i < kWarmUp + kMeasured; ++i) {
        Synced synced;
        CHECK(log.ensure_room(kPayloadBytes).has_value());
        const double start = now_us();
        log.append({log.next_seq(), i, 1, 0, {}, bytes});
        log.sync(synced);
        reactor.run_until([&] { return synced.done; });
        if (i >= kWarmUp) samples.push_back(now_us() - start);
    }
    return percentiles(std::move(samples));
}

/// A domain of one command that causes one event, and nobody to publish to.
struct Echo final : core::Domain, core::Publisher {
    uint64_t folded = 0;
    void decide(const core::Command& command, core::Decision& decision) override {
        decision.emit(1, command.payload);
    }
    void fold(const core::Event&) override { ++folded; }
    void react(const core::Event&) override {}
    void publish(const core::Event&) override {}
};

struct PipelineTurn final : reactor::TurnEnd {
    core::Pipeline& pipeline;
    explicit PipelineTurn(core::Pipeline& p) : pipeline(p) {}
    void turn_end() override { pipeline.turn_end(); }
};

Percentiles measure_commands(reactor::UringReactor& reactor, log::Log& log) {
    Echo echo;
    core::Pipeline pipeline(echo, log, echo);
    // The reactor keeps its hooks for ever, and this one is the last user of both.
    static PipelineTurn turn(pipeline);
    reactor.at_turn_end(turn);
    std::vector<double> samples;
    for (uint64_t i = 0; i < kWarmUp + kMeasured; ++i) {
        core::Command command;
        memcpy(command.id.bytes.data(), &i, sizeof i);
        command.payload.resize(kPayloadBytes, 7);
        bool done = false;
        const double start = now_us();
        pipeline.submit(std::move(command),
                        [&](const core::Reply& reply) { done = reply.accepted; });
        reactor.run_again();
        reactor.run_until([&] { return done; });
        if (i >= kWarmUp) samples.push_back(now_us() - start);
    }
    CHECK(echo.folded == kWarmUp + kMeasured);
    return percentiles(std::move(samples));
}

Status run(const std::string& dir) {
    auto reactor = TRY(reactor::UringReactor::create());
    auto storage = TRY(log::open_file_storage(*reactor, dir));
    std::string notice;
    auto log = TRY(log::open_log(*storage, &notice));
    const Percentiles append = measure_log(*reactor, *log);
    const Percentiles command = measure_commands(*reactor, *log);
    printf(
        "{\"append_p50_us\":%.1f,\"append_p99_us\":%.1f,\"command_p50_us\":%.1f,\"command_p99_us\":"
        "%.1f}\n",
        append.p50, append.p99, command.p50, command.p99);
    reactor->stop();
    return {};
}

}  // namespace
}  // namespace noded

int main(int argc, char** argv) {
    std::string dir;
    for (int i = 1; i < argc; ++i) {
        if (strncmp(argv[i], "--dir=", 6) == 0) dir = argv[i] + 6;
    }
    if (dir.empty()) {
        fprintf(stderr, "usage: log_bench --dir=EMPTY_DIRECTORY [--json]\n");
        return 2;
    }
    if (const noded::Status status = noded::run(dir); !status) {
        fprintf(stderr, "log_bench: %s\n", status.error().message.c_str());
        return 1;
    }
    return 0;
}
