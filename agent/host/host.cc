// Loading, snapshots, the domain over the plugins, stopping; see host.h. Calls are in ext_rpc.cc.
#include "agent/host/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/host/extensions.h"
#include "agent/host/watch.h"
#include "agent/limits.h"

namespace noded::host {

static_assert(core::kRejectLimit == NODED_REJECT_LIMIT && core::kRejectBusy == NODED_REJECT_BUSY);

namespace {

noded_bytes borrowed(Bytes bytes) { return {bytes.data(), bytes.size()}; }

noded_event face_of(const core::Event& event) {
    noded_event face{sizeof(noded_event), 0, event.seq, event.time_ns, event.type, event.cause_seq,
                     {}, borrowed(event.payload)};
    memcpy(face.command_id, event.command_id.bytes.data(), sizeof face.command_id);
    return face;
}

/// The core's decision as the C struct that a plugin gets.
struct DecisionFace {
    core::Decision* decision;
    Instance* instance;
    noded_decision face;

    DecisionFace(core::Decision& to, Instance& from)
        : decision(&to), instance(&from), face{sizeof(noded_decision), 0, this, emit, reject} {}

    static DecisionFace& of(const noded_decision* face) {
        return *static_cast<DecisionFace*>(face->context);
    }
    static void emit(const noded_decision* face, uint64_t type, noded_bytes payload) noexcept {
        DecisionFace& self = of(face);
        if (!self.instance->owns_event(type)) {
            ++self.instance->undeclared_events;
            return self.decision->reject(
                {NODED_REJECT_INVALID, "plugin " + self.instance->description.id +
                                           " decided an event that it did not declare"});
        }
        if (payload.size % kWordSize != 0) {
            return self.decision->reject(
                {NODED_REJECT_INVALID,
                 "plugin " + self.instance->description.id +
                     " decided an event that is not a whole number of words"});
        }
        self.decision->emit(type, {payload.data, payload.size});
    }
    static void reject(const noded_decision* face, enum noded_rejection code,
                       const char* message) noexcept {
        of(face).decision->reject({static_cast<uint16_t>(code), message != nullptr ? message : ""});
    }
};

}  // namespace

Host::Host(reactor::Reactor& reactor, TopicSink& topics, Paths paths)
    : reactor_(reactor), topics_(topics), paths_(std::move(paths)) {}

Host::~Host() = default;

void Host::connect(core::Pipeline& pipeline, log::Log& log) {
    CHECK(pipeline_ == nullptr);
    pipeline_ = &pipeline;
    log_ = &log;
}

// -------------------------------------------------------------------------------------------
// loading

Instance& Host::list_file(const std::string& file) {
    // A second try with the same file replaces its earlier refusal in the list.
    std::erase_if(instances_, [&](const auto& old) {
        return old->file == file && old->status == Instance::Status::refused;
    });
    instances_.push_back(std::make_unique<Instance>());
    Instance& instance = *instances_.back();
    instance.host = this;
    instance.file = file;
    instance.identity = FileIdentity::of(file);
    instance.reactor_thread = pthread_self();
    return instance;
}

void Host::refuse(Instance& instance, std::string reason) {
    instance.status = Instance::Status::refused;
    instance.reason = std::move(reason);
    const std::string& name =
        instance.description.id.empty() ? instance.file : instance.description.id;
    log_line(Severity::warning, "host", "plugin " + name + " is refused: " + instance.reason);
}

static std::vector<std::string> shared_objects_in(const std::string& directory) {
    std::vector<std::string> files;
    DIR* open = opendir(directory.c_str());
    if (open == nullptr) return files;
    while (const dirent* entry = readdir(open)) {
        const std::string name = entry->d_name;
        if (name.size() > 3 && name.ends_with(".so") && name[0] != '.')
            files.push_back(directory + "/" + name);
    }
    closedir(open);
    std::sort(files.begin(), files.end());
    return files;
}

uint64_t Host::load_directory(log::Snapshot* snapshot, std::span<const LinkedPlugin> linked) {
    if (snapshot != nullptr) unclaimed_ = std::move(snapshot->sections);
    std::vector<Description> descriptions;
    std::vector<const noded_plugin*> tables;
    std::vector<std::string> files;
    const auto add = [&](const std::string& file, const noded_plugin& table) {
        auto description = describe(table);
        if (!description) return refuse(list_file(file), description.error().message);
        descriptions.push_back(std::move(*description));
        tables.push_back(&table);
        files.push_back(file);
    };
    for (const LinkedPlugin& plugin : linked) add(plugin.name, *plugin.table);
    for (const std::string& file : shared_objects_in(paths_.plugin_dir)) {
        if (files.size() == limits::plugins_max) {
            refuse(list_file(file),
                   "there are more than " + std::to_string(limits::plugins_max) + " plugins");
            continue;
        }
        if (const auto table = open_plugin(file)) add(file, **table);
        else refuse(list_file(file), table.error().message);
    }
    std::vector<std::pair<size_t, std::string>> left_out;
    for (const size_t i : dependency_order(descriptions, &left_out)) {
        Instance& instance = list_file(files[i]);
        if (const Status admitted = admit(instance, *tables[i], descriptions[i]); !admitted) {
            refuse(instance, admitted.error().message);
        }
    }
    for (const auto& [i, reason] : left_out) {
        Instance& instance = list_file(files[i]);
        instance.description = descriptions[i];
        refuse(instance, reason);
    }
    warn_of_settings_for_nobody();
    uint64_t first = log_->next_seq();
    for (const auto& instance : instances_) {
        if (!instance->loaded()) continue;
        if (const Status state = load_state(*instance); !state) {
            stop_plugin(*instance, state.error().message);
            continue;
        }
        first = std::min(first, instance->folded_seq + 1);
    }
    return snapshot != nullptr ? std::min(first, snapshot->seq + 1) : log_->oldest_seq();
}

void Host::load_static(const noded_plugin& table, const std::string& name) {
    Instance& instance = list_file(name);
    auto description = describe(table);
    const Status admitted = description ? admit(instance, table, std::move(*description))
                                        : Status(std::unexpected(description.error()));
    if (!admitted) return refuse(instance, admitted.error().message);
    if (const Status state = load_state(instance); !state)
        stop_plugin(instance, state.error().message);
}

Status Host::check_ownership(const Description& description) const {
    const bool is_there = std::ranges::any_of(instances_, [&](const auto& instance) {
        return (instance->loaded() || instance->status == Instance::Status::loading) &&
               instance->description.id == description.id;
    });
    if (is_there) {
        return fail("a plugin named " + description.id +
                    " is loaded already; restart noded to load another version of it");
    }
    for (const auto* types : {&description.commands, &description.events}) {
        for (const NamedType& type : *types) {
            const auto owner = deciders_.find(type.id);
            if (owner == deciders_.end()) continue;
            return fail("it declares " + type.name + ", which plugin " +
                        owner->second->description.id + " owns");
        }
    }
    for (const std::string& need : description.needs) {
        if (find(need) == nullptr)
            return fail("it needs the plugin " + need + ", which is not loaded");
    }
    for (const std::string& extension : description.extensions) {
        if (!has_extension(extension.c_str())) {
            return fail("it requires the host extension " + extension +
                        ", which this noded does not have");
        }
    }
    return {};
}

Status make_directory_on_disk(const std::string& path) {
    if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return fail_errno(errno, "create directory " + path);
}

Status Host::make_directories(Instance& instance) const {
    TRY_STATUS(paths_.make_directory(paths_.state_dir + "/plugins"));
    TRY_STATUS(paths_.make_directory(paths_.runtime_dir + "/plugins"));
    instance.state_dir = paths_.state_dir + "/plugins/" + instance.description.id;
    instance.runtime_dir = paths_.runtime_dir + "/plugins/" + instance.description.id;
    TRY_STATUS(paths_.make_directory(instance.state_dir));
    return paths_.make_directory(instance.runtime_dir);
}

Status Host::admit(Instance& instance, const noded_plugin& table, Description description) {
    const Status owned = check_ownership(description);
    instance.description = std::move(description);
    instance.table = &table;
    TRY_STATUS(owned);
    TRY_STATUS(make_directories(instance));
    TRY_STATUS(start(instance));
    instance.status = Instance::Status::loaded;
    for (const NamedType& type : instance.description.commands) deciders_[type.id] = &instance;
    for (const NamedType& type : instance.description.events) deciders_[type.id] = &instance;
    for (const NamedType& type : instance.description.folds) folders_[type.id].push_back(&instance);
    return {};
}

static Status take_rpc(Instance& instance) {
    const auto* rpc = static_cast<const noded_plugin_rpc*>(
        instance.table->get_extension(instance.self, NODED_EXT_RPC));
    if (rpc == nullptr) return {};
    bool complete = rpc->size >= sizeof(noded_plugin_rpc) && rpc->call != nullptr &&
                    rpc->methods_count <= limits::plugin_types_max &&
                    (rpc->methods != nullptr || rpc->methods_count == 0);
    for (uint32_t i = 0; complete && i < rpc->methods_count; ++i)
        complete = rpc->methods[i] != nullptr;
    if (!complete) return fail("its rpc table lacks a function or the name of a method");
    instance.rpc = rpc;
    return {};
}

Status Host::start(Instance& instance) {
    instance.face = {sizeof(noded_host), NODED_ABI_MINOR, &instance, get_extension,
                     [](const noded_host* face, const char* reason) noexcept {
                         instance_of(face).init_failure = reason != nullptr ? reason : "";
                     }};
    PhaseScope scope(instance, Phase::load);
    instance.self = instance.table->init(&instance.face);
    if (instance.self == nullptr) {
        return fail("its init failed: " +
                    (instance.init_failure.empty() ? "it gave no reason" : instance.init_failure));
    }
    Status fits = check_settings(instance);
    if (fits) fits = take_rpc(instance);
    if (!fits) instance.table->destroy(instance.self);
    return fits;
}

const char* Host::setting(const std::string& plugin, const std::string& key) const {
    const auto of_plugin = settings_.find(plugin);
    if (of_plugin == settings_.end()) return nullptr;
    const auto value = of_plugin->second.find(key);
    return value != of_plugin->second.end() ? value->second.c_str() : nullptr;
}

/// A plugin may be dropped in later, so this is no failure.
void Host::warn_of_settings_for_nobody() const {
    for (const auto& [id, settings] : settings_) {
        const bool there = std::ranges::any_of(
            instances_, [&](const auto& instance) { return instance->description.id == id; });
        if (!there)
            log_line(Severity::warning, "host",
                     "the configuration has settings for the plugin " + id +
                         ", which is not in the plugin directory");
    }
}

Status Host::check_settings(const Instance& instance) const {
    const std::string& id = instance.description.id;
    const auto of_plugin = settings_.find(id);
    if (of_plugin == settings_.end()) return {};
    for (const auto& [key, value] : of_plugin->second) {
        if (!instance.settings_asked.contains(key))
            return fail("the configuration sets plugins." + id + "." + key +
                        ", which it does not know");
    }
    return {};
}

// -------------------------------------------------------------------------------------------
// snapshots

namespace {

/// What stands before a plugin's own bytes in its section.
struct SectionHead {
    uint64_t counts_from_seq;
    uint64_t folded_seq;
};
static_assert(sizeof(SectionHead) == 16);

}  // namespace

Status Host::load_state(Instance& instance) {
    const uint64_t oldest = log_ != nullptr ? log_->oldest_seq() : 1;
    instance.counts_from_seq = oldest;
    instance.folded_seq = oldest - 1;
    const auto section =
        std::find_if(unclaimed_.begin(), unclaimed_.end(), [&](const auto& candidate) {
            return candidate.name == instance.description.id &&
                   candidate.data.size() >= sizeof(SectionHead);
        });
    if (section == unclaimed_.end()) return {};
    SectionHead head;
    memcpy(&head, section->data.data(), sizeof head);
    if (head.folded_seq + 1 < oldest) {
        return fail("its snapshot ends at seq " + std::to_string(head.folded_seq) +
                    " and the log begins at seq " + std::to_string(oldest) +
                    ", so its state cannot be known");
    }
    {
        PhaseScope scope(instance, Phase::replay);
        const Bytes state = Bytes(section->data).subspan(sizeof head);
        if (instance.table->snapshot_load(instance.self, borrowed(state)) == 0) {
            if (oldest > 1)
                return fail("it cannot read its snapshot, and the events before that are gone");
            log_line(Severity::warning, "host", "plugin " + instance.description.id +
                     " cannot read its snapshot; its state is folded from the first event");
            unclaimed_.erase(section);
            return {};
        }
    }
    instance.counts_from_seq = head.counts_from_seq;
    instance.folded_seq = instance.snapshot_seq = head.folded_seq;
    unclaimed_.erase(section);
    return {};
}

log::Snapshot::Section Host::section_of(Instance& instance) const {
    const SectionHead head{instance.counts_from_seq, instance.folded_seq};
    Buffer data(sizeof head);
    memcpy(data.data(), &head, sizeof head);
    const noded_sink sink{sizeof(noded_sink), 0, &data,
                          [](const noded_sink* to, noded_bytes bytes) noexcept {
                              auto& buffer = *static_cast<Buffer*>(to->context);
                              buffer.insert(buffer.end(), bytes.data, bytes.data + bytes.size);
                          }};
    PhaseScope scope(instance, Phase::pure);
    instance.table->snapshot_save(instance.self, &sink);
    return {instance.description.id, std::move(data)};
}

Result<std::vector<log::Snapshot::Section>> Host::save() const {
    CHECK(pipeline_ == nullptr || pipeline_->quiescent());
    std::vector<log::Snapshot::Section> sections = unclaimed_;
    for (const auto& instance : instances_) {
        if (!instance->loaded()) continue;
        sections.push_back(section_of(*instance));
        // A snapshot without it would let go of events that it still needs.
        if (sections.back().data.size() > limits::plugin_snapshot_bytes_max) {
            return fail("the state of plugin " + instance->description.id + " has " +
                        std::to_string(sections.back().data.size()) + " bytes, more than " +
                        std::to_string(limits::plugin_snapshot_bytes_max));
        }
    }
    return sections;
}

// -------------------------------------------------------------------------------------------
// the domain

void Host::decide(const core::Command& command, core::Decision& decision) {
    const auto owner = deciders_.find(command.type);
    if (owner == deciders_.end()) {
        char type[24];
        snprintf(type, sizeof type, "0x%016lx", static_cast<unsigned long>(command.type));
        return decision.reject(
            {NODED_REJECT_NOT_FOUND,
             std::string("no plugin that is loaded decides commands of type ") + type});
    }
    Instance& instance = *owner->second;
    const bool is_event = instance.owns_event(command.type);
    if (is_event != (command.origin == core::Command::Origin::proposal)) {
        return decision.reject({NODED_REJECT_INVALID, "this is an event, not a command"});
    }
    if (!instance.loaded())
        return decision.reject({NODED_REJECT_BUSY, why_not(instance.description.id)});
    noded_command face{sizeof(noded_command),
                       is_event ? uint32_t{NODED_ORIGIN_PROPOSAL} : uint32_t{NODED_ORIGIN_CLIENT},
                       command.type, borrowed(command.payload), {}, command.time_ns, command.uid,
                       command.gid};
    memcpy(face.id, command.id.bytes.data(), sizeof face.id);
    const DecisionFace decision_face(decision, instance);
    PhaseScope scope(instance, Phase::pure);
    instance.table->decide(instance.self, &face, &decision_face.face);
}

void Host::fold_into(Instance& instance, const core::Event& event, Phase phase) {
    if (event.seq <= instance.folded_seq) return;
    instance.folded_seq = event.seq;
    if (!instance.folds(event.type)) return;
    const noded_event face = face_of(event);
    PhaseScope scope(instance, phase);
    instance.table->fold(instance.self, &face);
}

void Host::fold(const core::Event& event) {
    const Phase phase = running_ ? Phase::pure : Phase::replay;
    for (const auto& instance : instances_)
        if (instance->loaded()) fold_into(*instance, event, phase);
}

void Host::react(const core::Event& event) {
    CHECK(running_);
    const auto folders = folders_.find(event.type);
    if (folders == folders_.end()) return;
    const noded_event face = face_of(event);
    for (Instance* instance : folders->second) {
        if (!instance->loaded()) continue;
        PhaseScope scope(*instance, Phase::reactor);
        instance->table->react(instance->self, &face);
    }
}

void Host::reconcile() {
    running_ = true;
    for (const auto& instance : instances_) {
        if (!instance->loaded() || instance->reconciled) continue;
        instance->reconciled = true;
        PhaseScope scope(*instance, Phase::reactor);
        instance->table->reconcile(instance->self);
    }
}

// -------------------------------------------------------------------------------------------
// stopping

void Host::stop_operations(Instance& instance) {
    for (auto& [handle, timer] : instance.timers) forget(instance, std::move(timer));
    for (auto& [handle, watch] : instance.watches) forget(instance, std::move(watch));
    instance.timers.clear();
    instance.watches.clear();
}

void Host::stop_plugin(Instance& instance, std::string reason) {
    if (!instance.loaded()) return;
    log_line(Severity::error, "host",
             "plugin " + instance.description.id + " is stopped: " + reason);
    // Later snapshots keep what it knew, for the next start.
    if (instance.reconciled) unclaimed_.push_back(section_of(instance));
    instance.status = Instance::Status::stopped;
    instance.reason = std::move(reason);
    {
        PhaseScope scope(instance, Phase::reactor);
        instance.table->stop(instance.self);
    }
    stop_operations(instance);
    std::vector<uint64_t> orphans;
    for (const auto& [token, call] : calls_) {
        if (call.instance == &instance) orphans.push_back(token);
    }
    for (const uint64_t token : orphans) {
        answer(instance, token,
               {false,
                {},
                Fd(),
                {NODED_REJECT_BUSY,
                 "plugin " + instance.description.id + " is stopped: " + instance.reason}});
    }
}

void Host::stop() {
    for (Instance* instance : std::exchange(folding_, {}))
        instance->status = Instance::Status::loaded;
    for (auto at = instances_.rbegin(); at != instances_.rend(); ++at) {
        Instance& instance = **at;
        if (!instance.loaded()) continue;
        {
            PhaseScope scope(instance, Phase::reactor);
            instance.table->stop(instance.self);
        }
        stop_operations(instance);
        instance.status = Instance::Status::stopped;
        instance.reason = "noded is stopping";
        PhaseScope scope(instance, Phase::load);
        instance.table->destroy(instance.self);
    }
}

// -------------------------------------------------------------------------------------------
// look-ups

const Instance* Host::find(const std::string& id) const {
    for (const auto& instance : instances_) {
        if (instance->loaded() && instance->description.id == id) return instance.get();
    }
    return nullptr;
}

std::string Host::why_not(const std::string& id) const {
    for (const auto& instance : instances_) {
        if (instance->loaded() || instance->description.id != id || instance->reason.empty())
            continue;
        return "plugin " + id + " is " + word_of(instance->status) + ": " + instance->reason;
    }
    return "no plugin named " + id + " is loaded";
}

const Instance* Host::owner_of_event(uint64_t type, const std::string** name) const {
    const auto owner = deciders_.find(type);
    if (owner == deciders_.end()) return nullptr;
    for (const NamedType& event : owner->second->description.events) {
        if (event.id != type) continue;
        *name = &event.name;
        return owner->second;
    }
    return nullptr;
}

const std::string* Host::name_of_command(uint64_t type) const {
    const auto owner = deciders_.find(type);
    if (owner == deciders_.end()) return nullptr;
    const auto& commands = owner->second->description.commands;
    const auto command = std::ranges::find(commands, type, &NamedType::id);
    return command != commands.end() ? &command->name : nullptr;
}

}  // namespace noded::host
