// See place.h.
#include "agent/past/place.h"

#include <ctime>

#include "agent/log/beside.h"

namespace noded::past {

namespace {

std::string utc(int64_t time_ns) {
    const time_t seconds = time_ns / 1'000'000'000;
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

/// Time of one event that is there; 0 if it cannot be read.
int64_t time_of(log::Log& log, uint64_t seq) {
    int64_t time_ns = 0;
    if (seq < log.oldest_seq() || seq > log.durable_seq()) return 0;
    (void)log.read(seq, [&](const log::Record& record) {
        time_ns = record.time_ns;
        return false;
    });
    return time_ns;
}

/// "seq 41 of 2026-11-24T14:36:37Z"
std::string named(log::Log& log, uint64_t seq) {
    const int64_t time_ns = time_of(log, seq);
    return "seq " + std::to_string(seq) + (time_ns != 0 ? " of " + utc(time_ns) : "");
}

/// The first state that can be known: what was before needs events that are gone.
Result<uint64_t> first_known(log::Storage& storage, const log::Log& log) {
    if (log.oldest_seq() <= 1) return 1;
    uint64_t first = log.durable_seq();
    for (const uint64_t seq : TRY(log::list_snapshots(storage))) {
        if (seq + 1 >= log.oldest_seq() && log::load_snapshot(storage, seq)) first = seq;
    }
    return first;
}

std::unexpected<Error> before_history(log::Storage& storage, log::Log& log,
                                      const std::string& what) {
    const auto first = first_known(storage, log);
    if (!first) return std::unexpected(first.error());
    return fail(what + " is before the history that is kept: it begins with " +
                named(log, *first));
}

Result<uint64_t> seq_of(log::Storage& storage, log::Log& log, const Moment& moment,
                        int64_t now_ns) {
    const uint64_t last = log.durable_seq();
    if (!moment.by_time) {
        if (moment.at_seq <= last) return moment.at_seq;
        return fail("there is no event " + std::to_string(moment.at_seq) +
                    " yet: the log ends with seq " + std::to_string(last));
    }
    const int64_t time_ns = moment.at_time_ns;
    if (time_ns > now_ns) return fail(utc(time_ns) + " has not come yet");
    const uint64_t seq = TRY(log.seq_at(time_ns + 1)) - 1;
    if (last == 0 || seq < log.oldest_seq()) return before_history(storage, log, utc(time_ns));
    return seq;
}

}  // namespace

Result<Place> find_place(log::Storage& storage, const Moment& moment, uint64_t last,
                         int64_t now_ns) {
    const auto log = TRY(log::open_log_beside(storage, last));
    Place place;
    place.oldest = log->oldest_seq();
    place.seq = TRY(seq_of(storage, *log, moment, now_ns));
    place.time_ns = moment.by_time ? moment.at_time_ns : time_of(*log, place.seq);
    // Before the first event that is left: nobody knows how long before.
    if (place.time_ns == 0) place.time_ns = time_of(*log, place.oldest);
    if (place.time_ns == 0) place.time_ns = now_ns;
    std::string notice;
    place.snapshot = TRY(log::load_newest_snapshot(storage, &notice, place.seq));
    // An older one does not lead across what is gone.
    if (place.snapshot && place.snapshot->seq + 1 < place.oldest) place.snapshot.reset();
    if (!place.snapshot && place.oldest > 1)
        return before_history(storage, *log, "seq " + std::to_string(place.seq));
    return place;
}

}  // namespace noded::past
