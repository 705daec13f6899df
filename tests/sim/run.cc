// Clients, faults and the loop, see run.h.
#include "tests/sim/run.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "agent/base/check.h"
#include "plugins/sdk/message.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"
#include "tests/sim/stranger.h"

namespace noded::sim {

Result<Workload> read_workload(const std::string& path) {
    std::ifstream file(path);
    const auto json = nlohmann::json::parse(file, nullptr, false);
    if (!json.is_object()) return fail("the workload " + path + " is not a JSON object");
    Workload out;
    out.name = path.substr(path.rfind('/') + 1);
    const std::map<std::string, double*> faults = {
        {"duplicate", &out.duplicate}, {"lost", &out.lost}, {"kill", &out.kill},
        {"power", &out.power}, {"power_within_change", &out.power_within_change},
        {"clock_jump", &out.clock_jump}, {"disk_full", &out.disk_full}, {"bit_rot", &out.bit_rot},
        {"slow_sync", &out.node.slow_sync}, {"sync_error", &out.node.sync_error},
        {"misdirected_write", &out.node.misdirected_write},
        {"archive_rot", &out.archive_rot},
        {"power_within_archive", &out.node.power_within_archive},
        {"misdirected_archive", &out.node.misdirected_archive},
        {"power_within_snapshot", &out.node.power_within_snapshot},
        {"misdirected_snapshot", &out.node.misdirected_snapshot},
        {"power_within_release", &out.node.power_within_release},
        {"start_failure", &out.node.kernel.start_failure},
        {"slow_start", &out.node.kernel.slow_start}, {"oom_kill", &out.node.kernel.oom_kill},
        {"shim_killed", &out.node.kernel.shim_killed}, {"pid_reuse", &out.node.kernel.pid_reuse},
        {"mount_busy", &out.node.kernel.mount_busy},
        {"spawn_failure", &out.node.kernel.spawn_failure},
        {"storage_error", &out.node.kernel.storage_error},
        {"plugin_error", &out.node.kernel.plugin_error}};
    const std::map<std::string, uint32_t*> verbs = {
        {"create", &out.create}, {"run", &out.run}, {"start", &out.start}, {"stop", &out.stop},
        {"kill", &out.kill_verb}, {"remove", &out.remove}, {"exec", &out.exec}, {"tag", &out.tag},
        {"pause", &out.pause}, {"unpause", &out.unpause}, {"restart", &out.restart},
        {"update", &out.update}, {"poke", &out.poke}};
    for (const auto& [key, value] : json.items()) {
        if (key == "nodes") out.nodes = value;
        else if (key == "commands") out.commands = value;
        else if (key == "command_every_us") out.command_every_ns = int64_t(value) * 1000;
        else if (key == "recent_containers") out.recent_containers = value;
        else if (key == "padding_bytes") out.padding_bytes = value;
        else if (key == "snapshot_every") out.node.snapshots.every_events = value;
        else if (key == "keeps_all") out.node.keeps_all = value;
        else if (key == "log_kib") out.node.snapshots.retention.bytes_max = uint64_t(value) << 10;
        else if (key == "archive_kib") {
            out.node.snapshots.retention.archive = true;
            out.node.snapshots.retention.archive_bytes_max = uint64_t(value) << 10;
        }
        else if (key == "faults" || key == "verbs") {
            for (const auto& [name, number] : value.items()) {
                if (key == "faults" && faults.contains(name)) *faults.at(name) = number;
                else if (key == "verbs" && verbs.contains(name)) *verbs.at(name) = number;
                else return fail(path + ": there is no " + key + " named " + name);
            }
        } else return fail(path + ": there is no setting named " + key);
    }
    return out;
}

namespace {

struct Sent {
    core::Command command;
    SimNode* node = nullptr;
    uint64_t number = 0;   ///< in the order of their first sending
    bool answered = false;
    uint64_t first_seq = 0, last_seq = 0;
};

class Run {
public:
    Run(const Workload& workload, uint64_t seed, bool traced) : workload_(workload), world_(seed) {
        world_.traced = traced;
        for (uint32_t i = 0; i < workload.nodes; ++i)
            nodes_.push_back(std::make_unique<SimNode>(world_, "node-" + std::to_string(i + 1),
                                                       workload_.node));
    }

