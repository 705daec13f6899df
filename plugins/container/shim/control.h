// The control protocol between noded and a shim: packets on a SOCK_SEQPACKET socket, each a
// ControlHeader and a payload (PROTOCOL.md has the conversation). Shared by both sides; plain
// structs only, because the shim links no C++ library.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugins/container/shim/attach_frames.h"

namespace noded {

constexpr uint32_t control_version = 2;  ///< 1 knew no control_signal_once
constexpr size_t control_packet_bytes_max = 128 << 10;  ///< larger specs travel in a memfd
constexpr size_t control_fds_max = 4;
constexpr size_t control_connections_max = 4;
constexpr size_t execs_max = 32;  ///< running, or ended and not yet reported
/// of the container; each exec has one more
constexpr size_t attach_clients_max = 16;
constexpr size_t shim_message_bytes_max = 1024;
constexpr char shim_socket_name[] = "shim.sock";  ///< in the runtime folder
constexpr char exit_record_name[] = "exit";       ///< likewise

enum class ControlType : uint32_t {
    // From noded. The answer carries the tag of the request.
    launch = 1,  ///< launch spec [+ memfd] [+ attach socket] → started | start_failed
    signal = 2,  ///< SignalRequest → result
    attach = 3,  ///< AttachRequest + socket → result
    resize = 4,  ///< ResizeRequest → result
    exec = 5,    ///< exec spec [+ memfd] [+ attach socket] → exec_started | exec_failed
    status = 6,  ///< nothing → status_reply
    /// nothing → the shim removes its socket and exit record and ends; result if it will not
    release = 7,
    // From the shim. started … exited go to every connection; exited and exec_exited carry tag 0.
    result = 100,        ///< ResultReply and a sentence
    started = 101,       ///< StartedReply and warnings, one sentence a line
    start_failed = 102,  ///< ExitReply and a sentence
    exec_started = 103,  ///< ExecReply
    exec_failed = 104,   ///< ExecReply and a sentence
    exec_exited = 105,   ///< ExecReply
    exited = 106,        ///< ExitReply
    /// StatusReply, exec_count × ExecReply, and the sentence if the start failed
    status_reply = 107,
};

enum ControlFlag : uint32_t {
    /// launch, exec: the spec is the content of the first descriptor, the payload is empty
    control_spec_in_memfd = 1,
    control_attach_socket = 2,  ///< launch, exec: the last descriptor is an attach socket
    // With control_attach_socket, and for attach, the AttachFlag bits of attach_frames.h as well.
};

/// Bit of the tag of a signal for the container: the other bits are a number that grows with every
/// such request over all lives of noded, and one that is not above the last is answered, not sent.
constexpr uint64_t control_signal_once = uint64_t{1} << 63;

struct ControlHeader {
    ControlType type;
    uint32_t flags;  ///< ControlFlag bits
    uint64_t tag;    ///< chosen by noded
};
static_assert(sizeof(ControlHeader) == 16);

/// The name of an exec, or all zero for the container itself. Always ends in a NUL.
struct ExecId {
    char text[128];
};

struct SignalRequest {
    ExecId exec;
    uint32_t signal;
};

struct ResizeRequest {
    ExecId exec;
    uint16_t rows;
    uint16_t columns;
};

struct ResultReply {
    int32_t error;  ///< errno value, 0 for success; a sentence follows if it is not 0
};

enum class ShimState : uint32_t {
    waiting = 1,
    starting = 2,
    running = 3,
    exited = 4,
    start_failed = 5
};

struct ExitReply {
    /// as docker's: the exit code, 128+n after signal n, 125/126/127 when the start failed
    int32_t code;
    int32_t signal;  ///< 0 unless a signal ended it
    uint32_t oom;    ///< 1 if it was killed and its cgroup counted an out-of-memory kill
    uint32_t zero;
    uint64_t time_ns;  ///< wall clock
};
static_assert(sizeof(ExitReply) == 24);

struct StartedReply {
    int32_t pid;  ///< as the shim sees it
    uint32_t zero;
    uint64_t time_ns;
    uint64_t log_position;  ///< where this start's output begins in the log
};

struct ExecReply {
    ExecId exec;
    ShimState state;
    int32_t pid;
    int32_t code;  ///< as in ExitReply
    int32_t signal;
};

struct StatusReply {
    uint32_t version;  ///< control_version of the shim
    ShimState state;
    char id[128];  ///< container id, empty while waiting
    StartedReply started;
    ExitReply exit;
    uint32_t exec_count;
    uint32_t zero;
};

/// The file `exit` in the runtime folder: this, then `message_length` bytes. Complete or absent,
/// never torn; a bit of it that a disk lost is told by the checksum.
struct ExitRecord {
    uint32_t magic;
    uint32_t version;  ///< exit_record_version
    ShimState state;   ///< exited or start_failed
    uint32_t message_length;
    char id[128];
    StartedReply started;
    ExitReply exit;
    uint64_t checksum;  ///< exit_checksum of all before it and of the message
};
constexpr uint32_t exit_record_version = 2;
/// What shims of an earlier installation write: it ends before the checksum.
constexpr uint32_t exit_record_version_plain = 1;
constexpr size_t exit_record_plain_bytes = offsetof(ExitRecord, checksum);
static_assert(exit_record_plain_bytes == 192 && sizeof(ExitRecord) == 200, "no gaps");

/// FNV-1a, 64 bits, for a program without libraries: every single flipped bit changes it.
inline uint64_t exit_checksum(const ExitRecord& record, const char* message) {
    uint64_t hash = 0xcbf29ce484222325;
    const auto* bytes = reinterpret_cast<const unsigned char*>(&record);
    for (size_t i = 0; i < exit_record_plain_bytes; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
    for (uint32_t i = 0; i < record.message_length; ++i)
        hash = (hash ^ static_cast<unsigned char>(message[i])) * 0x100000001b3;
    return hash;
}
constexpr uint32_t exit_record_magic = 0x3152584e;  ///< "NXR1"

}  // namespace noded
