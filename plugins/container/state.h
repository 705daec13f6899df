// State: everything that the plugin folded. Changed by fold.cc alone, read by decide, effects and
// calls.
//
// Pure: no clock, no descriptor. Invariants: by_name has exactly the names of by_id; a container in
// phase running has a pid; removing is the last phase.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/base/ids.h"
#include "agent/base/result.h"
#include "plugins/container/image_view.h"
#include "plugins/container/spec.h"
#include "plugins/container/userns.h"
#include "plugins/sdk/host.h"
#include "schemas/container.capnp.h"

namespace noded::container {

using Phase = schema::Phase;

struct Exec {
    std::string id;    ///< also, in hexadecimal, that of its command
    uint64_t seq = 0;  ///< of its ExecRequested
    bool done = false;
    uint32_t exit_code = 0;
    std::string error;  ///< it never ran
};

/// The rootfs as storage prepared it.
struct Rootfs {
    bool ready = false;
    std::string error;                ///< why there is none
    std::vector<std::string> lowers;  ///< top first
    std::string upper;
    std::string work;
};

/// A stop that was asked for during the present run.
struct StopRequest {
    uint32_t signal = 0;  ///< 0: none
    int32_t timeout_seconds = 0;
    int64_t requested_ns = 0;
};

/// A signal that was asked for during the present run: the newest of each number.
struct SignalRequested {
    uint32_t signal = 0;
    uint64_t seq = 0;  ///< of its ContainerKillRequested
};

/// New limits of a running container that were asked for and have no outcome yet.
struct Update {
    Resources resources;
    RestartPolicy restart;
    sdk::Cause cause;  ///< seq 0: none
};

/// What noded found of the host, and how it was configured, when it started last.
struct HostFacts {
    std::string boot_id;
    uint32_t cpus = 0;  ///< online; 0: not known
    Userns userns;
    std::string cpu_list;  ///< these two as the kernel lists them; empty: not known
    std::string memory_nodes;
    bool operator==(const HostFacts&) const = default;
};

struct Container {
    std::string id;
    std::string name;
    Spec spec;
    Phase phase = Phase::REQUESTED;
    Rootfs rootfs;
    uint32_t run = 0;  ///< counts the starts
    uint32_t pid = 0;  ///< these three: of the running one, else 0
    uint32_t shim_pid = 0;
    uint64_t pid_start_time = 0;
    uint32_t exit_code = 0;
    bool oom_killed = false;
    std::string error;  ///< why the last start failed
    int64_t created_ns = 0;
    int64_t started_ns = 0;
    int64_t finished_ns = 0;
    uint64_t created_seq = 0;
    sdk::Cause start;    ///< the ContainerStartRequested of this run
    sdk::Cause removal;  ///< the ContainerRemovalRequested
    StopRequest stop;
    bool kill_requested = false;     ///< SIGKILL, during this run
    std::vector<SignalRequested> signals;  ///< of this run, by seq
    bool remove_after_exit = false;  ///< by force
    bool restart_after_exit = false;  ///< asked for during this run
    bool stopped_by_user = false;     ///< since its newest start by somebody
    bool restarted_by_policy = false;  ///< this run
    uint32_t restart_count = 0;        ///< by policy, since somebody started it
    uint32_t restart_delay_ms = 0;     ///< of the newest of them
    int64_t next_start_ns = 0;         ///< in phase restarting
    sdk::Cause restart;                ///< the ContainerRestartScheduled, in phase restarting
    bool paused = false;
    schema::Freeze freeze = schema::Freeze::NONE;  ///< asked for, without outcome
    sdk::Cause freeze_cause;
    Update update;
    sdk::Cause commit;  ///< under way, or over while it still is paused for it; seq 0: none
    bool commit_pauses = false;
    bool commit_over = false;  ///< it may go on
    Health health;  ///< of this run
    std::vector<Exec> execs;         ///< oldest first

    bool live() const { return phase == Phase::STARTING || phase == Phase::RUNNING; }
    bool freezes() const {
        return freeze == schema::Freeze::PAUSE || (paused && freeze == schema::Freeze::NONE);
    }
    const Exec* find_exec(std::string_view exec_id) const;
    Exec* find_exec(std::string_view exec_id);
    size_t execs_running() const;
};

struct State {
    std::map<std::string, Container, std::less<>> by_id;
    std::map<std::string, std::string, std::less<>> by_name;
    std::unordered_map<std::string, std::string> container_by_exec;
    Images images;
    HostFacts host;

    /// By id, name, or a prefix of an id that fits one container only. The error is docker's
    /// sentence; its code is a noded_rejection.
    Result<const Container*> find(std::string_view reference) const;
    const Container* get(std::string_view id) const;
    Container* get(std::string_view id);

    void save(schema::ContainerSnapshot::Builder out) const;
    /// Into a new one. Throws kj::Exception where it cannot be read.
    void load(schema::ContainerSnapshot::Reader in);
};

HostFacts read_host(schema::HostObserved::Reader in);
void write_host(const HostFacts& facts, schema::HostObserved::Builder out);

/// 64 hexadecimal digits: an id that may belong to a command still on its way.
bool is_full_id(std::string_view text);
/// The command at the root of what has this id.
CommandId root_command(const std::string& id);

/// Without log path, which only the effects know.
void write_container(const Container& container, schema::ContainerState::Builder out);

/// What a list shows of it, and about how many bytes that takes.
void write_summary(const Container& from, schema::ContainerState::Builder out);
size_t summary_bytes(const Container& container);

}  // namespace noded::container
