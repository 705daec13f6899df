// KnownCommands: the newest command ids and where their events stand, so that a retry is decided
// once.
//
// A ring of the newest ones in the order in which they came, and over it a table of places with
// open addressing, at most half full: to look for an id that is not known touches the table alone,
// to add one and let the oldest go touches two places of it. Both grow with what they hold, up to
// the limit. Owned by Core; pure.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/ids.h"

namespace noded::core {

class KnownCommands {
public:
    struct Known {
        CommandId id;
        uint64_t first_seq = 0;
        uint64_t last_seq = 0;
        uint64_t cause_seq = 0;
        int64_t time_ns = 0;
    };

    /// Null if it is not known. Valid until the next `add`.
    Known* find(const CommandId& id);
    /// It will be asked for soon: what that touches is fetched meanwhile.
    void expect(const CommandId& id) const;
    /// The id must not be known. Where there are as many as may be, the oldest goes.
    void add(const Known& known);
    void clear();

    size_t size() const { return ring_.size(); }
    /// The oldest first.
    template <typename Each>
    void each(const Each& each) const {
        for (size_t i = 0; i < ring_.size(); ++i) each(ring_[(oldest_ + i) % ring_.size()]);
    }

private:
    struct Slot {
        uint32_t place = 0;   ///< in the ring, counted from 1; 0: there is none
        uint32_t hash = 0;    ///< its highest bits are where looking for it begins
    };
    static constexpr uint32_t kFirstBits = 10;
    static constexpr size_t kAhead = 8;   ///< of what goes next, to fetch its slot in time

    size_t next(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
    size_t home(uint32_t hash) const { return hash >> (32 - bits_); }
    void put(Slot slot);
    void grow();
    void let_oldest_go();

    std::vector<Known> ring_;
    size_t oldest_ = 0;            ///< other than 0 only when the ring has its full size
    std::vector<Slot> slots_;      ///< 2^bits_ of them, or none
    uint32_t bits_ = 0;
};

}  // namespace noded::core
