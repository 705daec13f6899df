// Durable appends of one client: one 256-byte record, one sync, again. Prints the median and the
// 99th percentile, of the log alone and of a whole command through decide, fold and reply in
// process.
#include <cstdio>

#include "bench/log/harness.h"

namespace noded::bench {
namespace {

constexpr int kWarmUp = 500;
constexpr int kMeasured = 10'000;

struct Synced final : log::SyncDone {
    bool done = false;
    void synced(Status status, uint64_t) override {
        CHECK(status.has_value());
        done = true;
    }
};

Percentiles measure_log(reactor::UringReactor& reactor, log::Log& log, int measured) {
    const std::vector<uint64_t> payload(kPayloadBytes / 8, 0x1234567812345678);
    const Bytes bytes(reinterpret_cast<const uint8_t*>(payload.data()), kPayloadBytes);
    std::vector<double> samples;
    for (int i = 0; i < kWarmUp + measured; ++i) {
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

Percentiles measure_commands(reactor::UringReactor& reactor, log::Log& log, int measured) {
    Echo echo;
    core::Pipeline pipeline(echo, log, echo);
    // The reactor keeps its hooks for ever, and this one is the last user of both.
    static PipelineTurn turn(pipeline);
    reactor.at_turn_end(turn);
    std::vector<double> samples;
    for (int i = 0; i < kWarmUp + measured; ++i) {
        core::Command command;
        const int id = i + 1;  // none is that of none
        memcpy(command.id.bytes.data(), &id, sizeof id);
        command.payload.resize(kPayloadBytes, 7);
        bool done = false;
        const double start = now_us();
        pipeline.submit(std::move(command),
                        [&](const core::Reply& reply) { done = reply.accepted; });
        reactor.run_again();
        reactor.run_until([&] { return done; });
        if (i >= kWarmUp) samples.push_back(now_us() - start);
    }
    CHECK(echo.folded == static_cast<uint64_t>(kWarmUp + measured));
    return percentiles(std::move(samples));
}

}  // namespace

Status one_at_a_time(const Arguments& arguments) {
    const int measured = arguments.events != 0 ? static_cast<int>(arguments.events) : kMeasured;
    const auto opened = TRY(open_log_in(arguments.dir));
    const Percentiles append = measure_log(*opened->reactor, *opened->log, measured);
    const Percentiles command = measure_commands(*opened->reactor, *opened->log, measured);
    printf(
        "{\"append_p50_us\":%.1f,\"append_p99_us\":%.1f,\"command_p50_us\":%.1f,\"command_p99_us\":"
        "%.1f}\n",
        append.p50, append.p99, command.p50, command.p99);
    return {};
}

}  // namespace noded::bench
