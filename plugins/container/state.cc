// Look-ups and snapshots of the state, see state.h.
#include "plugins/container/state.h"

#include <kj/debug.h>

#include <algorithm>

#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::text;

bool is_full_id(std::string_view text) {
    return text.size() == 64 &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

CommandId root_command(const std::string& id) {
    CommandId command;
    return from_hex(id, command.bytes) ? command : CommandId{};
}

const Exec* Container::find_exec(std::string_view exec_id) const {
    const auto found = std::ranges::find(execs, exec_id, &Exec::id);
    return found == execs.end() ? nullptr : &*found;
}
Exec* Container::find_exec(std::string_view exec_id) {
    return const_cast<Exec*>(std::as_const(*this).find_exec(exec_id));
}

size_t Container::execs_running() const {
    return size_t(std::ranges::count_if(execs, [](const Exec& exec) { return !exec.done; }));
}

const Container* State::get(std::string_view id) const {
    const auto found = by_id.find(id);
    return found == by_id.end() ? nullptr : &found->second;
}
Container* State::get(std::string_view id) {
    const auto found = by_id.find(id);
    return found == by_id.end() ? nullptr : &found->second;
}

Result<const Container*> State::find(std::string_view reference) const {
    if (const Container* exact = get(reference)) return exact;
    std::string_view name = reference;
    if (name.starts_with('/')) name.remove_prefix(1);
    if (const auto named = by_name.find(name); named != by_name.end()) return get(named->second);
    const std::string said(reference.substr(0, limits::reference_bytes_max));
    const auto first = by_id.lower_bound(reference);
    if (reference.empty() || first == by_id.end() || !first->first.starts_with(reference))
        return std::unexpected(Error{NODED_REJECT_NOT_FOUND, "No such container: " + said});
    const auto second = std::next(first);
    if (second != by_id.end() && second->first.starts_with(reference))
        return std::unexpected(
            Error{NODED_REJECT_INVALID, "Multiple IDs found with provided prefix: " + said});
    return &first->second;
}

/// What a list shows and a snapshot keeps, but for the specification.
static void write_head(const Container& from, schema::ContainerState::Builder out) {
    out.setId(text(from.id));
    out.setName(text(from.name));
    out.setPhase(from.phase);
    out.setCreatedNs(from.created_ns);
    out.setStartedNs(from.started_ns);
    out.setFinishedNs(from.finished_ns);
    out.setExitCode(from.exit_code);
    out.setCreatedSeq(from.created_seq);
    out.setPaused(from.paused);
    if (from.health != Health()) out.initHealth().setStatus(from.health.status);
}

void write_container(const Container& from, schema::ContainerState::Builder out) {
    write_head(from, out);
    from.spec.write(out.initSpec());
    out.setPid(from.pid);
    out.setShimPid(from.shim_pid);
    out.setPidStartTime(from.pid_start_time);
    out.setOomKilled(from.oom_killed);
    out.setError(text(from.error));
    out.setRun(from.run);
    std::vector<std::string> execs;
    for (const Exec& exec : from.execs)
        if (!exec.done) execs.push_back(exec.id);
    write_strings(execs, [&](unsigned n) { return out.initExecIds(n); });
    write_strings(from.rootfs.lowers, [&](unsigned n) { return out.initLowers(n); });
    out.setUpper(text(from.rootfs.upper));
    out.setWork(text(from.rootfs.work));
    if (from.health != Health()) out.getHealth().setFailingStreak(from.health.failing_streak);
    out.setRestartCount(from.restart_count);
    if (from.phase == Phase::RESTARTING) out.setNextStartNs(from.next_start_ns);
}

size_t summary_bytes(const Container& container) {
    size_t bytes = sizeof(Container);
    for (const std::string& argument : container.spec.argv) bytes += argument.size() + 16;
    for (const auto& [key, value] : container.spec.labels) bytes += key.size() + value.size() + 32;
    for (const Mount& mount : container.spec.options.mounts)
        bytes += mount.source.size() + mount.target.size() + mount.options.size() + 64;
    for (const DeviceRate& rate : container.spec.options.resources.rates)
        bytes += rate.device.size() + 32;
    return bytes;
}

void write_summary(const Container& from, schema::ContainerState::Builder out) {
    write_head(from, out);
    from.spec.write_summary(out.initSpec());
}

namespace {

capnp::Data::Reader data(const uint8_t (&id)[32]) { return {id, sizeof id}; }

sdk::Cause read_cause(uint64_t seq, capnp::Data::Reader id) {
    sdk::Cause cause;
    cause.seq = seq;
    if (id.size() == sizeof cause.command_id) memcpy(cause.command_id, id.begin(), id.size());
    return cause;
}

void save_update(const Update& from, schema::UpdateRecord::Builder out) {
    from.resources.write(out.initResources());
    from.restart.write(out.initRestart());
    out.setSeq(from.cause.seq);
    out.setCommand(data(from.cause.command_id));
}

void save_signals(const std::vector<SignalRequested>& from, schema::ContainerRecord::Builder out) {
    if (from.empty()) return;
    auto signals = out.initSignals(unsigned(from.size()));
    for (unsigned i = 0; i < signals.size(); ++i) {
        signals[i].setSignal(from[i].signal);
        signals[i].setSeq(from[i].seq);
    }
}

void save_container(const Container& from, schema::ContainerRecord::Builder out) {
    write_container(from, out.initState());
    out.setRootfsReady(from.rootfs.ready);
    out.setRootfsError(text(from.rootfs.error));
    out.setKillRequested(from.kill_requested);
    save_signals(from.signals, out);
    out.setRemoveAfterExit(from.remove_after_exit);
    out.setStartSeq(from.start.seq);
    out.setStartCommand(data(from.start.command_id));
    out.setStopSignal(from.stop.signal);
    out.setStopTimeoutSeconds(from.stop.timeout_seconds);
    out.setStopRequestedNs(from.stop.requested_ns);
    out.setRemovalSeq(from.removal.seq);
    out.setRemovalCommand(data(from.removal.command_id));
    out.setFreeze(from.freeze);
    out.setFreezeSeq(from.freeze_cause.seq);
    out.setFreezeCommand(data(from.freeze_cause.command_id));
    out.setRestartAfterExit(from.restart_after_exit);
    out.setStoppedByUser(from.stopped_by_user);
    out.setRestartedByPolicy(from.restarted_by_policy);
    out.setRestartDelayMs(from.restart_delay_ms);
    out.setRestartSeq(from.restart.seq);
    out.setRestartCommand(data(from.restart.command_id));
    if (from.update.cause.seq != 0) save_update(from.update, out.initUpdate());
    if (from.commit.seq != 0) {
        out.setCommitSeq(from.commit.seq);
        out.setCommitCommand(data(from.commit.command_id));
        out.setCommitPauses(from.commit_pauses);
        out.setCommitOver(from.commit_over);
    }
    auto execs = out.initExecs(unsigned(from.execs.size()));
    for (unsigned i = 0; i < from.execs.size(); ++i) {
        const Exec& exec = from.execs[i];
        execs[i].setExecId(text(exec.id));
        execs[i].setSeq(exec.seq);
        execs[i].setDone(exec.done);
        execs[i].setExitCode(exec.exit_code);
        execs[i].setError(text(exec.error));
    }
}

void load_present(schema::ContainerState::Reader in, Container& out) {
    out.id = to_string(in.getId());
    out.name = to_string(in.getName());
    out.phase = in.getPhase();
    out.spec = Spec::read(in.getSpec());
    out.created_ns = in.getCreatedNs();
    out.started_ns = in.getStartedNs();
    out.finished_ns = in.getFinishedNs();
    out.pid = in.getPid();
    out.shim_pid = in.getShimPid();
    out.pid_start_time = in.getPidStartTime();
    out.exit_code = in.getExitCode();
    out.oom_killed = in.getOomKilled();
    out.error = to_string(in.getError());
    out.run = in.getRun();
    out.rootfs.lowers = to_strings(in.getLowers());
    out.rootfs.upper = to_string(in.getUpper());
    out.rootfs.work = to_string(in.getWork());
    out.created_seq = in.getCreatedSeq();
    out.paused = in.getPaused();
    out.health = {in.getHealth().getStatus(), in.getHealth().getFailingStreak()};
    out.restart_count = in.getRestartCount();
    out.next_start_ns = in.getNextStartNs();
}

Container load_container(schema::ContainerRecord::Reader in) {
    Container out;
    load_present(in.getState(), out);
    out.rootfs.ready = in.getRootfsReady();
    out.rootfs.error = to_string(in.getRootfsError());
    out.kill_requested = in.getKillRequested();
    for (const auto signal : in.getSignals())
        out.signals.push_back({signal.getSignal(), signal.getSeq()});
    out.remove_after_exit = in.getRemoveAfterExit();
    out.start = read_cause(in.getStartSeq(), in.getStartCommand());
    out.removal = read_cause(in.getRemovalSeq(), in.getRemovalCommand());
    out.stop = {in.getStopSignal(), in.getStopTimeoutSeconds(), in.getStopRequestedNs()};
    out.freeze = in.getFreeze();
    out.freeze_cause = read_cause(in.getFreezeSeq(), in.getFreezeCommand());
    out.restart_after_exit = in.getRestartAfterExit();
    out.stopped_by_user = in.getStoppedByUser();
    out.restarted_by_policy = in.getRestartedByPolicy();
    out.restart_delay_ms = in.getRestartDelayMs();
    out.restart = read_cause(in.getRestartSeq(), in.getRestartCommand());
    out.update = {Resources::read(in.getUpdate().getResources()),
                  RestartPolicy::read(in.getUpdate().getRestart()),
                  read_cause(in.getUpdate().getSeq(), in.getUpdate().getCommand())};
    out.commit = read_cause(in.getCommitSeq(), in.getCommitCommand());
    out.commit_pauses = in.getCommitPauses();
    out.commit_over = in.getCommitOver();
    for (auto exec : in.getExecs())
        out.execs.push_back({to_string(exec.getExecId()), exec.getSeq(), exec.getDone(),
                             exec.getExitCode(), to_string(exec.getError())});
    return out;
}

}  // namespace

HostFacts read_host(schema::HostObserved::Reader in) {
    HostFacts facts{.boot_id = to_string(in.getBootId()),
                    .cpus = in.getCpus(),
                    .userns = {},
                    .cpu_list = to_string(in.getCpuList()),
                    .memory_nodes = to_string(in.getMemoryNodes())};
    facts.userns.id_maps = read_id_maps(in.getIdMaps());
    facts.userns.remaps_all = in.getRemapsAll();
    facts.userns.error = to_string(in.getRemapError());
    return facts;
}

/// What is not there is not written: events stay as short as they were.
void write_host(const HostFacts& facts, schema::HostObserved::Builder out) {
    out.setBootId(text(facts.boot_id));
    out.setCpus(facts.cpus);
    const Userns& userns = facts.userns;
    if (!userns.id_maps.empty())
        write_id_maps(userns.id_maps, [&](unsigned n) { return out.initIdMaps(n); });
    if (userns.remaps_all) out.setRemapsAll(true);
    if (!userns.error.empty()) out.setRemapError(text(userns.error));
    if (!facts.cpu_list.empty()) out.setCpuList(text(facts.cpu_list));
    if (!facts.memory_nodes.empty()) out.setMemoryNodes(text(facts.memory_nodes));
}

void State::save(schema::ContainerSnapshot::Builder out) const {
    auto containers = out.initContainers(unsigned(by_id.size()));
    unsigned i = 0;
    for (const auto& [id, container] : by_id) save_container(container, containers[i++]);
    write_host(host, out.initHost());
    auto list = out.initImages(unsigned(images.by_id().size()));
    i = 0;
    for (const auto& [id, image] : images.by_id()) {
        auto record = list[i++];
        record.setId(text(id));
        record.setConfig(text(image.config_json));
        write_strings(image.layers, [&](unsigned n) { return record.initLayers(n); });
        write_strings(images.names_of(id), [&](unsigned n) { return record.initNames(n); });
    }
}

void State::load(schema::ContainerSnapshot::Reader in) {
    host = read_host(in.getHost());
    for (auto record : in.getContainers()) {
        Container container = load_container(record);
        by_name.emplace(container.name, container.id);
        for (const Exec& exec : container.execs) container_by_exec.emplace(exec.id, container.id);
        std::string id = container.id;
        by_id.emplace(std::move(id), std::move(container));
    }
    for (auto record : in.getImages()) {
        Image image;
        image.id = to_string(record.getId());
        KJ_REQUIRE(!image.id.empty(), "an image without an id");
        image.config_json = to_string(record.getConfig());
        image.config = ImageConfig::parse(image.config_json);
        image.layers = to_strings(record.getLayers());
        images.add(std::move(image), to_strings(record.getNames()));
    }
}

}  // namespace noded::container
