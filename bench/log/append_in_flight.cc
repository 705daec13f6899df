// The log alone, 256-byte events, 1,000 in flight: each time a sync completed, as many are
// appended as became durable, and the next sync starts with all of them, as the pipeline does it.
// Old segments are released on the way, as snapshots have it: the disk's space is used again.
#include <cstdio>

#include "bench/log/harness.h"

namespace noded::bench {
namespace {

constexpr uint64_t kEvents = 10'000'000;
/// About one segment of events: so much is released at a time.
constexpr uint64_t kReleased = limits::log_segment_bytes / kEventBytes;
constexpr uint64_t kKept = 48 * kReleased;

class Stream final : log::SyncDone {
public:
    Stream(log::Log& log, uint64_t events) : log_(log), last_(log.durable_seq() + events) {
        for (uint64_t& word : payload_) word = 0x1234567812345678;
    }

    void start() {
        fill();
        sync();
    }
    bool done() const { return log_.durable_seq() == last_; }
    uint64_t syncs() const { return syncs_; }

private:
    void fill() {
        const uint64_t until = std::min(last_, log_.durable_seq() + kInFlight);
        const Bytes bytes(reinterpret_cast<const uint8_t*>(payload_), kPayloadBytes);
        while (log_.next_seq() <= until) {
            CHECK(log_.fits(kPayloadBytes));
            payload_[0] = log_.next_seq();
            log_.append({log_.next_seq(), 1, 1, 0, {}, bytes});
        }
    }
    void sync() {
        if (log_.next_seq() == log_.durable_seq() + 1) return;
        ++syncs_;
        log_.sync(*this);
    }
    void synced(Status status, uint64_t) override {
        CHECK_MSG(status.has_value(), status ? "" : status.error().message.c_str());
        if (log_.durable_seq() - log_.oldest_seq() >= kKept) {
            const Status released = log_.release_before(log_.oldest_seq() + kReleased);
            CHECK_MSG(released.has_value(), released ? "" : released.error().message.c_str());
        }
        const Status room = log_.ensure_room(0, 0);
        CHECK_MSG(room.has_value(), room ? "" : room.error().message.c_str());
        fill();
        sync();
    }

    log::Log& log_;
    const uint64_t last_;
    uint64_t payload_[kPayloadBytes / 8];
    uint64_t syncs_ = 0;
};

}  // namespace

Status append_in_flight(const Arguments& arguments) {
    const uint64_t events = arguments.events != 0 ? arguments.events : kEvents;
    const auto opened = TRY(open_log_in(arguments.dir));
    Stream stream(*opened->log, events);
    const double start = now_us();
    stream.start();
    opened->reactor->run_until([&] { return stream.done(); });
    const double seconds = (now_us() - start) / 1e6;
    printf("{\"events_per_s\":%.0f,\"bytes_per_s\":%.0f,\"events_per_sync\":%.0f}\n",
           static_cast<double>(events) / seconds,
           static_cast<double>(events * kEventBytes) / seconds,
           static_cast<double>(events) / static_cast<double>(stream.syncs()));
    return {};
}

}  // namespace noded::bench
