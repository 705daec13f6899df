// CommandId: 32 bytes minted by whoever sends a command. It makes a retry harmless (the same id is
// decided once), links every event to the command that caused it, and, in hexadecimal, names what
// the command created.
#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <string>

#include "agent/base/bytes.h"

namespace noded {

struct CommandId {
    std::array<uint8_t, 32> bytes{};

    auto operator<=>(const CommandId&) const = default;
    bool is_zero() const { return *this == CommandId{}; }
    std::string hex() const { return to_hex(bytes); }
};

struct CommandIdHash {
    /// The bytes are random already: any eight of them are a hash.
    size_t operator()(const CommandId& id) const {
        size_t value;
        memcpy(&value, id.bytes.data(), sizeof value);
        return value;
    }
};

}  // namespace noded
