// The in-memory host, see fake_host.h. Impl holds the state; the functions named after an extension
// (events_propose, timer_start …) are what the plugin finds in the tables of plugins/abi/host.h.
#include "plugins/sdk/fake_host.h"

#include <capnp/dynamic.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>

#include "agent/base/check.h"

namespace noded::sdk {
namespace {

enum class Phase { none, load, pure, reactor, offload };

struct Loaded {
    FakeHost::Impl* fake = nullptr;
    const noded_plugin* table = nullptr;
    noded_host host{};
    void* self = nullptr;
    Phase phase = Phase::none;
    std::string failure;
    std::set<std::string> settings_asked;   // by its init
    std::string state_dir;
    std::string runtime_dir;
    const noded_plugin_rpc* rpc = nullptr;
    void (*topics_changed)(void*, void*) noexcept = nullptr;
    void* topics_argument = nullptr;
    std::vector<std::string> topic_words;

    std::string_view id() const { return table->descriptor->id; }
};

/// Sets the context of a plugin for one call.
class In {
public:
    In(Loaded& plugin, Phase phase) : plugin_(plugin), before_(plugin.phase) {
        plugin.phase = phase;
    }
    ~In() { plugin_.phase = before_; }

private:
    Loaded& plugin_;
    Phase before_;
};

struct Command {
    noded_origin origin = NODED_ORIGIN_CLIENT;
    uint64_t type = 0;
    Buffer payload;
    CommandId id;
    uint64_t cause_seq = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
};

struct Decided {
    const Loaded* plugin = nullptr;
    std::vector<std::pair<uint64_t, Buffer>> emitted;
    bool rejected = false;
    noded_rejection code{};
    std::string message;
    uint64_t undeclared = 0;
};

struct Job {
    Loaded* plugin;
    void (*work)(void*) noexcept;
    void (*done)(void*, void*) noexcept;
    void* argument;
};
struct Timer {
    Loaded* plugin;
    int64_t deadline_ns;
    void (*fire)(void*, void*) noexcept;
    void* argument;
};
struct Watch {
    Loaded* plugin;
    int fd;
    uint32_t events;
    void (*ready)(void*, void*, uint32_t) noexcept;
    void* argument;
};
struct Call {
    Loaded* plugin;
    bool open = true;
    std::unique_ptr<FakeHost::Answer> answer;
};

Buffer copy(noded_bytes bytes) { return Buffer(bytes.data, bytes.data + bytes.size); }

bool lists(const noded_types& types, uint64_t id) {
    return std::any_of(types.list, types.list + types.count,
                       [id](const noded_type& type) { return type.id == id; });
}

const char* name_in(const noded_types& types, uint64_t id) {
    for (uint32_t i = 0; i < types.count; ++i)
        if (types.list[i].id == id) return types.list[i].name;
    return nullptr;
}

CommandId numbered_id(uint32_t number) {
    CommandId id;
    for (int i = 0; i < 4; ++i) id.bytes[i] = uint8_t(number >> (24 - 8 * i));
    return id;
}

Loaded& loaded(const noded_host* host) { return *static_cast<Loaded*>(host->context); }

/// Where a function of the host that is [reactor] begins.
Loaded& on_reactor(const noded_host* host) {
    Loaded& plugin = loaded(host);
    CHECK_MSG(plugin.phase == Phase::reactor, "a [reactor] function was called in another context");
    return plugin;
}

}  // namespace

struct FakeHost::Impl {
    std::string root;
    std::vector<std::unique_ptr<Loaded>> plugins;
    std::deque<Event> events;  // their addresses stay
    std::deque<Command> commands;
    std::deque<size_t> reactions;  // indices into events
    std::deque<Job> jobs;
    std::map<uint64_t, Timer> timers;
    std::map<uint64_t, Watch> watches;
    std::map<uint64_t, Call> calls;
    std::unordered_map<CommandId, Outcome, CommandIdHash> outcomes;
    std::vector<Published> published;
    std::set<std::string> subscriptions;
    bool subscriber_slow = false;
    std::map<std::string, std::string> settings;
    std::vector<Line> lines;
    uint64_t stale = 0;
    uint64_t undeclared = 0;
    uint64_t late_answers = 0;
    uint64_t handles = 0;
    uint32_t ids = 0;
    int64_t now_ns = 0;
    bool offload_held = false;
    bool offload_full = false;
    bool reactions_held = false;
    capnp::SchemaLoader schemas;
    std::map<std::string, uint64_t, std::less<>> names;

