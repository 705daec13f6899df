// Effects: what the plugin does because an event is durable, and the calls that clients wait in.
//
// One Live per container that has anything going on. A Live holds durable facts only: they are set
// by react, or by reconcile after replay, never from the state, which may be ahead of the disk.
// Outcomes are proposed; decide drops those that no longer fit, so proposing twice is harmless.
//
// The functions stand in one file per effect (README.md lists them); react.cc and rpc.cc dispatch
// to them. Everything runs on the reactor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "plugins/container/cgroup.h"
#include "plugins/container/files/job.h"
#include "plugins/container/live_parts.h"
#include "plugins/container/log_topics.h"
#include "plugins/container/shim/launch_encode.h"
#include "plugins/container/shim_link.h"
#include "plugins/container/shim_pool.h"
#include "plugins/container/state.h"
#include "plugins/container/sys.h"
#include "plugins/sdk/host.h"
#include "plugins/sdk/quiet.h"

namespace noded::container {

struct Live {
    std::string id;
    std::string group;  ///< how Cgroups names it, also when the container is gone; empty: by its id

    /// its ContainerRequested is durable; else calls came before their command
    bool known = false;
    bool rootfs_ready = false;
    uint32_t start_wanted = 0;  ///< run of a start without outcome; 0: none
    sdk::Cause start;           ///< of the newest run
    uint32_t run = 0;           ///< the newest run
    bool running = false, removing = false;
    sdk::Cause removal;
    StopRequest stop;          ///< of this run
    bool kill_wanted = false;  ///< SIGKILL, of this run
    Ended end;                 ///< of the newest run
    bool restart_wanted = false;  ///< a restart follows this run
    sdk::Cause restart;           ///< of the wait for the next run
    schema::Freeze freeze = schema::Freeze::NONE;  ///< asked for, without outcome
    sdk::Cause freeze_cause;
    sdk::Cause commit;  ///< that it is paused for; seq 0: none

    ReadyShim ready;            ///< taken for the wanted start
    bool spare_groups = false;  ///< in whose groups its zygote is
    std::unique_ptr<ShimLink> link;
    uint32_t launched = 0;     ///< the run that the link's shim serves
    bool adopting = false;     ///< reconcile found the shim and waits for its status
    bool over = false;         ///< the outcome of that run is durable: the shim may go
    uint64_t release_tag = 0;  ///< of the release, once it was sent
    bool traces = false;       ///< there may be cgroups and a runtime folder
    bool places = false;       ///< folders and cgroups of the wanted start are made
    bool filling = false;      ///< its volumes: then it is launched
    bool cleaning = false;     ///< a cgroup was still busy: the removal is tried again soon
    bool removal_proposed = false;
    bool gone = false;  ///< its ContainerRemoved is durable, or it never was in the log
    uint32_t cleanup_failures = 0;

    uint64_t start_timer = 0, stop_timer = 0, park_timer = 0, adopt_timer = 0;
    uint64_t restart_timer = 0, freeze_timer = 0, release_timer = 0;
    uint64_t kill_timer = 0, kill_tag = 0;  ///< until the shim answers a SIGKILL, and of that
    bool shim_killed = false;               ///< because it did not, in this run
    std::unique_ptr<Probes> probes;  ///< of its health; none without a check, or without a run
    std::vector<Stream> streams;  ///< to be attached when it starts
    std::vector<Waiter> waiters;
    /// tag of a request to the shim → call that waits for its result
    std::map<uint64_t, uint64_t> answers;
};

class Effects final : public ShimUser {
public:
    Effects(const State& state, sdk::Host host, std::shared_ptr<Sys> sys,
            UsernsSettings userns);

    void react(const noded_event& event);
    void reconcile();
    void call(const noded_call& call);
    void cancelled(uint64_t token);
    /// Containers stay as they are.
    void stop();
    const sdk::Host& host() const { return host_; }

    void shim_said(ShimLink& link, const ControlHeader& header, Bytes payload) override;
    void shim_closed(ShimLink& link) override;

private:
    // effects.cc
    Live* find_live(std::string_view id);
    Live& live_of(const std::string& id);
    LiveExec* find_exec(std::string_view id);
    LiveExec& exec_of(const std::string& id);
    void drop_ready(Live& live);
    void drop_live(const std::string& id);
    void drop_exec(const std::string& id);
    uint64_t after(int64_t delay_ns, std::function<void()> run);
    void cancel(uint64_t& timer);
    static void fire(void* self, void* argument) noexcept;
    static void reap(void* self, void* argument, uint32_t events) noexcept;
    /// How Cgroups names it.
    static std::string cgroup_of(const Container& container);
    static const std::string& cgroup_of(const Live& live) {
        return live.group.empty() ? live.id : live.group;
    }
    std::string runtime_folder(const Live& live) const;
    std::string run_folder(const Live& live, uint32_t run) const;
    std::string state_folder(const std::string& id) const;
    void propose_started(Live& live, uint32_t pid, uint32_t shim_pid);
    void propose_start_failed(Live& live, uint32_t code, const std::string& message);
    void propose_exited(Live& live, const ExitReply& exit, bool lost);
    void propose_exec_exited(const LiveExec& exec, uint32_t code);
    void propose_exec_failed(const LiveExec& exec, uint32_t code, const std::string& message);
    void reap_when_ended(Fd pidfd);

