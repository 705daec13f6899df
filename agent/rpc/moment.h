// Moment: which past is asked for, by the number of an event or by a time.
#pragma once

#include <cstdint>

namespace noded::rpc_service {

struct Moment {
    bool by_time = false;
    uint64_t at_seq = 0;      ///< after this event; 0: before the first one
    int64_t at_time_ns = 0;   ///< after all that was decided then or before

    static Moment seq(uint64_t seq) { return {false, seq, 0}; }
    static Moment time(int64_t time_ns) { return {true, 0, time_ns}; }
};

}  // namespace noded::rpc_service