    Loaded& plugin(std::string_view id) {
        for (auto& plugin : plugins)
            if (plugin->id() == id) return *plugin;
        check_failed(__FILE__, __LINE__, "plugin is loaded", std::string(id).c_str());
    }
    Loaded* owner_of(const Command& command) {
        for (auto& plugin : plugins) {
            const noded_descriptor& has = *plugin->table->descriptor;
            const bool client = command.origin == NODED_ORIGIN_CLIENT;
            if (lists(client ? has.commands : has.events, command.type))
                return plugin.get();
        }
        return nullptr;
    }
    std::string name_of(uint64_t type) const {
        for (const auto& plugin : plugins)
            if (const char* name = name_in(plugin->table->descriptor->events, type)) return name;
        for (const auto& [name, id] : names)
            if (id == type) return name;
        return std::to_string(type);
    }

    void read_schema(noded_bytes request);
    void create(Loaded& plugin);
    Outcome step(const Command& command);
    Decided decide(Loaded& plugin, const Command& command);
    void append(const Command& command, uint64_t type, Buffer payload, Outcome& outcome);
    void fold(Loaded& plugin, const Event& event);
    void react(const Event& event);
    void run_job();
    void run();
    void forget_all();
    Buffer save(Loaded& plugin);
};

namespace {

noded_event abi_event(const FakeHost::Event& event) {
    noded_event out{};
    out.size = sizeof out;
    out.seq = event.seq;
    out.time_ns = event.time_ns;
    out.type = event.type;
    out.cause_seq = event.cause_seq;
    memcpy(out.command_id, event.command_id.bytes.data(), sizeof out.command_id);
    out.payload = event.bytes();
    return out;
}

// --- The host's side of the extensions.

int events_propose(const noded_host* host, uint64_t type, noded_bytes payload, uint64_t cause_seq,
                   const uint8_t* command_id) noexcept {
    Loaded& plugin = on_reactor(host);
    if (!lists(plugin.table->descriptor->events, type)) {
        ++plugin.fake->undeclared;
        return -1;
    }
    Command command{.origin = NODED_ORIGIN_PROPOSAL, .type = type, .payload = copy(payload)};
    command.cause_seq = cause_seq;
    if (command_id != nullptr) memcpy(command.id.bytes.data(), command_id, command.id.bytes.size());
    plugin.fake->commands.push_back(std::move(command));
    return 0;
}

int events_submit(const noded_host* host, uint64_t type, noded_bytes payload, uint64_t cause_seq,
                  const uint8_t* id) noexcept {
    Loaded& plugin = on_reactor(host);
    Command command{.type = type, .payload = copy(payload), .cause_seq = cause_seq};
    if (id != nullptr) {
        memcpy(command.id.bytes.data(), id, command.id.bytes.size());
    } else {
        memcpy(command.id.bytes.data() + 8, &cause_seq, sizeof cause_seq);
        memcpy(command.id.bytes.data() + 16, &type, sizeof type);
    }
    plugin.fake->commands.push_back(std::move(command));
    return 0;
}
constexpr noded_ext_events kEvents{sizeof(noded_ext_events), events_propose, events_submit};

uint64_t timer_start(const noded_host* host, int64_t delay_ns, void (*fire)(void*, void*) noexcept,
                     void* argument) noexcept {
    Loaded& plugin = on_reactor(host);
    const uint64_t handle = ++plugin.fake->handles;
    plugin.fake->timers[handle] = {&plugin, plugin.fake->now_ns + delay_ns, fire, argument};
    return handle;
}
void timer_stop(const noded_host* host, uint64_t handle) noexcept {
    on_reactor(host).fake->timers.erase(handle);
}
int64_t timer_monotonic(const noded_host* host) noexcept { return on_reactor(host).fake->now_ns; }
constexpr int64_t kEpochNs = 1'700'000'000'000'000'000;
int64_t timer_realtime(const noded_host* host) noexcept {
    return kEpochNs + on_reactor(host).fake->now_ns;
}
constexpr noded_ext_timer kTimer{sizeof(noded_ext_timer), timer_start, timer_stop, timer_monotonic,
                                 timer_realtime};

uint64_t fd_watch(const noded_host* host, int fd, uint32_t events,
                  void (*ready)(void*, void*, uint32_t) noexcept, void* argument) noexcept {
    Loaded& plugin = on_reactor(host);
    const uint64_t handle = ++plugin.fake->handles;
    plugin.fake->watches[handle] = {&plugin, fd, events, ready, argument};
    return handle;
}
void fd_unwatch(const noded_host* host, uint64_t handle) noexcept {
    on_reactor(host).fake->watches.erase(handle);
}
constexpr noded_ext_fd kFd{sizeof(noded_ext_fd), fd_watch, fd_unwatch};

int offload_run(const noded_host* host, void (*work)(void*) noexcept,
                void (*done)(void*, void*) noexcept, void* argument) noexcept {
    Loaded& plugin = on_reactor(host);
    if (plugin.fake->offload_full) return -1;
    plugin.fake->jobs.push_back({&plugin, work, done, argument});
    return 0;
}
constexpr noded_ext_offload kOffload{sizeof(noded_ext_offload), offload_run};

void topic_publish(const noded_host* host, const char* suffix, noded_bytes payload) noexcept {
    Loaded& plugin = on_reactor(host);
    plugin.fake->published.push_back({std::string(plugin.id()) + "/" + suffix, copy(payload)});
}
int topic_publish_as(const noded_host* host, const char* topic, noded_bytes payload) noexcept {
    Loaded& plugin = on_reactor(host);
    const std::string_view all = topic;
    const std::string_view rest = all.starts_with("json/") ? all.substr(5) : all;
    const auto is_below = [&](const std::string& word) {
        return rest.starts_with(word + "/") || rest.starts_with(word + "@");
    };
    if (!is_below(std::string(plugin.id())) && !std::ranges::any_of(plugin.topic_words, is_below))
        return -1;
    plugin.fake->published.push_back({topic, copy(payload)});
    return plugin.fake->subscriber_slow ? 1 : 0;
}
int topic_watch(const noded_host* host, void (*changed)(void*, void*) noexcept,
                void* argument) noexcept {
    Loaded& plugin = on_reactor(host);
    if (plugin.topics_changed != nullptr) return -1;
    plugin.topics_changed = changed;
    plugin.topics_argument = argument;
    return 0;
}
void topic_subscriptions(const noded_host* host, void (*visit)(void*, const char*) noexcept,
                         void* context) noexcept {
    for (const std::string& prefix : on_reactor(host).fake->subscriptions)
        visit(context, prefix.c_str());
}
int topic_own(const noded_host* host, const char* word) noexcept {
    on_reactor(host).topic_words.emplace_back(word);
    return 0;
}
constexpr noded_ext_topic kTopic{sizeof(noded_ext_topic), topic_publish,       topic_publish_as,
                                 topic_watch,             topic_subscriptions, topic_own};

void log_line(const noded_host* host, int severity, const char* text) noexcept {
    CHECK_MSG(loaded(host).phase != Phase::pure, "a line was logged from a [pure] function");
    loaded(host).fake->lines.push_back({severity, text});
}
constexpr noded_ext_log kLog{sizeof(noded_ext_log), log_line};

const char* paths_state(const noded_host* host) noexcept { return loaded(host).state_dir.c_str(); }
const char* paths_runtime(const noded_host* host) noexcept {
    return loaded(host).runtime_dir.c_str();
}
std::string libexec_of(const std::string& root) { return root + "/libexec"; }
const char* paths_libexec(const noded_host* host) noexcept {
    static thread_local std::string path;
    path = libexec_of(loaded(host).fake->root);
    return path.c_str();
}
constexpr noded_ext_paths kPaths{sizeof(noded_ext_paths), paths_state, paths_runtime,
                                 paths_libexec};

const char* settings_text(const noded_host* host, const char* key) noexcept {
    Loaded& plugin = loaded(host);
    CHECK_MSG(plugin.phase == Phase::load, "settings are [load]");
    plugin.settings_asked.insert(std::string(plugin.id()) + "." + key);
    const auto& settings = plugin.fake->settings;
    const auto found = settings.find(std::string(plugin.id()) + "." + key);
    return found != settings.end() ? found->second.c_str() : nullptr;
}
constexpr noded_ext_settings kSettings{sizeof(noded_ext_settings), settings_text};

FakeHost::Answer* new_answer(Loaded& plugin, uint64_t token) {
    auto found = plugin.fake->calls.find(token);
    if (found == plugin.fake->calls.end() || !found->second.open) {
        ++plugin.fake->late_answers;
        return nullptr;
    }
    CHECK_MSG(found->second.plugin == &plugin, "a call was answered by another plugin");
    found->second.open = false;
    found->second.answer = std::make_unique<FakeHost::Answer>();
    return found->second.answer.get();
}
void rpc_respond(const noded_host* host, uint64_t token, noded_bytes results,
                 int fd_owned) noexcept {
    Fd fd(fd_owned);
    FakeHost::Answer* answer = new_answer(on_reactor(host), token);
    if (answer == nullptr) return;
    answer->results = copy(results);
    answer->fd = std::move(fd);
}
void rpc_refuse(const noded_host* host, uint64_t token, noded_rejection code,
                const char* message) noexcept {
    FakeHost::Answer* answer = new_answer(on_reactor(host), token);
    if (answer == nullptr) return;
    answer->refused = true;
    answer->code = code;
    answer->message = message;
}
constexpr noded_ext_rpc kRpc{sizeof(noded_ext_rpc), rpc_respond, rpc_refuse};

const void* extension(std::string_view id) {
    if (id == NODED_EXT_EVENTS) return &kEvents;
    if (id == NODED_EXT_TIMER) return &kTimer;
    if (id == NODED_EXT_FD) return &kFd;
    if (id == NODED_EXT_OFFLOAD) return &kOffload;
    if (id == NODED_EXT_TOPIC) return &kTopic;
    if (id == NODED_EXT_LOG) return &kLog;
    if (id == NODED_EXT_PATHS) return &kPaths;
    if (id == NODED_EXT_RPC) return &kRpc;
    if (id == NODED_EXT_SETTINGS) return &kSettings;
    return nullptr;
}

bool requires_extension(const noded_descriptor& descriptor, std::string_view id) {
    for (auto at = descriptor.extensions_required; at != nullptr && *at != nullptr; ++at)
        if (id == *at) return true;
    return false;
}

const void* host_get_extension(const noded_host* host, const char* id) noexcept {
    Loaded& plugin = loaded(host);
    CHECK_MSG(plugin.phase == Phase::load, "get_extension is [load]");
    return requires_extension(*plugin.table->descriptor, id) ? extension(id) : nullptr;
}
void host_fail(const noded_host* host, const char* reason) noexcept {
    loaded(host).failure = reason;
}

}  // namespace

// --- The pipeline.

void FakeHost::Impl::read_schema(noded_bytes request) {
    if (request.size == 0) return;
    // `capnp compile -o-` prints a stream; its first message is the request.
    kj::ArrayInputStream stream(kj::arrayPtr(request.data, request.size));
    capnp::InputStreamMessageReader reader(stream);
    for (auto node : reader.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
        const auto schema = schemas.loadOnce(node);
        if (node.isStruct()) names[schema.getShortDisplayName().cStr()] = node.getId();
    }
}

void FakeHost::Impl::create(Loaded& plugin) {
    plugin.host = {sizeof(noded_host), NODED_ABI_MINOR, &plugin, host_get_extension, host_fail};
    plugin.topics_changed = nullptr;
    plugin.topic_words.clear();
    In load(plugin, Phase::load);
    plugin.self = plugin.table->init(&plugin.host);
    if (plugin.self == nullptr) return;
    for (const auto& [key, value] : settings) {
        if (!key.starts_with(std::string(plugin.id()) + ".") || plugin.settings_asked.contains(key))
            continue;
        plugin.failure = "the configuration sets plugins." + key + ", which it does not know";
        plugin.table->destroy(plugin.self);
        plugin.self = nullptr;
        return;
    }
    const void* rpc = plugin.table->get_extension(plugin.self, NODED_EXT_RPC);
    plugin.rpc = static_cast<const noded_plugin_rpc*>(rpc);
}

Decided FakeHost::Impl::decide(Loaded& plugin, const Command& command) {
    Decided decided;
    decided.plugin = &plugin;
    noded_decision out{};
    out.size = sizeof out;
    out.context = &decided;
    out.emit = [](const noded_decision* self, uint64_t type, noded_bytes payload) noexcept {
        auto& into = *static_cast<Decided*>(self->context);
        CHECK_MSG(payload.size % kWordSize == 0, "an event's payload is a whole number of words");
        if (lists(into.plugin->table->descriptor->events, type))
            into.emitted.emplace_back(type, copy(payload));
        else
            ++into.undeclared;
    };
    out.reject = [](const noded_decision* self, noded_rejection code,
                    const char* message) noexcept {
        auto& into = *static_cast<Decided*>(self->context);
        into.rejected = true;
        into.code = code;
        into.message = message;
    };
    noded_command in{};
    in.size = sizeof in;
    in.origin = command.origin;
    in.type = command.type;
    in.payload = {command.payload.data(), command.payload.size()};
    memcpy(in.id, command.id.bytes.data(), sizeof in.id);
    in.time_ns = kEpochNs + now_ns;
    in.uid = command.uid;
    in.gid = command.gid;
    In pure(plugin, Phase::pure);
    plugin.table->decide(plugin.self, &in, &out);
    undeclared += decided.undeclared;
    return decided;
}

FakeHost::Outcome FakeHost::Impl::step(const Command& command) {
    Outcome outcome;
    outcome.id = command.id;
    const bool client = command.origin == NODED_ORIGIN_CLIENT;
    if (auto known = outcomes.find(command.id); client && known != outcomes.end()) {
        outcome = known->second;
        outcome.retried = true;
        return outcome;
    }
    Loaded* owner = owner_of(command);
    if (owner == nullptr) {
        outcome.code = NODED_REJECT_NOT_FOUND;
        outcome.message = "no plugin decides commands of type " + name_of(command.type);
        return outcome;
    }
    Decided decided = decide(*owner, command);
    if (decided.rejected) {
        outcome.code = decided.code;
        outcome.message = decided.message;
        stale += !client;
        return outcome;
    }
    outcome.accepted = true;
    for (auto& [type, payload] : decided.emitted)
        append(command, type, std::move(payload), outcome);
    if (!client && decided.emitted.empty()) ++stale;
    if (client) outcomes[command.id] = outcome;
    return outcome;
}

void FakeHost::Impl::append(const Command& command, uint64_t type, Buffer payload,
                            Outcome& outcome) {
    Event event;
    event.seq = events.size() + 1;
    event.type = type;
    event.name = name_of(type);
    event.time_ns = kEpochNs + now_ns;
    event.cause_seq = command.cause_seq;
    event.command_id = command.id;
    event.payload = std::move(payload);
    if (outcome.first_seq == 0) outcome.first_seq = event.seq;
    outcome.last_seq = event.seq;
    events.push_back(std::move(event));
    reactions.push_back(events.size() - 1);
    for (auto& plugin : plugins) fold(*plugin, events.back());
}

void FakeHost::Impl::fold(Loaded& plugin, const Event& event) {
    if (!lists(plugin.table->descriptor->folds, event.type)) return;
    In pure(plugin, Phase::pure);
    const noded_event abi = abi_event(event);
    plugin.table->fold(plugin.self, &abi);
}

void FakeHost::Impl::react(const Event& event) {
    for (auto& plugin : plugins) {
        if (!lists(plugin->table->descriptor->folds, event.type)) continue;
        In reactor(*plugin, Phase::reactor);
        const noded_event abi = abi_event(event);
        plugin->table->react(plugin->self, &abi);
    }
}

void FakeHost::Impl::run_job() {
    const Job job = jobs.front();
    jobs.pop_front();
    {
        In offload(*job.plugin, Phase::offload);
        job.work(job.argument);
    }
    In reactor(*job.plugin, Phase::reactor);
    job.done(job.plugin->self, job.argument);
}

void FakeHost::Impl::run() {
    for (int steps = 0;; ++steps) {
        CHECK_MSG(steps < 1'000'000, "the plugins never become quiet");
        if (!reactions.empty() && !reactions_held) {
            const Event event = events[reactions.front()];
            reactions.pop_front();
            react(event);
        } else if (!commands.empty()) {
            const Command command = std::move(commands.front());
            commands.pop_front();
            step(command);
        } else if (!jobs.empty() && !offload_held) {
            run_job();
        } else {
            return;
        }
    }
}

void FakeHost::Impl::forget_all() {
    commands.clear();
    reactions.clear();
    jobs.clear();  // what their arguments own is lost, as in a crash
    timers.clear();
    watches.clear();
    for (auto& [token, call] : calls) call.open = false;
}

Buffer FakeHost::Impl::save(Loaded& plugin) {
    Buffer saved;
    noded_sink sink{};
    sink.size = sizeof sink;
    sink.context = &saved;
    sink.write = [](const noded_sink* self, noded_bytes bytes) noexcept {
        auto& into = *static_cast<Buffer*>(self->context);
        into.insert(into.end(), bytes.data, bytes.data + bytes.size);
    };
    In pure(plugin, Phase::pure);
    plugin.table->snapshot_save(plugin.self, &sink);
    return saved;
}

// --- The interface.

FakeHost::FakeHost() : impl_(std::make_unique<Impl>()) {
    char path[] = "/tmp/noded-fake-host-XXXXXX";
    CHECK(mkdtemp(path) != nullptr);
    impl_->root = path;
    CHECK(mkdir(libexec_of(impl_->root).c_str(), 0700) == 0);
}

FakeHost::~FakeHost() {
    for (auto& plugin : impl_->plugins) {
        In reactor(*plugin, Phase::reactor);
        plugin->table->stop(plugin->self);
    }
    for (auto& plugin : impl_->plugins) {
        In load(*plugin, Phase::load);
        plugin->table->destroy(plugin->self);
    }
    std::error_code ignored;
    std::filesystem::remove_all(impl_->root, ignored);
}

std::string FakeHost::load(const noded_plugin* table) {
    const noded_descriptor& descriptor = *table->descriptor;
    for (auto at = descriptor.extensions_required; at != nullptr && *at != nullptr; ++at)
        if (extension(*at) == nullptr) return "requires the unknown extension " + std::string(*at);
    for (auto at = descriptor.plugins_needed; at != nullptr && *at != nullptr; ++at)
        if (!std::ranges::any_of(impl_->plugins, [&](auto& p) { return p->id() == *at; }))
            return "needs the plugin " + std::string(*at);
    auto plugin = std::make_unique<Loaded>();
    plugin->fake = impl_.get();
    plugin->table = table;
    plugin->state_dir = state_dir(descriptor.id);
    plugin->runtime_dir = runtime_dir(descriptor.id);
    std::filesystem::create_directories(plugin->state_dir);
    std::filesystem::create_directories(plugin->runtime_dir);
    impl_->read_schema(descriptor.schema);
    impl_->create(*plugin);
    if (plugin->self == nullptr) return plugin->failure;
    impl_->plugins.push_back(std::move(plugin));
    Loaded& added = *impl_->plugins.back();
    for (const Event& event : impl_->events) impl_->fold(added, event);
    {
        In reactor(added, Phase::reactor);
        added.table->reconcile(added.self);
    }
    impl_->run();
    return {};
}

FakeHost::Outcome FakeHost::command(uint64_t type, noded_bytes payload, const Options& options) {
    Command command{.type = type, .payload = copy(payload), .id = options.id};
    command.uid = options.uid;
    command.gid = options.gid;
    if (command.id.is_zero()) {
        command.id = next_id();
        ++impl_->ids;
    }
    const Outcome outcome = impl_->step(command);
    impl_->run();
    return outcome;
}

uint64_t FakeHost::inject(uint64_t type, noded_bytes payload, const CommandId& id) {
    Command command;
    command.id = id;
    Outcome outcome;
    impl_->append(command, type, copy(payload), outcome);
    impl_->run();
    return outcome.first_seq;
}

const std::deque<FakeHost::Event>& FakeHost::events() const { return impl_->events; }

const FakeHost::Event* FakeHost::last(uint64_t type) const {
    for (size_t i = impl_->events.size(); i > 0; --i)
        if (impl_->events[i - 1].type == type) return &impl_->events[i - 1];
    return nullptr;
}

std::string FakeHost::describe(const Event& event) const {
    KJ_IF_MAYBE(schema, impl_->schemas.tryGet(event.type)) {
        capnp::FlatArrayMessageReader reader(
            kj::arrayPtr(reinterpret_cast<const capnp::word*>(event.payload.data()),
                         event.payload.size() / sizeof(capnp::word)));
        const auto text = kj::str(reader.getRoot<capnp::DynamicStruct>(schema->asStruct()));
        return anonymous(event.name + " " + text.cStr());
    }
    return event.name + " " + std::to_string(event.payload.size()) + " bytes";
}

std::string FakeHost::describe_since(uint64_t after) const {
    std::string text;
    for (size_t i = after; i < impl_->events.size(); ++i) text += describe(impl_->events[i]) + "\n";
    return text;
}

uint64_t FakeHost::call(std::string_view plugin_id, std::string_view method, noded_bytes params,
                        Fd fd) {
    Loaded& plugin = impl_->plugin(plugin_id);
    CHECK_MSG(plugin.rpc != nullptr, "the plugin exports no interface");
    const uint64_t token = ++impl_->handles;
    impl_->calls[token] = {&plugin, true, nullptr};
    for (uint32_t ordinal = 0; ordinal < plugin.rpc->methods_count; ++ordinal) {
        if (method != plugin.rpc->methods[ordinal]) continue;
        noded_call call{};
        call.size = sizeof call;
        call.method = uint16_t(ordinal);
        call.token = token;
        call.params = params;
        call.fd_owned = fd.release();
        call.reserved_fd = -1;
        {
            In reactor(plugin, Phase::reactor);
            plugin.rpc->call(plugin.self, &call);
        }
        impl_->run();
        return token;
    }
    check_failed(__FILE__, __LINE__, "the plugin has the method", std::string(method).c_str());
}

FakeHost::Answer* FakeHost::answer(uint64_t token) { return impl_->calls.at(token).answer.get(); }

void FakeHost::cancel(uint64_t token) {
    Call& call = impl_->calls.at(token);
    if (!call.open) return;
    call.open = false;
    if (call.plugin->rpc->cancelled == nullptr) return;
    {
        In reactor(*call.plugin, Phase::reactor);
        call.plugin->rpc->cancelled(call.plugin->self, token);
    }
    impl_->run();
}

void FakeHost::advance(int64_t ns) {
    const int64_t until = impl_->now_ns + ns;
    while (true) {
        auto next = std::ranges::min_element(impl_->timers, {}, [](const auto& entry) {
            return std::pair(entry.second.deadline_ns, entry.first);
        });
        if (next == impl_->timers.end() || next->second.deadline_ns > until) break;
        const Timer timer = next->second;
        impl_->timers.erase(next);
        impl_->now_ns = std::max(impl_->now_ns, timer.deadline_ns);
        {
            In reactor(*timer.plugin, Phase::reactor);
            timer.fire(timer.plugin->self, timer.argument);
        }
        impl_->run();
    }
    impl_->now_ns = until;
}

int FakeHost::poll_fds(int timeout_ms) {
    std::vector<pollfd> polled;
    std::vector<uint64_t> handles;
    for (const auto& [handle, watch] : impl_->watches) {
        polled.push_back({watch.fd, short(watch.events), 0});
        handles.push_back(handle);
    }
    int ready = 0;
    if (poll(polled.data(), polled.size(), timeout_ms) <= 0) return 0;
    for (size_t i = 0; i < polled.size(); ++i) {
        auto found = impl_->watches.find(handles[i]);
        if (polled[i].revents == 0 || found == impl_->watches.end()) continue;
        const Watch watch = found->second;
        ++ready;
        {
            In reactor(*watch.plugin, Phase::reactor);
            watch.ready(watch.plugin->self, watch.argument, uint32_t(polled[i].revents));
        }
        impl_->run();
    }
    return ready;
}

void FakeHost::hold_offload(bool hold) {
    impl_->offload_held = hold;
    impl_->run();
}
bool FakeHost::run_offload() {
    if (impl_->jobs.empty()) return false;
    impl_->run_job();
    impl_->run();
    return true;
}
void FakeHost::fill_offload(bool full) { impl_->offload_full = full; }
void FakeHost::hold_reactions(bool hold) {
    impl_->reactions_held = hold;
    impl_->run();
}
void FakeHost::run() { impl_->run(); }

void FakeHost::restart() {
    impl_->forget_all();
    for (auto& plugin : impl_->plugins) {
        In load(*plugin, Phase::load);
        plugin->table->destroy(plugin->self);
    }
    for (auto& plugin : impl_->plugins) {
        impl_->create(*plugin);
        CHECK_MSG(plugin->self != nullptr, "a plugin did not start again");
        for (const Event& event : impl_->events) impl_->fold(*plugin, event);
    }
    for (auto& plugin : impl_->plugins) {
        In reactor(*plugin, Phase::reactor);
        plugin->table->reconcile(plugin->self);
    }
    impl_->run();
}

void FakeHost::restart_from_snapshot() {
    std::vector<Buffer> saved;
    for (auto& plugin : impl_->plugins) saved.push_back(impl_->save(*plugin));
    impl_->forget_all();
    for (size_t i = 0; i < saved.size(); ++i) {
        Loaded& plugin = *impl_->plugins[i];
        In load(plugin, Phase::load);
        plugin.table->destroy(plugin.self);
        impl_->create(plugin);
        CHECK_MSG(plugin.self != nullptr, "a plugin did not start again");
        In pure(plugin, Phase::pure);
        CHECK(plugin.table->snapshot_load(plugin.self, {saved[i].data(), saved[i].size()}) != 0);
    }
    for (auto& plugin : impl_->plugins) {
        In reactor(*plugin, Phase::reactor);
        plugin->table->reconcile(plugin->self);
    }
    impl_->run();
}

Buffer FakeHost::snapshot(std::string_view plugin) { return impl_->save(impl_->plugin(plugin)); }

namespace {

/// A new instance beside the one that is loaded.
struct Another {
    Another(FakeHost::Impl& impl, const Loaded& like) : fake(impl) {
        loaded.fake = &impl;
        loaded.table = like.table;
        loaded.state_dir = like.state_dir;
        loaded.runtime_dir = like.runtime_dir;
        impl.create(loaded);
        CHECK_MSG(loaded.self != nullptr, "a plugin did not start again");
    }
    ~Another() {
        In load(loaded, Phase::load);
        loaded.table->destroy(loaded.self);
    }
    bool load(const Buffer& snapshot) {
        In pure(loaded, Phase::pure);
        return loaded.table->snapshot_load(loaded.self, {snapshot.data(), snapshot.size()}) != 0;
    }
    Buffer save() { return fake.save(loaded); }

