// The life of one simulated node, see node.h.
#include "tests/sim/node.h"

#include <algorithm>
#include <cerrno>
#include <deque>

#include "agent/base/check.h"
#include "agent/base/crc32c.h"
#include "agent/log/archive.h"
#include "agent/log/beside.h"
#include "agent/past/sections.h"
#include "plugins/container/plugin.h"
#include "plugins/container/types.h"
#include "plugins/storage/plugin.h"
#include "tests/sim/stranger.h"

namespace noded::sim {
namespace {

/// The kernel of the node that loads its plugins now: a plugin's create has no parameter for it.
Kernel* loading = nullptr;

std::shared_ptr<container::Sys> shared(Kernel& kernel) { return {&kernel, [](container::Sys*) {}}; }

struct SimContainer : container::Plugin {
    using Plugin::Plugin;
    static std::expected<std::unique_ptr<SimContainer>, std::string> create(sdk::Host host) {
        return std::make_unique<SimContainer>(host, shared(*loading));
    }
};

/// Its fold depends on what is in no event: whether it is replayed.
struct BrokenContainer : container::Plugin {
    using Plugin::Plugin;
    bool live = false;
    static std::expected<std::unique_ptr<BrokenContainer>, std::string> create(sdk::Host host) {
        return std::make_unique<BrokenContainer>(host, shared(*loading));
    }
    void reconcile() {
        live = true;
        Plugin::reconcile();
    }
    void fold(const noded_event& event) {
        if (live && container::EventType(event.type) == container::EventType::image_tagged) return;
        Plugin::fold(event);
    }
};

struct SimStorage : storage::StoragePlugin {
    using StoragePlugin::StoragePlugin;
    static std::expected<std::unique_ptr<SimStorage>, std::string> create(sdk::Host host) {
        auto sys = make_storage_sys(*loading);
        if (auto opened = sys->open(); !opened) return std::unexpected(opened.error().message);
        return std::make_unique<SimStorage>(host, std::move(sys));
    }
};

const noded_plugin container_table = sdk::plugin_table<SimContainer>(&container::descriptor);
const noded_plugin broken_table = sdk::plugin_table<BrokenContainer>(&container::descriptor);
const noded_plugin storage_table = sdk::plugin_table<SimStorage>(&storage::storage_descriptor);

host::Paths paths_of(const std::string& name) {
    host::Paths paths{"/" + name + "/state", "/" + name + "/runtime", "/libexec", "", {}};
    paths.make_directory = [](const std::string&) { return Status(); };
    return paths;
}

void drop_plugins(const host::Host& host) {
    for (const auto& instance : host.instances())
        if (instance->loaded()) instance->table->destroy(instance->self);
}

/// Between pipeline and log: sees what becomes durable, and ends the process where the pipeline
/// would abort it. Two canaries break it, which the checkers must notice: the gate tells the
/// pipeline of a sync before it is true, the archive tells the keeper of archives that are not
/// there.
class WatchedLog final : public log::Log, private log::SyncDone {
public:
    WatchedLog(log::Log& log, History& history, Broken broken)
        : log_(log),
          history_(history),
          early_(broken == Broken::gate),
          claims_archives_(broken == Broken::archive) {}

