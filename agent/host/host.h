// Host: the plugins of one node, and the core's Domain over them.
//
// Loads plugins in dependency order, routes commands to the one that decides them and events to all
// that fold them, gives each the extensions that it required, and enforces the contract of
// plugins/abi. Everything runs on the reactor's thread. A plugin that is refused or stopped stays
// listed with the reason; the others go on.
//
// Called by: main (load, replay, reconcile, snapshots), the pipeline (Domain), the RPC service
// (call, list).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/ids.h"
#include "agent/base/result.h"
#include "agent/core/domain.h"
#include "agent/core/pipeline.h"
#include "agent/host/instance.h"
#include "agent/host/late_history.h"
#include "agent/log/log.h"
#include "agent/log/snapshot.h"
#include "agent/reactor/reactor.h"

namespace noded::host {

/// mkdir(2); a directory that is there already is as good.
Status make_directory_on_disk(const std::string& path);

struct Paths {
    std::string state_dir;
    std::string runtime_dir;
    std::string libexec_dir;
    std::string plugin_dir;   ///< empty: none but what is linked in
    std::function<Status(const std::string&)> make_directory = make_directory_on_disk;
};

/// What the configuration says to plugins: id of the plugin, key, value as text.
using Settings = std::map<std::string, std::map<std::string, std::string>>;

/// A plugin that is linked into the program (simulator).
struct LinkedPlugin {
    const noded_plugin* table = nullptr;
    std::string name;   ///< stands where a loaded plugin has its file
};

/// Where samples of plugins go (agent/pub).
class TopicSink {
public:
    virtual ~TopicSink() = default;
    /// False: a subscriber was too slow and missed it.
    virtual bool publish_sample(const std::string& topic, Bytes payload) = 0;
    /// The prefixes that somebody subscribed to.
    virtual void visit_subscriptions(const std::function<void(const std::string&)>&) const {}
};

/// What a plugin answered to a call.
struct CallResult {
    bool answered = false;       ///< else `rejection` says why
    Buffer results;
    Fd fd;
    core::Rejection rejection;
};
using CallDone = std::move_only_function<void(CallResult)>;

struct Caller {
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t pid = 0;
};

class Host final : public core::Domain {
public:
    Host(reactor::Reactor& reactor, TopicSink& topics, Paths paths);
    ~Host() override;

    /// Before anything is loaded; without it every plugin has its defaults.
    void configure(Settings settings) { settings_ = std::move(settings); }

    /// The pipeline is built over this domain, so it is told here afterwards.
    void connect(core::Pipeline& pipeline, log::Log& log);

    /// Before replay: loads what is linked in and what stands in the plugin directory, with state
    /// from `snapshot`, whose sections it takes. Returns the seq from which the log must be folded.
    /// A plugin that cannot be loaded is listed as refused.
    uint64_t load_directory(log::Snapshot* snapshot, std::span<const LinkedPlugin> linked = {});
    /// For the tests of the host itself: one plugin, without a log; before replay.
    void load_static(const noded_plugin& table, const std::string& name);

    /// While running and quiescent: loads one more file, folds from the log, reconciles; then tries
    /// again what was refused for want of it. Nothing happens if the very file is loaded already.
    /// A long history is folded in slices, by fold_late.
    void load_late(const std::string& path);
    /// For the tests of the host itself.
    void load_late(const noded_plugin& table, const std::string& name);
    /// Once per turn: a slice of the history for a plugin that came late.
    void fold_late();
    /// One of them needs events of which a snapshot of now would know nothing.
    bool is_folding_late() const { return !folding_.empty(); }
    /// How many came late and are loaded.
    uint64_t loaded_late() const { return loaded_late_; }

    /// Subscriptions came or went.
    void subscriptions_changed();
    /// A subscription to this prefix can take topics of a plugin that is loaded.
    bool has_topics_for(const std::string& prefix) const;

    /// After replay: each plugin compares its state with the kernel.
    void reconcile();
    /// Reverse dependency order.
    void stop();

