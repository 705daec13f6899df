// Who sent a command, and which: the part of a record before its payload (FORMAT.md, Sender). It is
// written with the first event of a command that a client or a plugin sent, so that whoever reads
// the log learns what caused its events without the command itself being kept.
//
// Encoded by agent/core, carried as bytes by the log, decoded by whoever shows events.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/limits.h"

namespace noded::log {

struct Sender {
    uint64_t command_type = 0;   ///< type id of the command's Cap'n Proto struct
    uint32_t uid = 0;            ///< of the process, as the kernel said when it connected
    uint32_t gid = 0;
    uint32_t pid = 0;            ///< 0: the node itself
    /// What it says of itself, "nodectl run", or "plugin ID"; at most
    /// limits::command_client_bytes_max bytes, empty for nothing. Unverified.
    std::string_view client;
};

using EncodedSender = std::array<uint8_t, limits::command_sender_bytes_max>;

/// Writes it to the beginning of `into`; the result is what was written, a whole number of words.
Bytes encode_sender(const Sender& sender, EncodedSender& into);

/// The size of the part that begins `from`; the error says what is wrong with it.
Result<size_t> sender_bytes(Bytes from);

/// The part that `sender_bytes` accepted; the words point into it.
Sender decode_sender(Bytes part);

}  // namespace noded::log