    Outcome all() {
        for (const auto& node : nodes_) {
            node->start();
            import(*node);
        }
        plan_commands();
        plan_faults();
        loop(end_ns_);
        world_.faults = false;
        for (const auto& node : nodes_) node->storage.set_capacity(UINT64_MAX);
        loop(world_.now_ns + 200'000'000'000);
        for (const auto& node : nodes_) {
            node->check_refold();
            node->check_at_rest();
        }
        return outcome();
    }

private:
    void loop(int64_t until_ns) {
        while (!world_.failed()) {
            int64_t next = world_.next_ns();
            for (const auto& node : nodes_) next = std::min(next, idle(*node));
            if (next > until_ns) break;
            world_.now_ns = std::max(world_.now_ns, next);
            while (world_.next_ns() <= world_.now_ns && !world_.failed()) world_.run_next();
            for (const auto& node : nodes_) {
                if (node->next_ns() <= world_.now_ns) node->advance();
                node->scan();
            }
        }
        if (!world_.failed()) world_.now_ns = until_ns;
    }
    static int64_t idle(const SimNode& node) { return node.next_ns(); }

    SimNode& any_node() { return *nodes_[world_.random.below(nodes_.size())]; }

    template <typename T>
    core::Command command(sdk::Message<T>& message) {
        core::Command out;
        out.type = capnp::typeId<T>();
        const noded_bytes flat = message.flat();
        out.payload.assign(flat.data, flat.data + flat.size);
        for (uint8_t& byte : out.id.bytes) byte = uint8_t(world_.random.next());
        return out;
    }

    /// A crash may take the archive: then it is given again, with a new command.
    void import(SimNode& node) {
        if (node.history.has("image") || !node.refusal.empty()) return;
        world_.after(300'000'000, [this, &node] { import(node); });
        if (!node.up()) return;
        sdk::Message<schema::LoadImages> message;
        core::Command load = command(message);
        const char text[] = "1 box:1 a b\n";
        Fd archive{memfd_create("archive", MFD_CLOEXEC)};
        CHECK(write(archive.get(), text, sizeof text - 1) == ssize_t(sizeof text - 1));
        sdk::Message<schema::Storage::GiveParams> params;
        params->setCommandId(kj::arrayPtr(load.id.bytes.data(), load.id.bytes.size()));
        const noded_bytes flat = params.flat();
        node.call("storage", 2, {flat.data, flat.size}, std::move(archive),
                  [](host::CallResult) {});
        send(node, std::move(load));
    }

    void send(SimNode& node, core::Command command) {
        auto sent = std::make_shared<Sent>();
        sent->command = std::move(command);
        sent->node = &node;
        sent->number = ++sent_;
        attempt(sent);
    }

    /// Until it is answered: the same id again and again.
    void attempt(const std::shared_ptr<Sent>& sent) {
        if (sent->answered || !sent->node->refusal.empty()) return;
        const int copies = world_.occurs("duplicate", workload_.duplicate) ? 2 : 1;
        for (int i = 0; i < copies; ++i) {
            if (world_.occurs("lost", workload_.lost)) continue;
            world_.after(world_.random.between(10'000, 5'000'000), [this, sent] { deliver(sent); });
        }
        const int64_t patience_ns = world_.random.between(50'000'000, 500'000'000);
        world_.after(patience_ns, [this, sent] { attempt(sent); });
    }

    void deliver(const std::shared_ptr<Sent>& sent) {
        if (sent->number < newest_delivered_) ++world_.occurred["reordered"];
        newest_delivered_ = std::max(newest_delivered_, sent->number);
        sent->node->submit(sent->command, [this, sent](const core::Reply& reply) {
            answer(*sent, reply);
            if (world_.occurs("lost", workload_.lost)) return;
            const int64_t latency_ns = world_.random.between(10'000, 3'000'000);
            world_.after(latency_ns, [sent] { sent->answered = true; });
        });
    }

    void answer(Sent& sent, const core::Reply& reply) {
        if (reply.rejection.message.starts_with("the node takes no commands now: "))
            ++world_.occurred["refused_for_room"];
        if (!reply.accepted || reply.first_seq == 0) return;
        const std::string id = sent.command.id.hex();
        for (uint64_t seq = reply.first_seq; seq <= reply.last_seq; ++seq)
            if (!sent.node->history.holds(seq, sent.command.id))
                return world_.fail("command " + id + " was acknowledged at seq " +
                                   std::to_string(seq) + ", which is not durable");
        if (sent.first_seq != 0 &&
            (sent.first_seq != reply.first_seq || sent.last_seq != reply.last_seq))
            world_.fail("command " + id + " was acknowledged twice, differently: at seq " +
                        std::to_string(sent.first_seq) + " to " + std::to_string(sent.last_seq) +
                        ", then " + std::to_string(reply.first_seq) + " to " +
                        std::to_string(reply.last_seq));
        sent.first_seq = reply.first_seq;
        sent.last_seq = reply.last_seq;
    }

    void plan_commands() {
        int64_t at = 50'000'000;
        for (uint32_t i = 0; i < workload_.commands; ++i) {
            at += world_.random.between(0, 2 * workload_.command_every_ns);
            world_.after(at, [this] { next_command(any_node()); });
        }
        end_ns_ = at + 2'000'000'000;
    }

    std::string any_container(const SimNode& node) {
        const auto& known = containers_[&node];
        if (known.empty()) return "none";
        const size_t among = std::min<size_t>(known.size(), workload_.recent_containers);
        return known[known.size() - among + world_.random.below(among)];
    }

    void next_command(SimNode& node) {
        const uint32_t weights[] = {workload_.create, workload_.run, workload_.start,
                                    workload_.stop, workload_.kill_verb, workload_.remove,
                                    workload_.exec, workload_.tag, workload_.pause,
                                    workload_.unpause, workload_.restart, workload_.update,
                                    workload_.poke};
        uint64_t sum = 0;
        for (const uint32_t weight : weights) sum += weight;
        uint64_t drawn = world_.random.below(sum);
        size_t verb = 0;
        while (drawn >= weights[verb]) drawn -= weights[verb++];
        switch (verb) {
            case 0: return create<schema::CreateContainer>(node);
            case 1: return create<schema::RunContainer>(node);
            case 2: return on_container<schema::StartContainer>(node, [](auto) {});
            case 3:
                return on_container<schema::StopContainer>(node, [this](auto to) {
                    to.setTimeoutSeconds(int32_t(world_.random.between(0, 5)));
                });
            case 4: return on_container<schema::KillContainer>(node, [](auto) {});
            case 5:
                return on_container<schema::RemoveContainer>(node, [this](auto to) {
                    to.setForce(world_.random.chance(0.7));
                });
            case 6:
                return on_container<schema::ExecContainer>(node, [](auto to) {
                    to.initArgv(1).set(0, "true");
                });
            case 7: return tag(node);
            case 8: return on_container<schema::PauseContainer>(node, [](auto) {});
            case 9: return on_container<schema::UnpauseContainer>(node, [](auto) {});
            case 10:
                return on_container<schema::RestartContainer>(node, [this](auto to) {
                    to.setTimeoutSeconds(int32_t(world_.random.between(0, 5)));
                });
            case 11:
                return on_container<schema::UpdateContainer>(node, [this](auto to) {
                    to.initResources().setPidsLimit(int64_t(world_.random.below(3)));
                });
            default: return poke(node);
        }
    }

    template <typename T>
    void create(SimNode& node) {
        sdk::Message<T> message;
        auto spec = message->initSpec();
        spec.setImage("box:1");
        spec.initCommand(1).set(0, "sh");
        spec.setAutoRemove(world_.random.chance(0.3));
        if (!spec.getAutoRemove() && world_.random.chance(0.4)) {
            spec.initRestart().setKind(schema::RestartKind::ON_FAILURE);
            spec.getRestart().setRetriesMax(3);
        }
        pad(spec, world_.random.below(4) * world_.random.below(workload_.padding_bytes / 3));
        core::Command out = command(message);
        containers_[&node].push_back(out.id.hex());
        send(node, std::move(out));
    }

    /// So many bytes of a specification, in parts that each keep the plugin's limits.
    static void pad(schema::ContainerSpec::Builder spec, size_t bytes) {
        const auto part = [&bytes](size_t most) {
            const size_t taken = std::min(bytes, most);
            bytes -= taken;
            return std::string(taken, 'x');
        };
        auto label = spec.initLabels(1)[0];
        label.setKey("padding");
        label.setValue(part(60'000).c_str());
        if (bytes == 0) return;
        spec.initEnv(1).set(0, ("PADDING=" + part(120'000)).c_str());
        spec.initCommand(2).set(0, "sh");
        spec.getCommand().set(1, part(120'000).c_str());
    }

    template <typename T, typename Fill>
    void on_container(SimNode& node, Fill fill) {
        sdk::Message<T> message;
        message->setContainer(any_container(node).c_str());
        fill(*message);
        send(node, command(message));
    }

    void tag(SimNode& node) {
        sdk::Message<schema::TagImage> message;
        message->setSource("box:1");
        message->setTarget(("tag:" + std::to_string(world_.random.below(5))).c_str());
        send(node, command(message));
    }

    void poke(SimNode& node) {
        core::Command out;
        out.type = kPokeStranger;
        out.payload = {uint8_t(world_.random.below(2)), 0, 0, 0, 0, 0, 0, 0};
        for (uint8_t& byte : out.id.bytes) byte = uint8_t(world_.random.next());
        send(node, std::move(out));
    }

    void plan_faults() {
        for (int64_t at = 0; at < end_ns_; at += 10'000'000)
            world_.after(at + world_.random.between(0, 10'000'000), [this] { faults(any_node()); });
    }

    void faults(SimNode& node) {
        if (!node.up()) return;
        Random& random = world_.random;
        if (world_.occurs("clock_jump", workload_.clock_jump))
            node.realtime_offset_ns += random.between(-3600, 3600) * 1'000'000'000;
        if (world_.draws(workload_.disk_full)) {   // counted where there was no room for something
            // Often a little is left, so that it ends within a segment, a snapshot or an archive.
            const uint64_t left = random.chance(0.5) ? 0 : random.below(3 << 20);
            node.storage.set_capacity(node.storage.bytes_used() + left);
            world_.after(random.between(10'000'000, 3'000'000'000),
                         [&node] { node.storage.set_capacity(UINT64_MAX); });
        }
        if (world_.draws(workload_.bit_rot)) rot(node);
        if (workload_.archive_rot > 0 && random.chance(workload_.archive_rot))
            node.rot_an_archive();
        if (world_.draws(workload_.power_within_change))   // counted when it comes
            node.fail_power_after(uint32_t(random.below(4)));
        const bool kill = world_.occurs("kill", workload_.kill);
        if (!kill && !world_.occurs("power", workload_.power)) return;
        if (random.chance(0.2)) node.check_refold();
        if (workload_.node.snapshots.retention.archive && random.chance(0.2)) node.check_history();
        node.crash(!kill);
    }

    void rot(SimNode& node) {
        const auto names = *node.storage.list();
        Buffer& bytes = node.storage.bytes(names[world_.random.below(names.size())]);
        if (bytes.empty()) return;
        ++world_.occurred["bit_rot"];
        bytes[world_.random.below(bytes.size())] ^= uint8_t(1 << world_.random.below(8));
        node.damaged = true;
    }

    Outcome outcome() {
        Outcome out;
        out.failure = world_.failure();
        out.occurred = world_.occurred;
        for (const auto& node : nodes_) {
            out.hash = out.hash * 31 + node->disk_hash();
            out.events += node->history.last_seq();
            out.runs += node->history.count("run/");
            out.execs += node->history.count("exec/");
            out.restarts += node->restarts;
            out.refused += node->refusal.empty() ? 0 : 1;
            out.archives += node->archives();
            const log::MemStorage::Met& met = node->storage.met();
            out.occurred["sync_error"] += met.failed_writes;
            out.occurred["misdirected_write"] += met.misdirected_writes;
            for (const auto& [what, times] : met.misdirected_to)
                out.occurred["misdirected_" + what] += times;
            out.occurred["disk_full"] += met.no_space;
            out.occurred["name_back"] += met.names_back;
        }
        return out;
    }

    const Workload& workload_;
    World world_;
    std::vector<std::unique_ptr<SimNode>> nodes_;
    std::map<const SimNode*, std::vector<std::string>> containers_;
    int64_t end_ns_ = 0;
    uint64_t sent_ = 0, newest_delivered_ = 0;
};

}  // namespace

Outcome run(const Workload& workload, uint64_t seed, bool traced) {
    return Run(workload, seed, traced).all();
}

}  // namespace noded::sim
