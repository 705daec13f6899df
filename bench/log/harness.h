// What the benchmarks of the log share: clock, percentiles, arguments, and the smallest domain.
// Each benchmark is one file and one function below; log_bench.cc chooses by the first argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/check.h"
#include "agent/core/pipeline.h"
#include "agent/log/log.h"
#include "agent/log/storage_file.h"
#include "agent/reactor/uring_reactor.h"

namespace noded::bench {

constexpr size_t kEventBytes = 256;
constexpr size_t kPayloadBytes = kEventBytes - 72;   // the record header has 72
constexpr uint64_t kInFlight = 1000;

struct Arguments {
    std::string dir;
    uint64_t events = 0;   ///< 0: the benchmark's own number
};

// Each prints one line of JSON.
Status one_at_a_time(const Arguments& arguments);
Status append_in_flight(const Arguments& arguments);
Status commands_in_flight(const Arguments& arguments);
Status replay(const Arguments& arguments);

inline double now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct Percentiles {
    double p50 = 0;
    double p99 = 0;
};

inline Percentiles percentiles(std::vector<double> samples) {
    CHECK(!samples.empty());
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples[samples.size() * 99 / 100]};
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

/// A log in a directory, on a reactor of its own.
struct OpenLog {
    std::unique_ptr<reactor::UringReactor> reactor;
    std::unique_ptr<log::Storage> storage;
    std::unique_ptr<log::Log> log;
    ~OpenLog() {
        if (reactor) reactor->stop();
    }
};

inline Result<std::unique_ptr<OpenLog>> open_log_in(const std::string& dir) {
    auto opened = std::make_unique<OpenLog>();
    opened->reactor = TRY(reactor::UringReactor::create());
    opened->storage = TRY(log::open_file_storage(*opened->reactor, dir));
    std::string notice;
    opened->log = TRY(log::open_log(*opened->storage, &notice));
    return opened;
}

}  // namespace noded::bench
