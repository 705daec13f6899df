// noded: builds every object by hand, in dependency order, then runs until a signal says stop.
//
// Start-up: recover the log, load the newest snapshot, replay by fold alone, let each plugin
// reconcile its state with the kernel, and only then open the sockets. noded is crash-only: a kill
// at any instant takes the same way.
#include <grp.h>
#include <mimalloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fcntl.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/base/time_slice.h"
#include "agent/base/version.h"
#include "agent/config.h"
#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/host/plugin_watch.h"
#include "agent/limits.h"
#include "agent/log/file_lock.h"
#include "agent/log/log.h"
#include "agent/log/snapshot.h"
#include "agent/log/storage_file.h"
#include "agent/machine_limits.h"
#include "agent/past/reader.h"
#include "agent/past/readers.h"
#include "agent/past/replica.h"
#include "agent/past/sections.h"
#include "agent/pub/outbox.h"
#include "agent/reactor/uring_reactor.h"
#include "agent/rpc/node_service.h"
#include "agent/snapshots.h"
#include "ipc/rpc/plain_calls.h"
#include "ipc/rpc/server.h"
#include "ipc/rpc/unix_socket.h"

namespace noded {
namespace {

/// The first signal stops noded; containers go on.
struct StopSignal final : reactor::SignalHandler {
    bool received = false;
    void signal(const signalfd_siginfo& info) override {
        if (received) return;
        received = true;
        log_line(Severity::info, "noded",
                 std::string("stopping on ") + strsignal(static_cast<int>(info.ssi_signo)) +
                     "; containers go on");
    }
};

/// While noded's own work beside it (a replica, the history for a plugin that came late) wants the
/// CPUs, the reactor asks for them for moments only, and so gets them first.
struct Urgency {
    static constexpr int64_t kSliceNs = 100'000;
    bool urgent = false;

    void set(bool wanted) {
        if (std::exchange(urgent, wanted) == wanted) return;
        set_time_slice(wanted ? kSliceNs : kUsualTimeSlice);
    }
};

/// What happens at the end of each turn, in this order.
struct Turn final : reactor::TurnEnd {
    host::PluginWatch& plugins;
    core::Pipeline& pipeline;
    Snapshots& snapshots;
    pub::Outbox& outbox;
    const host::Host& host;
    Urgency urgency{};

    Turn(host::PluginWatch& w, core::Pipeline& p, Snapshots& s, pub::Outbox& o,
         const host::Host& h)
        : plugins(w), pipeline(p), snapshots(s), outbox(o), host(h) {}
    void turn_end() override {
        plugins.turn_end();
        pipeline.turn_end();
        snapshots.turn_end();
        outbox.turn_end();
        urgency.set(snapshots.writing_beside() || host.is_folding_late());
    }
};

/// Wakes a pipeline whose proposals wait for disk space.
struct Retry final : reactor::Completion {
    static constexpr int64_t kEveryNs = 1'000'000'000;
    reactor::Reactor& reactor;
    core::Pipeline& pipeline;
    bool armed = false;

    Retry(reactor::Reactor& r, core::Pipeline& p) : reactor(r), pipeline(p) {}
    void arm_if_needed() {
        if (armed || !pipeline.quiescent() || !pipeline.has_work()) return;
        armed = true;
        reactor.timer(reactor.clock().monotonic_ns() + kEveryNs, *this);
    }
    void complete(int32_t, bool) override { armed = false; }
};

/// What is freed in the first seconds goes back to the machine at once: much of it was needed for a
/// start alone (libbpf reads the kernel's types, which is ten times what a node holds when it is
/// idle). Later the allocator keeps it for its usual moment, but gives nothing back from a thread
/// that has nothing to do.
struct Thrift final : reactor::Completion {
    static constexpr int64_t kForNs = 5'000'000'000;
    const long usual_ms = mi_option_get(mi_option_decommit_delay);

