// What the core speaks of, and Domain: where decisions come from. The core knows no container; the
// plugin host implements Domain over the loaded plugins, tests implement it over a few lines.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/ids.h"
#include "agent/log/log.h"

namespace noded::core {

/// A fact, as the log has it.
using Event = log::Record;

/// A request, or the outcome of an effect that is proposed. Owns its payload.
struct Command {
    enum class Origin { client, proposal };
    Origin origin = Origin::client;
    CommandId id;
    uint64_t type = 0;
    Buffer payload;
    uint64_t cause_seq = 0;   ///< 0 for a client's
    int64_t time_ns = 0;      ///< stamped at the edge: the core has no clock
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t pid = 0;         ///< 0 for a plugin's
    std::string client = {};  ///< what it says of itself; at most command_client_bytes_max
};

/// The core's own reasons, with the codes of the plugin ABI (enum noded_rejection).
constexpr uint16_t kRejectInvalid = 1;
constexpr uint16_t kRejectLimit = 5;
constexpr uint16_t kRejectBusy = 6;

/// The domain's "no": a value, replied, not logged. Codes are those of the plugin ABI (enum
/// noded_rejection).
struct Rejection {
    uint16_t code = 0;
    std::string message;
};

/// What a client is told about its command.
struct Reply {
    bool accepted = false;
    bool retried = false;     ///< the id was known: these are the seqs of then
    uint64_t first_seq = 0;   ///< 0 if the command caused no event
    uint64_t last_seq = 0;
    Rejection rejection;
};

using ReplyTo = std::move_only_function<void(const Reply&)>;

/// What decide hands to the core.
class Decision {
public:
    virtual ~Decision() = default;
    /// Copies `payload`.
    virtual void emit(uint64_t type, Bytes payload) = 0;
    virtual void reject(Rejection rejection) = 0;
};

class Domain {
public:
    virtual ~Domain() = default;
    /// Command × state → events or a rejection. Must not change state.
    virtual void decide(const Command& command, Decision& decision) = 0;
    /// State × event → state. The only thing that changes state.
    virtual void fold(const Event& event) = 0;
    /// Event → effects. The event is durable; never called during replay.
    virtual void react(const Event& event) = 0;
};

/// Where durable events leave the node.
class Publisher {
public:
    virtual ~Publisher() = default;
    virtual void publish(const Event& event) = 0;
};

}  // namespace noded::core