    // effects.cc: what shims say
    void shim_started(Live& live, ShimLink& link, Bytes payload);
    void shim_start_failed(Live& live, Bytes payload);
    void shim_exited(Live& live, Bytes payload);
    void shim_exec_said(ControlType type, Bytes payload);
    void shim_result(Live& live, uint64_t tag, Bytes payload);

    // react.cc
    void container_requested(const noded_event& event);
    void start_requested(const noded_event& event);
    void started(const noded_event& event);
    void start_failed(const noded_event& event);
    void exited(const noded_event& event);
    void stop_requested(const noded_event& event);
    void kill_requested(const noded_event& event);
    void removal_requested(const noded_event& event);
    void removed(const noded_event& event);
    void exec_requested(const noded_event& event);
    void exec_exited(const noded_event& event);
    void exec_failed(const noded_event& event);
    void rootfs_prepared(const noded_event& event);
    void rootfs_prepare_failed(const noded_event& event);

    // launch.cc
    void keep_start_deadline(Live& live);
    void launch(Live& live);
    Status make_places(Live& live);
    Result<bool> make_folders(Live& live, const Options& options, const std::string& spare);
    Status launch_now(Live& live, const Container& container);
    Result<Buffer> seccomp_of(const Options& options);
    Result<LaunchSpec> launch_spec(const Live& live, const Container& container);
    Status send_spec(ShimLink& link, ControlType type, uint64_t tag, const Buffer& spec,
                     Stream stream);
    Status compile_seccomp();
    void look_at_overlay();
    std::string places_folder() const { return state_dir_ + "/places"; }
    Status make_places_layer();

    // join.cc
    Result<const Container*> running_container(const std::string& id);
    Status join_ipc(const std::string& id, LaunchSpec& spec);
    Status add_joins(const Options& options, LaunchSpec& spec);

    // attach.cc
    void attach(uint64_t token, const std::string& reference, uint32_t flags, Fd fd);
    void attach_exec(uint64_t token, const std::string& exec_id, Fd fd);
    void attach_parked(Live& live);
    void resize(uint64_t token, const std::string& reference, const std::string& exec_id,
                uint16_t rows, uint16_t columns);
    void ask_shim(Live& live, uint64_t token, ControlType type, uint32_t flags, Bytes payload,
                  std::vector<Fd> fds);
    void fail_answers(Live& live);

    // exec.cc
    void execute(LiveExec& exec, schema::ExecRequested::Reader event);
    void exec_refused(const Live& live, uint64_t tag, const std::string& why);
    void end_exec(const std::string& id, const Ended& end);

    // stop.cc
    /// `seq` of the event that asked for it: the shim takes no such request twice. 0: none.
    void send_signal(Live& live, uint32_t signal, uint64_t seq = 0);
    void send_kill(Live& live);
    void apply_stop(Live& live);

    // freeze.cc
    void freeze_requested(const std::string& id, schema::Freeze asked, const sdk::Cause& cause);
    void supersede(Live& live, schema::Freeze asked);
    void apply_freeze(Live& live);
    void look_at_freeze(Live& live, int64_t again_ns, int64_t deadline_ns);
    void propose_freeze(Live& live);
    void propose_pause_failed(Live& live, const std::string& message);
    void unpause_after_commit(Live& live);
    void commit_requested(const noded_event& event);
    void import_ended(const noded_event& event);
    void freeze_ended(const std::string& id, Until until, const std::string& failure);

    // update.cc
    void update_requested(const noded_event& event);
    void apply_update(const Live& live, const Update& update);
    void update_ended(const std::string& id, const std::string& failure);

    // health.cc
    void watch_health(Live& live, int64_t started_ns, Health health);
    void forget_health(Live& live);
    void probe_later(Live& live);
    void probe(Live& live);
    Status send_probe(Live& live, const Container& container);
    static void probe_readable(void* self, void* argument, uint32_t events) noexcept;
    bool take_frames(Probes& probes);
    void probe_timed_out(Live& live);
    void end_probe(Probes& probes);
    void probe_ended(Live& live, int32_t code, const std::string& why);
    void propose_health(Live& live, int32_t code, const std::string& output);
    void fill_health(const Container& container, schema::ContainerState::Builder out) const;

    // again.cc
    void restart_scheduled(const noded_event& event);
    void wait_for_restart(Live& live, int64_t due_ns, uint32_t delay_ms, const sdk::Cause& cause);
    HostFacts look_at_host() const;
    void observe_host();

    // cleanup.cc
    void advance(Live& live);
    void advance_later(const std::string& id);
    void release_later(Live& live);
    void release(const std::string& id, uint64_t tag);
    void clean(Live& live, bool everything);
    void cleaned(Live& live, bool everything, Status status);
    Status clean_now(const Live& live);
    Status throw_away(const std::string& id);
    void empty_trash();
    void propose_removed(Live& live);