    /// The state of all plugins as sections of a snapshot; only while the pipeline is quiescent.
    Result<std::vector<log::Snapshot::Section>> save() const;

    // core::Domain
    void decide(const core::Command& command, core::Decision& decision) override;
    void fold(const core::Event& event) override;
    void react(const core::Event& event) override;

    /// A client's call of a plugin. Returns a token for cancel, 0 if `done` was told at once.
    uint64_t call(const std::string& plugin, uint16_t method, Bytes params, Caller caller, Fd fd,
                  CallDone done);
    void cancel(uint64_t token);

    const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }
    const Instance* find(const std::string& id) const;
    /// Why find() gives none: a sentence for whoever asked for it.
    std::string why_not(const std::string& id) const;
    /// Owner and name of an event type; nullptr if no loaded plugin emits it.
    const Instance* owner_of_event(uint64_t type, const std::string** name) const;
    /// Null if nobody decides commands of that type.
    const std::string* name_of_command(uint64_t type) const;

    // For the extensions (ext_*.cc).
    reactor::Reactor& reactor() { return reactor_; }
    TopicSink& topics() { return topics_; }
    const Paths& paths() const { return paths_; }
    /// What the configuration says to a plugin, or nullptr; valid as long as the host is.
    const char* setting(const std::string& plugin, const std::string& key) const;
    int propose(Instance& from, core::Command command);
    void submit(core::Command command);
    void answer(Instance& from, uint64_t token, CallResult result);
    void stop_plugin(Instance& instance, std::string reason);
    uint64_t next_handle() { return ++last_handle_; }
    /// Runs `enter` when the folded state is the durable one; plugins are entered in no other way.
    void when_durable(std::move_only_function<void()> enter) {
        pipeline_->when_durable(std::move(enter));
    }

private:
    struct PendingCall {
        Instance* instance = nullptr;
        CallDone done;
    };

    Instance& list_file(const std::string& file);
    void refuse(Instance& instance, std::string reason);
    Status admit(Instance& instance, const noded_plugin& table, Description description);
    Status start(Instance& instance);
    Status check_ownership(const Description& description) const;
    void warn_of_settings_for_nobody() const;
    /// Every setting of the configuration is one that its init asked for.
    Status check_settings(const Instance& instance) const;
    Status make_directories(Instance& instance) const;
    Status load_state(Instance& instance);
    void fold_into(Instance& instance, const core::Event& event, Phase phase);
    void fold_next_slice();
    Status fold_slice(Instance& instance);
    void admit_late(Instance& instance, const noded_plugin* table, Result<Description> described);
    void finish_late(Instance& instance);
    void stop_operations(Instance& instance);
    void enter_call(uint64_t token, uint16_t method, Bytes params, Caller caller, Fd fd);
    bool is_loaded_from(const std::string& path) const;
    void retry_those_that_need(const std::string& id);
    log::Snapshot::Section section_of(Instance& instance) const;

    reactor::Reactor& reactor_;
    TopicSink& topics_;
    const Paths paths_;
    Settings settings_;
    core::Pipeline* pipeline_ = nullptr;
    log::Log* log_ = nullptr;
    bool running_ = false;                                        ///< replay is over
    /// loaded ones in dependency order
    std::vector<std::unique_ptr<Instance>> instances_;
    /// by command and by own event type
    std::unordered_map<uint64_t, Instance*> deciders_;
    std::unordered_map<uint64_t, std::vector<Instance*>> folders_;   ///< by event type
    std::unordered_map<uint64_t, PendingCall> calls_;             ///< by token
    /// Sections of the snapshot whose plugin is not loaded: kept for when it comes, and in later
    /// snapshots.
    std::vector<log::Snapshot::Section> unclaimed_;
    std::deque<Instance*> folding_;   ///< one after another
    LateHistory late_history_;        ///< of the first of them
    size_t turns_waited_ = 0;         ///< since the last slice
    uint64_t loaded_late_ = 0;
    uint64_t last_handle_ = 0;
};

}  // namespace noded::host
