// What belongs to a container that has anything going on, beside its Live (effects.h): streams and
// calls that wait, its execs, the probes of its health, and helpers at work on its files.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "plugins/container/health_check.h"
#include "schemas/container.capnp.h"

namespace noded::container {

using Until = schema::Container::Until;

/// A stream socket of a client, on its way to a shim.
struct Stream {
    Fd fd;
    uint32_t flags = 0;      ///< attach_* bits
    int64_t given_ns = 0;    ///< monotonic
};

/// What a wait is answered with.
struct Ended {
    uint32_t exit_code = 0;
    std::string error;
    bool start_failed = false;
};

struct Waiter {
    uint64_t token = 0;
    Until until{};
    bool asked = false;  ///< PAUSED, UNPAUSED: what it waits for was asked for, by whomsoever
};

class Effects;
/// Of a container with a health check, while it runs. An argument of callbacks: it does not move.
struct Probes {
    struct Result {
        int64_t begin_ns = 0;
        int64_t end_ns = 0;
        int32_t exit_code = 0;
        std::string output;
    };
    Effects* owner = nullptr;
    std::string id;
    int64_t started_ns = 0;  ///< the run
    Health health;           ///< with single failures, which are no events
    std::deque<Result> results;
    uint64_t timer = 0;   ///< of the next probe, or of the end of the present one's time
    std::string exec_id;  ///< of the present one; empty for none
    int64_t begin_ns = 0;
    Fd socket;
    uint64_t watch = 0;
    Buffer input;        ///< frames that have not come whole
    std::string output;  ///< of the present one
};

/// An exec that runs, or whose stream came before its command.
struct LiveExec {
    std::string id;
    std::string container_id;  ///< empty until its ExecRequested is durable
    Stream stream;
    bool started = false;
    bool from_before = false;  ///< without outcome when noded started
    uint64_t park_timer = 0;
    uint64_t tag = 0;  ///< of its packet to the shim
    std::vector<Waiter> waiters;
};

/// A helper process at work on a container's files. An argument of callbacks: it does not move.
struct FilesWork {
    Effects* owner = nullptr;
    uint64_t key = 0;
    uint64_t token = 0;  ///< 0: nobody waits for it any more
    std::string container_id;
    bool fills = false;        ///< the volumes, for a start
    bool sees_mounts = false;  ///< it keeps the container's root mounted, or mounts it itself
    uint32_t pid = 0;
    Fd pidfd;
    Fd outcome;
    uint64_t watch = 0;
    std::string text;     ///< of the outcome, as far as it has come
    std::string cut_off;  ///< why it was ended before it was done
};

}  // namespace noded::container
