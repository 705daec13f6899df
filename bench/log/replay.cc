// Replay of a log that is there: recover it, then fold it, as noded does at start without a
// snapshot. Prints events and bytes per second and the most memory that the process ever had.
#include <sys/resource.h>

#include <cstdio>

#include "agent/core/replay.h"
#include "bench/log/harness.h"

namespace noded::bench {
namespace {

/// Folds by adding up, so that payloads are looked at.
struct Sum final : core::Domain, core::Publisher {
    uint64_t bytes = 0;
    uint64_t sum = 0;
    void decide(const core::Command&, core::Decision&) override {}
    void fold(const core::Event& event) override {
        uint64_t word = 0;
        if (!event.payload.empty()) memcpy(&word, event.payload.data(), sizeof word);
        sum += word;
        bytes += kEventBytes - kPayloadBytes + event.payload.size();
    }
    void react(const core::Event&) override {}
    void publish(const core::Event&) override {}
};

}  // namespace

Status replay(const Arguments& arguments) {
    const auto opened = TRY(open_log_in(arguments.dir));
    const uint64_t first = opened->log->oldest_seq();
    const uint64_t events = opened->log->next_seq() - first;
    Sum domain;
    core::Core core(domain);
    const double start = now_us();
    TRY_STATUS(core::replay(*opened->log, first, core, domain));
    const double seconds = (now_us() - start) / 1e6;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"events\":%llu,\"bytes\":%llu,\"events_per_s\":%.0f,\"bytes_per_s\":%.0f,"
           "\"memory_max_bytes\":%ld}\n",
           static_cast<unsigned long long>(events), static_cast<unsigned long long>(domain.bytes),
           static_cast<double>(events) / seconds, static_cast<double>(domain.bytes) / seconds,
           usage.ru_maxrss * 1024);
    return {};
}

}  // namespace noded::bench