    FakeHost::Impl& fake;
    Loaded loaded;
};

}  // namespace

std::string FakeHost::snapshot_trouble(std::string_view id) {
    Loaded& plugin = impl_->plugin(id);
    const Buffer present = impl_->save(plugin);
    Another folded(*impl_, plugin);
    for (const Event& event : impl_->events) impl_->fold(folded.loaded, event);
    if (folded.save() != present) return "the instance that folded all events saves other bytes";
    Another loaded(*impl_, plugin);
    if (!loaded.load(present)) return "the snapshot does not load";
    if (loaded.save() != present) return "the instance that loaded the snapshot saves other bytes";
    return "";
}

std::string FakeHost::damaged_snapshot_trouble(std::string_view id) {
    Loaded& plugin = impl_->plugin(id);
    const Buffer present = impl_->save(plugin);
    Another fresh(*impl_, plugin);
    const Buffer empty = fresh.save();
    for (size_t at = 0; at < present.size(); ++at) {
        Buffer damaged = present;
        damaged[at] ^= 0xFF;
        const bool loads = fresh.load(damaged);
        const std::string where = "with byte " + std::to_string(at) + " changed, the snapshot ";
        if (!loads && fresh.save() != empty) return where + "is refused, but has changed the state";
        if (loads && !fresh.load(empty)) return where + "is loaded, and an empty one is not";
        if (fresh.save() != empty) return where + "leaves something behind";
    }
    return "";
}

void FakeHost::set(const std::string& key, const std::string& value) {
    impl_->settings[key] = value;
}

const std::vector<FakeHost::Published>& FakeHost::published() const { return impl_->published; }
void FakeHost::forget_published() { impl_->published.clear(); }
void FakeHost::set_subscriber_slow(bool slow) { impl_->subscriber_slow = slow; }
void FakeHost::subscribe(const std::string& prefix, bool on) {
    if (on) impl_->subscriptions.insert(prefix);
    else impl_->subscriptions.erase(prefix);
    for (auto& plugin : impl_->plugins) {
        if (plugin->topics_changed == nullptr) continue;
        In reactor(*plugin, Phase::reactor);
        plugin->topics_changed(plugin->self, plugin->topics_argument);
    }
    impl_->run();
}
const std::vector<FakeHost::Line>& FakeHost::lines() const { return impl_->lines; }
uint64_t FakeHost::stale_proposals() const { return impl_->stale; }
uint64_t FakeHost::undeclared_events() const { return impl_->undeclared; }
uint64_t FakeHost::late_answers() const { return impl_->late_answers; }
size_t FakeHost::timers() const { return impl_->timers.size(); }
size_t FakeHost::watches() const { return impl_->watches.size(); }
size_t FakeHost::open_calls() const {
    return size_t(std::ranges::count_if(impl_->calls, [](auto& call) { return call.second.open; }));
}
std::string FakeHost::state_dir(std::string_view plugin) const {
    return impl_->root + "/state/" + std::string(plugin);
}
std::string FakeHost::runtime_dir(std::string_view plugin) const {
    return impl_->root + "/run/" + std::string(plugin);
}
std::string FakeHost::libexec_dir() const { return libexec_of(impl_->root); }
int64_t FakeHost::realtime_ns() const { return kEpochNs + impl_->now_ns; }

uint64_t FakeHost::type_named(std::string_view name) const {
    auto found = impl_->names.find(name);
    return found == impl_->names.end() ? 0 : found->second;
}
capnp::SchemaLoader& FakeHost::schemas() { return impl_->schemas; }
void FakeHost::know(std::string name, uint64_t type) { impl_->names[std::move(name)] = type; }
CommandId FakeHost::next_id() const { return numbered_id(impl_->ids + 1); }

std::string FakeHost::anonymous(std::string text) const {
    const std::pair<std::string, std::string> places[] = {{impl_->root + "/state", "$STATE"},
                                                          {impl_->root + "/run", "$RUNTIME"},
                                                          {libexec_dir(), "$LIBEXEC"}};
    for (const auto& [path, name] : places)
        for (size_t at = 0; (at = text.find(path, at)) != std::string::npos;)
            text.replace(at, path.size(), name);
    return text;
}

}  // namespace noded::sdk
