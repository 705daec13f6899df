// Instance: one loaded plugin as the host sees it, and the call phases that the host enforces.
//
// Whatever the host calls in a plugin goes through a PhaseScope; whatever a plugin calls in the
// host goes through require(), which aborts when the call does not belong into the phase. This is
// on in production: a plugin that breaks the contract in decide or fold would make replay differ
// from what happened.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/host/loader.h"
#include "agent/reactor/reactor.h"
#include "plugins/abi/host.h"
#include "plugins/abi/rpc.h"

namespace noded::host {

class Host;
struct Timer;
struct Watch;

enum class Phase : uint8_t { outside, load, pure, replay, reactor };

/// Which file stands behind a path: written anew or replaced, it is another one. All zero for none.
struct FileIdentity {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t changed_ns = 0;

    static FileIdentity of(const std::string& path);
    bool operator==(const FileIdentity&) const = default;
};

struct Instance {
    enum class Status {
        loaded,
        loading,   ///< it came late and folds the history, slice after slice (late.cc)
        refused,
        stopped
    };

    Host* host = nullptr;
    std::string file;
    FileIdentity identity;            ///< of the file when it was opened
    Description description;
    Status status = Status::refused;
    std::string reason;               ///< why it is not loaded
    const noded_plugin* table = nullptr;
    void* self = nullptr;
    noded_host face{};                ///< what the plugin holds; face.context is this
    const noded_plugin_rpc* rpc = nullptr;
    Phase phase = Phase::outside;
    pthread_t reactor_thread{};

    uint64_t counts_from_seq = 0;
    uint64_t folded_seq = 0;
    uint64_t snapshot_seq = 0;
    uint64_t undeclared_events = 0;
    size_t proposals_queued = 0;
    bool reconciled = false;
    /// told when subscriptions change, if the plugin asked for it
    void (*topics_changed)(void* self, void* argument) NODED_NOEXCEPT = nullptr;
    void* topics_argument = nullptr;
    std::vector<std::string> topic_words;  ///< beside its id, see topic.own

    std::string state_dir;
    std::string runtime_dir;
    std::string init_failure;
    std::set<std::string> settings_asked;   ///< keys, by its init
    std::unordered_map<uint64_t, std::unique_ptr<Timer>> timers;
    std::unordered_map<uint64_t, std::unique_ptr<Watch>> watches;

    bool loaded() const { return status == Status::loaded; }
    bool requires_extension(const char* id) const;
    bool folds(uint64_t type) const;
    bool owns_event(uint64_t type) const;
};

/// "loaded"
const char* word_of(Instance::Status status);

/// Marks that the host is inside a call to the plugin.
class PhaseScope {
public:
    PhaseScope(Instance& instance, Phase phase) : instance_(instance), before_(instance.phase) {
        instance.phase = phase;
    }
    ~PhaseScope() { instance_.phase = before_; }
    PhaseScope(const PhaseScope&) = delete;
    PhaseScope& operator=(const PhaseScope&) = delete;

private:
    Instance& instance_;
    const Phase before_;
};

inline Instance& instance_of(const noded_host* face) {
    return *static_cast<Instance*>(face->context);
}

/// The instance behind a host call that is allowed on the reactor's thread only; aborts, naming
/// plugin and call, if it comes from another thread or phase.
Instance& require(const noded_host* face, const char* call, bool load_too = false);
/// The same for a call that belongs into init alone.
Instance& require_load(const noded_host* face, const char* call);

}  // namespace noded::host
