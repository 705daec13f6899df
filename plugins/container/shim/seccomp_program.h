// From a table of system calls to a program for the kernel's seccomp: for each architecture a
// binary search over the ranges of numbers that have the same answer.
//
// A filter is checked, compiled to machine code and tried out for every number whenever it is
// loaded, so its length is part of every start. libseccomp compares number by number and comes out
// six times as long.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded {

/// What a number is answered with: an action of the kernel (SECCOMP_RET_*), or one that depends on
/// the low half of the first argument. All of those that this is for are ints of the kernel, which
/// never looks at the other half.
struct SeccompAnswer {
    enum class Kind : uint8_t { always, no_bit_of, one_of, none_of };
    Kind kind = Kind::always;
    uint32_t action = 0;     ///< if the condition holds
    uint32_t otherwise = 0;  ///< if not
    std::vector<uint32_t> values;

    bool operator==(const SeccompAnswer&) const = default;
};

struct SeccompTable {
    uint32_t architecture = 0;  ///< AUDIT_ARCH_*
    SeccompAnswer first;        ///< from 0 up to the first number below
    /// From this number up to the next one in the map.
    std::map<uint32_t, SeccompAnswer> from;

    /// `answer` for the numbers from `begin` up to, not including, `end`.
    void set(uint32_t begin, uint32_t end, const SeccompAnswer& answer);
    const SeccompAnswer& at(uint32_t number) const;
};

/// A list of sock_filter. The program answers `unknown` to architectures that no table is for.
Result<Buffer> seccomp_program(const std::vector<SeccompTable>& tables, uint32_t unknown);

}  // namespace noded
