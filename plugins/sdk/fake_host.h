// FakeHost: an in-memory noded for plugin tests, with the behaviour of the real host and none of
// its waiting.
//
// One or several plugins are loaded by their tables. A command goes decide → fold (by all that fold
// it) → react, and so does all that follows from it, until nothing is left to do. Time stands still
// until advance(); offloaded work runs when the plugins are quiet, or by hand; descriptors are
// polled by hand. The contexts of plugins/abi are enforced as in the real host: a host call from
// decide, fold or the offload lane aborts.
//
// Used by the tests of every plugin and by transcript.h. Single-threaded.
#pragma once

#include <capnp/schema-loader.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/ids.h"
#include "plugins/abi/plugin.h"
#include "plugins/abi/rpc.h"
#include "plugins/sdk/message.h"

namespace noded::sdk {

/// Who sends a command.
struct CommandOptions {
    CommandId id;  ///< zero: 1, 2, 3 … in the first four bytes
    uint32_t uid = 0;
    uint32_t gid = 0;
};

class FakeHost {
public:
    struct Event {
        uint64_t seq = 0;
        uint64_t type = 0;
        std::string name;  ///< "ContainerStarted"
        int64_t time_ns = 0;
        uint64_t cause_seq = 0;
        CommandId command_id;
        Buffer payload;

        noded_bytes bytes() const { return {payload.data(), payload.size()}; }
    };
    struct Outcome {
        bool accepted = false;
        bool retried = false;
        uint64_t first_seq = 0;  ///< of its own events; 0 if it caused none
        uint64_t last_seq = 0;
        noded_rejection code{};  ///< and message: of a rejection
        std::string message;
        CommandId id;
    };
    using Options = CommandOptions;
    struct Answer {
        bool refused = false;
        noded_rejection code{};
        std::string message;  ///< of a refusal
        Buffer results;
        Fd fd;  ///< sent along; invalid for none

        noded_bytes bytes() const { return {results.data(), results.size()}; }
        std::string text() const { return std::string(as_text(results)); }
    };
    struct Published {
        std::string topic;  ///< "<plugin>/<suffix>"
        Buffer payload;
    };
    struct Line {
        int severity = 0;
        std::string text;
    };

    /// State, runtime and libexec directory are made below a new directory in /tmp and removed at
    /// the end.
    FakeHost();
    ~FakeHost();
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    /// Loads a plugin after those that it needs, and lets it reconcile. Empty, or why it was
    /// refused.
    std::string load(const noded_plugin* table);
    /// Makes a type known that no loaded plugin's schema has: for injected events and for
    /// describe().
    template <typename T>
    void know() {
        schemas().loadCompiledTypeAndDependencies<T>();
        know(capnp::Schema::from<T>().getShortDisplayName().cStr(), capnp::typeId<T>());
    }

    // --- Commands and events. Each runs until all is quiet.
    template <typename T>
    Outcome command(std::function<void(typename T::Builder)> fill, const Options& options = {}) {
        Message<T> message;
        fill(*message);
        return command(capnp::typeId<T>(), message.flat(), options);
    }
    Outcome command(uint64_t type, noded_bytes payload, const Options& options = {});
    /// Appends an event of a plugin that is not loaded. Returns its seq.
    template <typename T>
    uint64_t inject(std::function<void(typename T::Builder)> fill, const CommandId& id = {}) {
        know<T>();
        Message<T> message;
        fill(*message);
        return inject(capnp::typeId<T>(), message.flat(), id);
    }
    uint64_t inject(uint64_t type, noded_bytes payload, const CommandId& id = {});

