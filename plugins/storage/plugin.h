// The storage plugin's class: its folded state, and what is in memory only — archives that were
// given, calls that wait, the queue to the store. All of the latter is lost in a crash and made
// anew by reconcile.cc, or, of calls, asked for again by their clients.
//
// The store takes one long operation at a time. An import or a commit holds it from its start until
// its outcome was folded, because until then a sweep would take its layers for garbage.
#pragma once

#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/base/fd.h"
#include "plugins/sdk/plugin.h"
#include "plugins/sdk/quiet.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/state.h"
#include "plugins/storage/sys.h"

namespace noded::storage {

extern const noded_descriptor storage_descriptor;

class StoragePlugin {
public:
    static std::expected<std::unique_ptr<StoragePlugin>, std::string> create(sdk::Host host);
    StoragePlugin(sdk::Host host, std::shared_ptr<Sys> sys)
        : host_(host), sys_(std::move(sys)), quiet_(host, limits::put_off_max) {}

    // plugin.cc
    void decide(const noded_command& command, sdk::Decision& out) const;
    void fold(const noded_event& event);
    void save(const sdk::Sink& sink) const;
    bool load(noded_bytes bytes);
    void stop() {
        quiet_.stop();
        if (save_job_) save_job_->stop = true;  // the lane is waited for
    }
    const noded_plugin_rpc* rpc();
    const sdk::Host& host() const { return host_; }

    void react(const noded_event& event);  // react.cc
    void reconcile();                      // reconcile.cc
    void call(const noded_call& call);     // rpc.cc
    void cancelled(uint64_t token);

private:
    struct Given {
        Fd file;
        int64_t given_ns;
    };
    /// A call of Storage.save.
    struct Save {
        uint64_t token;
        Fd file;
        std::vector<std::string> references;
    };

    // rpc.cc
    void list_images(const noded_call& call);
    void inspect_image(const noded_call& call);
    void give(const noded_call& call);
    void wait_import(const noded_call& call);
    void answer_waits(const CommandId& command);
    void respond_outcome(uint64_t token, const ImportOutcome& outcome);

    // import.cc
    void request_import(const Origin& origin);
    bool start_import();
    void finish_import(const Origin& origin, Result<std::vector<image::ImportedImage>> images);
    void import_ended(const CommandId& command);
    void fail_import(const Origin& origin, const std::string& message);
    void park(const CommandId& command, Fd file);
    void drop_old_archives();

    // commit.cc
    void request_commits();
    bool start_commit(const Origin& origin, const Import& wanted);
    void give_up_commits();

    // save.cc
    void save_images(const noded_call& call);
    bool start_save();
    bool stop_save(uint64_t token);

    // images.cc
    void want_sweep();
    void container_gone();
    bool start_sweep();
    void next_store_work();

    void remove_strays();  // reconcile.cc

    // rootfs.cc
    void prepare(const std::string& id, const Container& container);
    void remove(const std::string& id, const Container& container);
    void delete_detached();
    void delete_later();
    void refill_spares();
    void refill_later();

    sdk::Host host_;
    std::shared_ptr<Sys> sys_;  // shared with work on the offload lane
    State state_;

    std::map<CommandId, Given> given_;
    uint64_t given_timer_ = 0;
    std::multimap<CommandId, uint64_t> waits_;  // token by import

    sdk::Quiet quiet_;
    size_t detached_ = 0;  ///< by removals, and not deleted yet
    bool making_spares_ = false, spares_put_off_ = false;

    std::deque<Origin> imports_waiting_;
    std::map<CommandId, int64_t> commits_since_;  // they wait for the store since then
    uint64_t commit_timer_ = 0;
    std::set<CommandId> failed_commits_;  // whose outcome was proposed before they began
    std::deque<Save> saves_waiting_;
    uint64_t saving_ = 0;  ///< the token of the call that holds the store
    std::shared_ptr<SaveJob> save_job_;
    bool sweep_wanted_ = false;
    bool orphans_ = false;  // the last sweep kept layers that only containers refer to
    bool store_busy_ = false;
    CommandId importing_;  // the import that holds the store; zero for a sweep or a save
    uint64_t retry_timer_ = 0;
};

inline sdk::Cause cause_of(const Origin& origin) {
    sdk::Cause cause;
    cause.seq = origin.seq;
    memcpy(cause.command_id, origin.command_id.bytes.data(), sizeof cause.command_id);
    return cause;
}

}  // namespace noded::storage