    // wait.cc
    void wait(uint64_t token, const std::string& reference, Until until);
    void wait_exec(uint64_t token, const std::string& exec_id, bool started);
    void answer(uint64_t token, const Ended& end);
    void answer_exec(uint64_t token, const Ended& end);
    void answer_waiters(Live& live, std::initializer_list<Until> which, const Ended& end);
    bool may_park(uint64_t token);
    bool park_unknown(uint64_t token, const std::string& id);
    void park_deadline(const std::string& id);
    bool park_unknown_exec(uint64_t token, const std::string& id);
    void remember_end(const std::string& id, const Ended& end);

    // files.cc
    void files(uint64_t token, const std::string& reference, schema::FilesJob::Reader asked,
               Fd stream);
    std::vector<files::Bind> binds_of(const Container& container) const;
    files::Job job_of(const Container& container, files::Verb verb) const;
    Status spawn_files(const files::Job& job, const std::string& id, uint64_t token, Fd stream);
    static void files_readable(void* self, void* argument, uint32_t events) noexcept;
    void files_done(FilesWork& work);
    void cut_files_off(const std::string& id, bool all, const std::string& why);
    void forget_files(uint64_t token);

    // volumes.cc
    std::string volume_folder(const std::string& id, const std::string& name) const;
    bool has_volumes(const Container& container) const;
    void fill_volumes(Live& live, const Container& container);
    void volumes_filled(const FilesWork& work);
    void place_volumes(const Container& container, LaunchSpec& spec) const;

    // read_log.cc
    void read_log(uint64_t token, const std::string& reference, int64_t tail, uint64_t position);

    // top.cc
    void top(uint64_t token, const std::string& reference);

    // reconcile.cc
    Live& live_from(const Container& container);
    uint32_t newest_run_folder(const Live& live) const;
    Status note_group(const Live& live) const;
    std::string noted_group(const Live& live) const;
    void reconcile_container(Live& live, const Container& container);
    bool adopt(Live& live);
    void adopt_starting(const std::string& id, int attempts_left);
    void adopted(Live& live, Bytes payload);
    /// `knows_signals`: its shim drops a signal that it has had.
    void adopt_running(Live& live, const StartedReply& started, bool knows_signals,
                       const std::vector<ExecReply>& execs);
    void reconcile_execs(const Container& container, const std::vector<ExecReply>& there);
    void shim_lost(Live& live);
    bool read_exit_record(Live& live);
    void tell_end(Live& live, ShimState state, const StartedReply& started, const ExitReply& exit,
                  const std::string& message);
    bool kill_leftovers(const Live& live);
    void remove_strays();
    void destroy_stray(const std::string& id);

    // rpc.cc
    void list(uint64_t token, const std::string& after);
    void inspect(uint64_t token, const std::string& reference);
    void log_file(uint64_t token, const std::string& reference);
    void fill(const Container& container, schema::ContainerState::Builder out) const;
    const Container* find_or_refuse(uint64_t token, const std::string& reference);

    /// Both are arguments of callbacks: their places in the maps do not move.
    struct Timer {
        Effects* owner = nullptr;
        uint64_t key = 0;
        uint64_t handle = 0;
        std::function<void()> run;
    };
    struct Zombie {
        Effects* owner = nullptr;
        uint64_t key = 0;
        Fd pidfd;
        uint64_t watch = 0;
    };

    const State& state_;
    sdk::Host host_;
    std::shared_ptr<Sys> sys_;
    std::string runtime_dir_;
    std::string state_dir_;
    std::string files_program_;
    UsernsSettings userns_;
    std::shared_ptr<const Cgroups> cgroups_;
    Buffer seccomp_;
    bool overlay_has_extras_ = false;
    bool has_places_ = false;  ///< the lowest layer of all containers is there
    bool emptying_trash_ = false, trash_filled_ = false;  ///< filled since that began
    std::map<std::string, std::unique_ptr<Live>, std::less<>> lives_;
    std::map<std::string, std::unique_ptr<LiveExec>, std::less<>> execs_;
    /// waiting call → id of the Live or LiveExec that has it
    std::map<uint64_t, std::string> call_homes_;
    std::map<std::string, Ended> ends_;   ///< of containers that are gone
    std::deque<std::string> ends_order_;  ///< oldest first
    size_t unknown_ = 0;  ///< Lives and LiveExecs that wait for their command
    LogTopics log_topics_;
    sdk::Quiet quiet_;
    ShimPool pool_;
    std::map<uint64_t, Timer> timers_;
    std::map<uint64_t, Zombie> zombies_;
    std::map<uint64_t, std::unique_ptr<FilesWork>> files_;
    uint64_t keys_ = 0;  ///< of timers, zombies and jobs on files
    uint64_t tags_ = 0;  ///< of requests to shims
};
}  // namespace noded::container