    const std::deque<Event>& events() const;
    /// The newest event of a type, nullptr if there is none.
    const Event* last(uint64_t type) const;
    template <typename T>
    const Event* last() const {
        return last(capnp::typeId<T>());
    }
    template <typename T>
    size_t count() const {
        size_t found = 0;
        for (const Event& event : events()) found += event.type == capnp::typeId<T>();
        return found;
    }
    /// `ContainerStarted (id = "…", pid = 7)`; the host's own directories read $STATE, $RUNTIME and
    /// $LIBEXEC.
    std::string describe(const Event& event) const;
    /// All events with seq > after, one a line.
    std::string describe_since(uint64_t after) const;

    /// A setting of the configuration, "<plugin>.<key>"; before the plugin is loaded.
    void set(const std::string& key, const std::string& value);

    // --- Calls. The answer comes when the plugin gives it: nullptr until then.
    uint64_t call(std::string_view plugin, std::string_view method, noded_bytes params, Fd fd = {});
    template <typename Params>
    uint64_t call(std::string_view plugin, std::string_view method,
                  std::function<void(typename Params::Builder)> fill, Fd fd = {}) {
        Message<Params> params;
        fill(*params);
        return call(plugin, method, params.flat(), std::move(fd));
    }
    Answer* answer(uint64_t token);
    /// The client of the call went away.
    void cancel(uint64_t token);

    // --- What happens when.
    /// Moves the clocks, firing timers in order of their deadlines.
    void advance(int64_t ns);
    /// Reports ready descriptors once, waiting for the first at most `timeout_ms`. Returns how many
    /// were ready.
    int poll_fds(int timeout_ms = 0);
    /// With true, offloaded work waits for run_offload().
    void hold_offload(bool hold);
    /// Runs one job that waits, and what follows from it. False: there is none.
    bool run_offload();
    /// With true, the lane refuses work as if it were full.
    void fill_offload(bool full);
    /// With true, events are folded but react is not called: the instant before a crash. False
    /// catches up.
    void hold_reactions(bool hold);
    /// Until nothing is left to do. Only needed after a plugin was poked from outside.
    void run();

    // --- Crashes and snapshots.
    /// kill -9 and a new start: queued proposals, waiting work, timers, watches and open calls are
    /// gone; new instances fold all events, then reconcile.
    void restart();
    /// The same, but the state comes from snapshots taken before.
    void restart_from_snapshot();
    Buffer snapshot(std::string_view plugin);
    /// Empty if a new instance that folds all events, and one that loads the snapshot, both save
    /// the bytes that the present one saves; otherwise says which differs.
    std::string snapshot_trouble(std::string_view plugin);
    /// Empty if each snapshot with one byte changed is loaded, or refused with the state as it was;
    /// otherwise says which is not.
    std::string damaged_snapshot_trouble(std::string_view plugin);

    // --- What plugins left behind.
    const std::vector<Published>& published() const;
    void forget_published();
    /// Somebody subscribes to a prefix of topics, or no longer.
    void subscribe(const std::string& prefix, bool on = true);
    /// With true, each message is missed by some subscriber.
    void set_subscriber_slow(bool slow);
    const std::vector<Line>& lines() const;
    /// Proposals that decide found stale, and events that were refused because the descriptor lacks
    /// them.
    uint64_t stale_proposals() const;
    uint64_t undeclared_events() const;
    /// Answers to calls that were answered already or whose client had gone.
    uint64_t late_answers() const;
    size_t timers() const;
    size_t watches() const;
    size_t open_calls() const;
    std::string state_dir(std::string_view plugin) const;
    std::string runtime_dir(std::string_view plugin) const;
    std::string libexec_dir() const;
    int64_t realtime_ns() const;

    /// The schema of a type by name or id; nothing if unknown. Used by transcript.h.
    uint64_t type_named(std::string_view name) const;
    capnp::SchemaLoader& schemas();
    /// The next command's id if Options has none.
    CommandId next_id() const;
    /// Replaces the host's own directories in `text`, see describe().
    std::string anonymous(std::string text) const;

    struct Impl;

private:
    void know(std::string name, uint64_t type);

    std::unique_ptr<Impl> impl_;
};

}  // namespace noded::sdk