    void begin(reactor::Reactor& reactor) {
        mi_option_set(mi_option_decommit_delay, 0);
        reactor.timer(reactor.clock().monotonic_ns() + kForNs, *this);
    }
    void complete(int32_t, bool) override { mi_option_set(mi_option_decommit_delay, usual_ms); }
};

Status make_directory(const std::string& path, mode_t mode) {
    for (size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        if (mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) {
            return fail_errno(errno, "create directory " + path.substr(0, slash));
        }
    }
    if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return fail_errno(errno, "create directory " + path);
    return {};
}

/// sd_notify(3) by hand: one datagram.
void tell_ready() {
    const char* socket_path = getenv("NOTIFY_SOCKET");
    if (socket_path == nullptr) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const size_t length = strnlen(socket_path, sizeof address.sun_path);
    if (length == 0 || length == sizeof address.sun_path) return;
    memcpy(address.sun_path, socket_path, length);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const std::string message = "READY=1\nMAINPID=" + std::to_string(getpid());
    sendto(socket.get(), message.data(), message.size(), MSG_NOSIGNAL,
           reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

/// Lets the socket's group in, if there is one.
Status share(const std::string& path, const Config& config) {
    const bool shared = !config.socket_group.empty();
    if (chmod(path.c_str(), shared ? 0660 : 0600) != 0) return fail_errno(errno, "chmod " + path);
    if (!shared) return {};
    const group* group = getgrnam(config.socket_group.c_str());
    if (group == nullptr) {
        return fail("socketGroup names the group " + config.socket_group +
                    ", which does not exist");
    }
    if (chown(path.c_str(), 0, group->gr_gid) != 0) {
        return fail_errno(errno, "give " + path + " to the group " + group->gr_name);
    }
    return {};
}

Result<Fd> listen(const Config& config) {
    const std::string path = config.runtime_dir + "/noded.sock";
    Fd socket = TRY(rpc::listen_unix(path, 0600, SOMAXCONN));
    TRY_STATUS(share(path, config));
    return socket;
}

/// Shims are found below the runtime directory, and reconcile ends those that the log does not
/// know: two logs must never share one, not even one after the other.
Result<Fd> lock_runtime(const Config& config) {
    const std::string path = config.runtime_dir + "/state-dir";
    Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.valid()) return fail_errno(errno, "open " + path);
    char owner[PATH_MAX];
    const ssize_t size = pread(lock.get(), owner, sizeof owner, 0);
    const std::string before(owner, size > 0 ? static_cast<size_t>(size) : 0);
    if (!lock_exclusive(lock.get()) ||
        (!before.empty() && before != config.state_dir)) {
        return fail("the runtime directory " + config.runtime_dir +
                    " belongs to the node with the state directory " + before +
                    "; choose another --runtime-dir (" + path + " says it)");
    }
    if (pwrite(lock.get(), config.state_dir.data(), config.state_dir.size(), 0) < 0) {
        return fail_errno(errno, "write " + path);
    }
    return lock;
}

Result<std::unique_ptr<log::Storage>> open_state(reactor::Reactor& reactor, const Config& config) {
    TRY_STATUS(make_directory(config.state_dir, 0711));
    auto storage = log::open_file_storage(reactor, config.state_dir + "/log");
    if (!storage && storage.error().code == EWOULDBLOCK) {
        return fail("the state directory " + config.state_dir +
                    " belongs to another noded that is running; stop it or choose another "
                    "--state-dir");
    }
    return storage;
}

log::LogOptions log_options(const Config& config) {
    log::LogOptions options;
    options.segment_bytes = segment_bytes(config);
    return options;
}

log::KeeperOptions keeper_options(const Config& config) {
    return {config.log_bytes_max, segment_bytes(config), config.log_age_max_ns, config.archive,
            config.archive_bytes_max};
}

void notice(const std::string& text) {
    if (!text.empty()) log_line(Severity::warning, "log", text);
}

/// What the directories hold: the log, recovered, and the newest snapshot.
struct Recovered {
    Fd runtime_lock;
    std::unique_ptr<log::Storage> storage;
    std::unique_ptr<log::Log> log;
    std::optional<log::Snapshot> snapshot;
};

/// Fills `to`, which outlives the reactor's last turn also when this fails.
Status recover(reactor::Reactor& reactor, const Config& config, Recovered& to) {
    std::string said;
    to.storage = TRY(open_state(reactor, config));
    TRY_STATUS(make_directory(config.runtime_dir, 0755));
    to.runtime_lock = TRY(lock_runtime(config));
    to.storage->limit(TRY(log::space_at_start(*to.storage, keeper_options(config))));
    to.log = TRY(log::open_log(*to.storage, &said, log_options(config)));
    notice(said);
    to.snapshot = TRY(log::load_newest_snapshot(*to.storage, &said));
    notice(said);
    const std::string remedy = "; restore " + config.state_dir + "/log from one backup";
    if (to.snapshot && to.snapshot->seq > to.log->durable_seq()) {
        return fail("the snapshot at seq " + std::to_string(to.snapshot->seq) +
                    " is newer than the log, which ends at seq " +
                    std::to_string(to.log->durable_seq()) + remedy);
    }
    if (!to.snapshot && to.log->oldest_seq() > 1) {
        return fail("the log begins at seq " + std::to_string(to.log->oldest_seq()) +
                    " and no snapshot covers what was before" + remedy);
    }
    return {};
}

/// The first word of a file that nobody else may read.
Result<std::string> read_secret(const std::string& path) {
    constexpr size_t bytes_max = 4096;
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd.valid() || fstat(fd.get(), &info) != 0) return fail_errno(errno, "open " + path);
    if ((info.st_mode & 077) != 0)
        return fail(path + " can be read by others than its owner: chmod 600 " + path);
    std::string text(bytes_max, '\0');
    const ssize_t size = read(fd.get(), text.data(), text.size());
    if (size < 0) return fail_errno(errno, "read " + path);
    text.resize(static_cast<size_t>(size));
    return text.substr(0, text.find_first_of(" \t\r\n"));
}

Result<std::optional<ipc::PublisherSocket::Curve>> curve_of(const Config& config) {
    if (config.publish_tcp.empty()) return std::nullopt;
    ipc::PublisherSocket::Curve curve{config.publish_tcp, TRY(read_secret(config.publish_key_file)),
                                      config.publish_clients};
    if (!ipc::PublisherSocket::public_key(curve.secret_key))
        return fail(config.publish_key_file +
                    " does not hold a secret key: make one with 'nodectl keygen FILE'");
    return curve;
}

/// Opens the sockets and runs until the stop signal.
Status serve(const Config& config, reactor::UringReactor& reactor, rpc_service::Node& node,
             Retry& retry, const StopSignal& stop) {
    const std::string events = config.runtime_dir + "/events.sock";
    Fd listening = TRY(listen(config));   // tells whether another noded is there, before all else
    TRY_STATUS(node.outbox.open("ipc://" + events, TRY(curve_of(config))));
    TRY_STATUS(share(events, config));
    const rpc::PlainMethods plain(capnp::Schema::from<schema::Node>());
    auto server = std::make_unique<rpc::RpcServer>(
        reactor, std::move(listening), [&](const rpc::PeerCredentials& peer) {
            const host::Caller caller{peer.uid, peer.gid, static_cast<uint32_t>(peer.pid)};
            return rpc::serve(kj::heap<rpc_service::NodeService>(node, caller), plain);
        });
    node.clients = [&server] { return server->connections(); };
    tell_ready();
    log_line(Severity::info, "noded",
             "ready, pid " + std::to_string(getpid()) + ", state in " + config.state_dir +
                 ", seq " + std::to_string(node.log.durable_seq()));
    reactor.run_until([&] {
        retry.arm_if_needed();
        return stop.received || !node.log.sound();
    });
    const Status sound = node.log.sound();
    // A batch under way is told its end; commands that still queue are as good as never sent.
    if (sound) reactor.run_until([&] { return node.pipeline.quiescent(); });
    node.stop();
    reactor.stop();
    return sound;
}

/// Ends what plugins and sockets have under way while all that it may call is still there.
struct Shutdown {
    host::Host& host;
    pub::Outbox& outbox;
    reactor::UringReactor& reactor;
    ~Shutdown() {
        host.stop();
        outbox.close();
        reactor.stop();
    }
};

SnapshotOptions snapshot_options(const Config& config) {
    SnapshotOptions options;
    if (config.snapshot_every_events != 0) options.every_events = config.snapshot_every_events;
    options.replica_of = &config;
    options.retention = keeper_options(config);
    return options;
}

Status run(const Config& config) {
    auto reactor = TRY(reactor::UringReactor::create());
    StopSignal stop;
    const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
    TRY_STATUS(reactor->signals(stop_signals, stop));
    Recovered recovered;
    if (const Status status = recover(*reactor, config, recovered); !status) {
        reactor->stop();
        return status;
    }
    auto& [runtime_lock, storage, log, snapshot] = recovered;
    const SnapshotTaken taken =
        snapshot ? SnapshotTaken{snapshot->seq, past::state_bytes(snapshot->sections)}
                 : SnapshotTaken{};

    pub::Outbox outbox(*reactor);
    host::Host host(
        *reactor, outbox,
        {config.state_dir, config.runtime_dir, config.libexec_dir, config.plugin_dir});
    core::Pipeline pipeline(host, *log, outbox);
    Snapshots snapshots(*reactor, *storage, *log, pipeline, host, taken, snapshot_options(config));
    host::PluginWatch plugin_watch(*reactor, host, pipeline);
    Turn turn(plugin_watch, pipeline, snapshots, outbox, host);
    Retry retry(*reactor, pipeline);
    Thrift thrift;
    past::Readers readers(*reactor, config, *log);
    const Shutdown shutdown{host, outbox, *reactor};
    outbox.connect(host);
    host.configure(config.plugins);
    host.connect(pipeline, *log);
    if (const Status watching = plugin_watch.open(config.plugin_dir); !watching) {
        log_line(Severity::warning, "noded", watching.error().message);
    }
    TRY_STATUS(past::fold_all(pipeline, host, *log, std::exchange(snapshot, std::nullopt)));
    snapshots.loaded();

    thrift.begin(*reactor);
    reactor->at_turn_end(turn);
    host.reconcile();
    const MachineLimits machine = look_at_machine();
    for (const std::string& warning : machine.warnings)
        log_line(Severity::warning, "noded", warning);
    rpc_service::Node node{*reactor, pipeline, host, *log, outbox};
    node.version = kVersion;
    node.reactor_description = reactor->description();
    node.machine = machine;
    node.started_ns = reactor->clock().realtime_ns();
    node.snapshot_seq = [&] { return snapshots.newest_seq(); };
    node.log_report = [&] { return snapshots.keeper().report(); };
    node.past = [&](const rpc_service::Moment& moment) { return readers.open(moment); };
    node.stop = [&] {
        readers.stop();
        if (node.log.sound()) snapshots.write();
        host.stop();
        outbox.close();
    };
    return serve(config, *reactor, node, retry, stop);
}

/// One descriptor or two per container: the soft limit of a login shell is soon reached.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace noded

int main(int argc, char** argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && std::string_view(argv[1]) == noded::past::kReplicaVerb)
        return noded::past::replica_main(argc, argv);
    if (argc > 1 && std::string_view(argv[1]) == noded::past::kReaderVerb)
        return noded::past::reader_main(argc, argv);
    const auto config = noded::read_config(argc, argv);
    if (!config) {
        fprintf(stderr, "noded: %s\nSee 'noded --help'.\n", config.error().message.c_str());
        return 2;
    }
    if (config->show_help) {
        fputs(noded::kUsage, stdout);
        return 0;
    }
    if (config->show_version) {
        printf("noded version %s\n", noded::kVersion);
        return 0;
    }
    noded::raise_descriptor_limit();
    noded::set_log_threshold(*noded::severity_of(config->log_level));
    if (const noded::Status status = noded::run(*config); !status) {
        fprintf(stderr, "noded: %s\n", status.error().message.c_str());
        return 1;
    }
    return 0;
}