    uint64_t oldest_seq() const override { return log_.oldest_seq(); }
    uint64_t next_seq() const override { return log_.next_seq(); }
    uint64_t durable_seq() const override {
        return early_ ? log_.next_seq() - 1 : log_.durable_seq();
    }
    void append(const log::Record& record) override {
        log_.append(record);
        kept_.push_back({record, Buffer(record.payload.begin(), record.payload.end()),
                         Buffer(record.sender.begin(), record.sender.end())});
        kept_.back().record.payload = kept_.back().record.sender = {};
    }
    bool fits(size_t bytes, size_t records) const override {
        return !(early_ && log_.sync_under_way()) && log_.fits(bytes, records);
    }
    Status ensure_room(size_t bytes, size_t records) override {
        return log_.ensure_room(bytes, records);
    }
    void sync(log::SyncDone& done) override {
        const uint64_t last = log_.next_seq() - 1;
        done_ = early_ ? nullptr : &done;
        if (!early_ || !log_.sync_under_way()) log_.sync(*this);
        if (early_) done.synced({}, last);
    }
    bool sync_under_way() const override { return log_.sync_under_way(); }
    Status read(uint64_t first, const log::EachRecord& each) override {
        return log_.read(first, each);
    }
    Result<uint64_t> seq_at(int64_t time_ns) override { return log_.seq_at(time_ns); }
    std::vector<log::KeptSegment> kept(int64_t oldest_ns) override {
        auto kept = log_.kept(oldest_ns);
        for (log::KeptSegment& segment : kept)
            if (claims_archives_ && segment.last_seq != 0) segment.archive_bytes = 1;
        return kept;
    }
    uint64_t newest_segment() const override { return log_.newest_segment(); }
    bool lacks_space() const override { return log_.lacks_space(); }
    bool disk_is_full() const override { return log_.disk_is_full(); }
    void archived(uint64_t segment_id, uint64_t bytes) override {
        log_.archived(segment_id, bytes);
    }
    Status remove_archive(uint64_t segment_id) override {
        return log_.remove_archive(segment_id);
    }
    Status release_before(uint64_t first) override { return log_.release_before(first); }

private:
    void synced(Status status, uint64_t durable_seq) override {
        if (!status) throw ProcessEnds();
        while (!kept_.empty() && kept_.front().record.seq <= durable_seq) {
            auto& [record, payload, sender] = kept_.front();
            record.payload = payload;
            record.sender = sender;
            history_.durable(record);
            kept_.pop_front();
        }
        if (done_ != nullptr) done_->synced(status, durable_seq);
    }

    struct KeptRecord {
        log::Record record;
        Buffer payload;
        Buffer sender;
    };

    log::Log& log_;
    History& history_;
    const bool early_;
    const bool claims_archives_;
    std::deque<KeptRecord> kept_;
    log::SyncDone* done_ = nullptr;
};

class SimOutbox final : public core::Publisher, public host::TopicSink {
public:
    explicit SimOutbox(History& history, bool forgets = false)
        : history_(history), forgets_(forgets) {}
    void publish(const core::Event& event) override {
        if (!forgets_ || event.seq % 16 != 0) history_.published(event);
    }
    bool publish_sample(const std::string&, Bytes) override { return true; }

private:
    History& history_;
    const bool forgets_;   ///< a canary
};

}  // namespace

struct SimNode::Running final : reactor::TurnEnd, reactor::Completion {
    SimReactor reactor;
    SimOutbox outbox;
    std::unique_ptr<log::Log> real_log;
    WatchedLog log;
    host::Host host;
    core::Pipeline pipeline;
    Snapshots snapshots;
    bool retry_armed = false;
    const bool forgets_commands;   ///< a canary: their ids

    Running(SimNode& node, std::unique_ptr<log::Log> opened, SnapshotTaken newest)
        : reactor(node.world_, node.realtime_offset_ns),
          outbox(node.history, node.options_.broken == Broken::outbox),
          real_log(std::move(opened)),
          log(*real_log, node.history, node.options_.broken),
          host(reactor, outbox, paths_of(node.name_)),
          pipeline(host, log, outbox),
          snapshots(reactor, node.storage, log, pipeline, host, newest, node.options_.snapshots),
          forgets_commands(node.options_.broken == Broken::memory) {
        host.connect(pipeline, log);
    }
    ~Running() override { drop_plugins(host); }

    void turn_end() override {
        if (forgets_commands) (void)pipeline.core().load({});
        pipeline.turn_end();
        snapshots.turn_end();
        if (retry_armed || !pipeline.quiescent() || !pipeline.has_work()) return;
        retry_armed = true;
        reactor.timer(reactor.clock().monotonic_ns() + 1'000'000'000, *this);
    }
    void complete(int32_t, bool) override { retry_armed = false; }
};

SimNode::SimNode(World& world, std::string name, const NodeOptions& options)
    : history(world, name),
      kernel(world, history, options_.kernel),
      world_(world),
      name_(std::move(name)),
      options_(options) {
    storage.before_change([this] { change_begins(); });
    storage.tear_blocking_writes([this](size_t) {
        if (const auto what = in_the_making()) ++world_.occurred["torn_" + *what];
        return world_.random.chance(0.5);
    });
}

SimNode::~SimNode() = default;

/// "archive" or "snapshot": one of them is unfinished.
std::optional<std::string> SimNode::in_the_making() {
    const auto names = storage.list();
    for (const std::string& name : *names) {
        if (!name.ends_with(log::kUnfinishedSuffix)) continue;
        if (log::is_in_archive(name)) return log::kArchiveFolder;
        if (name.starts_with(log::kSnapshotPrefix)) return "snapshot";
    }
    return std::nullopt;
}

void SimNode::change_begins_within(const std::string& what, double power, double misdirected) {
    if (world_.draws(misdirected))   // counted by the storage, when it comes
        storage.misdirect_next_write_to(what, uint64_t(world_.random.between(1, 3)) * 4096);
    if (world_.occurs("power_within_" + what, power)) throw ProcessEnds();
}

void SimNode::change_begins() {
    const NodeOptions& faults = options_;
    if (faults.power_within_release > 0 && storage.has_names_to_lose() &&
        world_.occurs("power_within_release", faults.power_within_release))
        throw ProcessEnds();
    const bool watches = faults.power_within_archive + faults.misdirected_archive +
                             faults.power_within_snapshot + faults.misdirected_snapshot >
                         0;
    const auto what = watches ? in_the_making() : std::nullopt;
    if (what == log::kArchiveFolder)
        change_begins_within(*what, faults.power_within_archive, faults.misdirected_archive);
    else if (what)
        change_begins_within(*what, faults.power_within_snapshot, faults.misdirected_snapshot);
    if (!changes_left_ || (*changes_left_)-- > 0) return;
    changes_left_.reset();
    ++world_.occurred["power_within_change"];
    throw ProcessEnds();
}

void SimNode::guarded(const std::function<void()>& run) {
    try {
        run();
    } catch (const ProcessEnds&) {
        crash(world_.random.chance(0.5));
    }
}

Status SimNode::recover() {
    std::string notice;
    log::LogOptions options;
    options.segment_bytes = options_.segment_bytes;
    options.new_log_id = crc32c(as_bytes(name_)) | 1;
    auto log = TRY(log::open_log(storage, &notice, options));
    auto snapshot = TRY(log::load_newest_snapshot(storage, &notice));
    if (snapshot && snapshot->seq > log->durable_seq()) return fail("the snapshot is newer");
    if (!snapshot && log->oldest_seq() > 1) return fail("no snapshot covers what was before");
    const SnapshotTaken newest =
        snapshot ? SnapshotTaken{snapshot->seq, past::state_bytes(snapshot->sections)}
                 : SnapshotTaken{};
    running_ = std::make_unique<Running>(*this, std::move(log), newest);
    Running& now = *running_;
    if (now.log.next_seq() <= history.last_seq() && !damaged)
        world_.fail(name_ + ": durable events are lost: the log ends at " +
                    std::to_string(now.log.next_seq() - 1) + ", it was at " +
                    std::to_string(history.last_seq()));
    TRY_STATUS(read_history(
        now.log, now.log.oldest_seq(),
        [this](const log::Record& event) {
            history.durable(event);
            return true;
        },
        [](uint64_t) {}));
    const host::LinkedPlugin linked[] = {
        {options_.broken == Broken::fold ? &broken_table : &container_table, "container"},
        {&storage_table, "storage"},
        {&stranger_table(), "stranger"}};
    loading = &kernel;
    let_stranger_err_with(kernel);
    TRY_STATUS(past::fold_all(now.pipeline, now.host, now.log, std::move(snapshot), linked));
    now.snapshots.loaded();
    return {};
}

void SimNode::start() {
    CHECK(!up() && refusal.empty());
    world_.tell(name_, "starts");
    guarded([this] {
        const Status recovered = recover();
        if (!recovered) {
            running_.reset();
            refusal = recovered.error().message;
            if (!damaged) world_.fail(name_ + ": an undamaged log is refused: " + refusal);
            return;
        }
        catch_up_subscriber();
        running_->reactor.at_turn_end(*running_);
        running_->host.reconcile();
        running_->reactor.run_again();
        ++restarts;
    });
}

/// The subscriber reads again what it did not get, as far as the log reaches.
void SimNode::catch_up_subscriber() {
    log::Log& log = running_->log;
    if (history.last_published() + 1 < log.oldest_seq())
        history.skip_publications(log.oldest_seq() - 1);
    (void)read_history(
        log, std::max(history.last_published() + 1, log.oldest_seq()),
        [this](const log::Record& event) {
            history.caught_up(event);
            return true;
        },
        [this](uint64_t to) { history.skip_publications(to); });
}

/// Seq of the last event of the archive that the message says is damaged, if that was on purpose.
std::optional<uint64_t> SimNode::behind_rot(const std::string& message) const {
    for (const std::string& name : rotten_)
        if (message.find(name) != std::string::npos) return log::archive_in_file(name)->last_seq;
    return std::nullopt;
}

/// Goes on behind an archive that was damaged on purpose; `gap` is told where that ends.
Status SimNode::read_history(log::Log& log, uint64_t first, const log::EachRecord& each,
                             const std::function<void(uint64_t)>& gap) {
    while (true) {
        const Status read = log.read(first, each);
        if (read) return read;
        const auto last = behind_rot(read.error().message);
        if (!last || *last < first) return read;
        gap(*last);
        first = *last + 1;
    }
}

void SimNode::rot_an_archive() {
    const auto names = storage.list();
    std::vector<std::string> archives;
    for (const std::string& name : *names)
        if (log::archive_in_file(name)) archives.push_back(name);
    if (archives.empty()) return;
    const std::string& name = archives[world_.random.below(archives.size())];
    if (!rotten_.insert(name).second) return;   // a second flip may undo the first
    ++world_.occurred["archive_rot"];
    Buffer& bytes = storage.bytes(name);
    bytes[world_.random.below(bytes.size())] ^= uint8_t(1 << world_.random.below(8));
}

void SimNode::crash(bool power) {
    world_.tell(name_, power ? "ends with the power" : "is killed");
    const double keeping[] = {0, 0.5, 0.5, 1};
    const double share = keeping[world_.random.below(4)];
    size_t kept = 0, lost = 0;
    storage.crash([&](size_t) {
        const bool keeps = world_.random.chance(share);
        ++(keeps ? kept : lost);
        return keeps;
    });
    if (lost > 0) ++world_.occurred[kept > 0 ? "torn_write" : "lost_write"];
    if (power) {
        const double back = keeping[world_.random.below(4)];
        storage.lose_names([&](const std::string&) { return world_.random.chance(back); });
    }
    // Not there yet where the power fails within a start.
    if (up() && !running_->reactor.offload_is_idle()) ++world_.occurred["crash_within_effect"];
    running_.reset();
    changes_left_.reset();
    storage_due_ns_ = INT64_MAX;
    if (power) kernel.power_failure();
    kernel_due_ns_ = world_.now_ns + 1000;   // its shims see that it is gone
    world_.after(world_.random.between(1'000'000, 500'000'000), [this] {
        if (!up() && refusal.empty()) start();
    });
}

int64_t SimNode::next_ns() const {
    const int64_t machine = std::min(storage_due_ns_, kernel_due_ns_);
    return up() ? std::min(machine, running_->reactor.next_ns()) : kernel_due_ns_;
}

void SimNode::sync_next() {
    storage_due_ns_ = INT64_MAX;
    storage.run_one();
}

void SimNode::advance() {
    bool active = false;
    guarded([&] {
        if (kernel_due_ns_ <= world_.now_ns) {
            kernel_due_ns_ = INT64_MAX;
            active = kernel.step();
        }
        if (!up()) return;
        if (storage_due_ns_ <= world_.now_ns) {
            active = true;
            sync_next();
        }
        if (running_->reactor.next_ns() > world_.now_ns) return;
        active = true;
        running_->reactor.turn();
    });
    if (active && kernel_due_ns_ == INT64_MAX)
        kernel_due_ns_ = world_.now_ns + world_.random.between(5'000, 200'000);
    if (!up() || storage.under_way() == 0 || storage_due_ns_ != INT64_MAX) return;
    const bool slow = world_.occurs("slow_sync", options_.slow_sync);
    storage_due_ns_ = world_.now_ns + world_.random.between(20'000, options_.sync_ns_max) +
                      (slow ? world_.random.between(1, 2000) * 1'000'000 : 0);
    // Counted by the storage, when they come.
    if (world_.draws(options_.sync_error)) storage.fail_next_write(EIO);
    if (!damaged && world_.draws(options_.misdirected_write)) {
        damaged = true;
        storage.misdirect_next_write(uint64_t(world_.random.between(1, 200)) * 4096);
    }
}

void SimNode::scan() {
    if (up()) running_->reactor.scan();
}

void SimNode::submit(core::Command command, core::ReplyTo to) {
    if (!up()) return;
    command.time_ns = running_->reactor.clock().realtime_ns();
    guarded([&] {
        running_->pipeline.submit(std::move(command), std::move(to));
        running_->reactor.run_again();
    });
}

void SimNode::call(const std::string& plugin, uint16_t method, Bytes params, Fd fd,
                   host::CallDone done) {
    guarded([&] {
        running_->host.call(plugin, method, params, {}, std::move(fd), std::move(done));
    });
}

// ------------------------------------------------------------------------------------- checks

namespace {

struct Folded {
    Buffer core;
    std::vector<log::Snapshot::Section> sections;
};

/// What a fresh process makes of a copy of the disk; nothing is reconciled.
Result<Folded> fold_anew(World& world, log::MemStorage& disk, bool use_snapshot) {
    log::MemStorage copy;
    const auto names = TRY(disk.list());
    for (const std::string& name : names) copy.put(name, disk.bytes(name));
    std::string notice;
    log::LogOptions options;
    options.segment_bytes = 1200 << 10;
    auto log = TRY(log::open_log(copy, &notice, options));
    std::optional<log::Snapshot> snapshot;
    if (use_snapshot) snapshot = TRY(log::load_newest_snapshot(copy, &notice));
    if (!snapshot && log->oldest_seq() > 1) return fail("too short a log");
    World apart(1);
    History nothing(apart, "apart");
    const KernelFaults none;
    Kernel kernel(apart, nothing, none);
    const int64_t offset = 0;
    SimReactor reactor(world, offset);
    SimOutbox outbox(nothing);
    host::Host host(reactor, outbox, paths_of("node"));
    core::Pipeline pipeline(host, *log, outbox);
    host.connect(pipeline, *log);
    const host::LinkedPlugin linked[] = {{&container_table, "container"},
                                         {&storage_table, "storage"},
                                         {&stranger_table(), "stranger"}};
    loading = &kernel;
    let_stranger_err_with(kernel);
    TRY_STATUS(past::fold_all(pipeline, host, *log, std::move(snapshot), linked));
    Folded folded{pipeline.core().save(), TRY(host.save())};
    drop_plugins(host);
    return folded;
}

}  // namespace

void SimNode::check_refold() {
    if (!up() || !running_->pipeline.quiescent() || damaged) return;
    const auto sections = running_->host.save();
    const Buffer core = running_->pipeline.core().save();
    for (const bool use_snapshot : {true, false}) {
        if (!use_snapshot && running_->log.oldest_seq() > 1) return;
        const std::string from = use_snapshot ? " from snapshot and log" : " from the log";
        const auto folded = fold_anew(world_, storage, use_snapshot);
        if (!folded && behind_rot(folded.error().message)) continue;
        if (!folded || !sections)
            return world_.fail(name_ + ": cannot fold again" + from + ": " +
                               (folded ? sections.error() : folded.error()).message);
        if (folded->core != core)
            world_.fail(name_ + ": the command ids differ from those folded" + from);
        for (const auto& section : *sections) {
            // One that was refused or stopped folds no more.
            if (running_->host.find(section.name) == nullptr) continue;
            const auto same = std::ranges::find(folded->sections, section.name,
                                                &log::Snapshot::Section::name);
            if (same == folded->sections.end() || same->data != section.data)
                world_.fail(name_ + ": the state of plugin " + section.name +
                            " differs from what is folded" + from);
        }
    }
}

/// The stranger may be refused or stopped, with a sentence; the others never are.
void SimNode::check_plugins() const {
    for (const auto& instance : running_->host.instances()) {
        if (instance->loaded()) continue;
        if (instance->file != "stranger")
            world_.fail(name_ + ": the plugin " + instance->file + " is not loaded: " +
                        instance->reason);
        if (instance->reason.empty()) world_.fail(name_ + ": nothing says why the stranger is out");
    }
}

void SimNode::check_history() {
    if (!up() || damaged) return;
    log::Log& log = running_->log;
    const uint64_t oldest = log.oldest_seq();
    if (options_.keeps_all && oldest != 1)
        world_.fail(name_ + ": the history begins with seq " + std::to_string(oldest) +
                    ", though nothing of it may go");
    // As who asks for the past reads it: beside the log, up to some event of it.
    const uint64_t end = log.durable_seq();
    const uint64_t last = oldest > end ? end : oldest + world_.random.below(end - oldest + 1);
    auto beside = log::open_log_beside(storage, last);
    if (!beside) return world_.fail(name_ + ": log beside: " + beside.error().message);
    log::Log* const logs[] = {&log, beside->get()};
    for (log::Log* const read : logs) {
        uint64_t next = read->oldest_seq();
        const Status status = read_history(
            *read, next,
            [&](const log::Record& event) {
                if (event.seq != next++) world_.fail(name_ + ": a gap in the history");
                history.durable(event);
                return true;
            },
            [&](uint64_t to) { next = std::min(to, read->durable_seq()) + 1; });
        if (!status) world_.fail(name_ + ": the history cannot be read: " + status.error().message);
        if (status && next != read->durable_seq() + 1)
            world_.fail(name_ + ": the history ends with seq " + std::to_string(next - 1));
    }
}

void SimNode::tell_log() {
    const auto report = running_->snapshots.keeper().report();
    if (!report) return;
    std::string files;
    const auto sizes = storage.sizes();
    for (const log::FileSize& file : *sizes)
        files += " " + file.name + "=" + std::to_string(file.bytes >> 10);
    world_.tell(name_, "rests, its log has " + std::to_string(report->bytes >> 10) + " of " +
                           std::to_string(report->bytes_max >> 10) + " KiB" +
                           (running_->log.lacks_space() ? " and lacks space:" : ":") + files);
}

void SimNode::check_at_rest() {
    if (!up()) return;
    tell_log();
    check_history();
    check_plugins();
    history.check_outcomes([this](const std::string& run) { return kernel.is_running(run); });
    kernel.check_at_rest();
    if (history.last_published() != history.last_seq())
        world_.fail(name_ + ": the subscriber ends at " + std::to_string(history.last_published()) +
                    ", the log at " + std::to_string(history.last_seq()));
}

size_t SimNode::archives() {
    const auto names = storage.list();
    return size_t(std::ranges::count_if(
        *names, [](const std::string& name) { return log::archive_in_file(name).has_value(); }));
}

uint64_t SimNode::disk_hash() {
    uint64_t hash = history.hash();
    const auto names = storage.list();
    for (const std::string& name : *names)
        hash = hash * 1099511628211u + crc32c(storage.bytes(name)) + crc32c(as_bytes(name));
    return hash;
}

}  // namespace noded::sim
