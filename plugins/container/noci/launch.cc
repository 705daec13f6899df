// See launch.h.
#include "plugins/container/noci/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <sstream>
#include <utility>

#include "plugins/container/noci/hooks.h"
#include "plugins/container/noci/id_helpers.h"
#include "plugins/container/noci/limits.h"
#include "plugins/container/noci/net_devices.h"
#include "plugins/container/noci/plan_builder.h"
#include "plugins/container/noci/seccomp.h"
#include "plugins/container/noci/sockets.h"
#include "plugins/container/noci/unit.h"
#include "plugins/container/shim/launch_encode.h"

namespace noded::noci {
namespace {

/// One start on its way: everything that has to live until the process is there.
struct Draft {
    LaunchSpec spec;
    PlanBuilder builder;
    std::vector<int> passed;
    int lowest_fd = 3;
    Fd console, pidfd, listen;
};

/// Later variables win, as programs that read the first one would not know.
Result<std::vector<std::string>> resolve_env(const std::vector<std::string>& env) {
    std::vector<std::string> out;
    for (const std::string& item : env) {
        const size_t equals = item.find('=');
        if (equals == std::string::npos)
            return fail("invalid environment variable: missing '='");
        if (equals == 0) return fail("invalid environment variable: name cannot be empty");
        const std::string_view name(item.data(), equals + 1);
        std::erase_if(out, [&](const std::string& had) { return had.starts_with(name); });
        // An empty home is none: the user's is found in /etc/passwd.
        if (item != "HOME=") out.push_back(item);
    }
    return out;
}

void fill_scheduling(const ProcessConfig& process, PlanBuilder& to) {
    Plan& plan = to.plan;
    plan.affinity_first = to.list(process.affinity_first);
    plan.affinity = to.list(process.affinity);
    if (process.io_priority) {
        plan.sets_io_priority = 1;
        plan.io_priority = *process.io_priority;
    }
    if (!process.scheduler) return;
    const SchedulerConfig& asked = *process.scheduler;
    plan.sets_scheduler = 1;
    plan.scheduler = {sizeof plan.scheduler, asked.policy,   asked.flags,    asked.nice,
                      asked.priority,        asked.runtime, asked.deadline, asked.period,
                      0,                     0};
}

/// What a process has on its own at an exec it must be able to have and to inherit.
void warn_of_ambient(const CapabilitySets& sets, const Log& log) {
    const uint64_t without = sets.ambient & ~(sets.permitted & sets.inheritable);
    for (uint32_t i = 0; i < capabilities_known; ++i)
        if ((without >> i & 1) != 0)
            log.warning("can't raise ambient capability " + capability_name(i) +
                        ": operation not permitted");
}

Status fill_process(const ProcessConfig& process, const Container& container, Draft& draft,
                    const Log& log) {
    LaunchSpec& spec = draft.spec;
    Plan& plan = draft.builder.plan;
    spec.id = "noci";
    spec.log_limits = {1, 1, 0};  // it has no log, but the format wants a size
    spec.arguments = process.args;
    spec.environment = TRY(resolve_env(process.env));
    spec.cwd = clean_path(process.cwd);
    spec.tty = process.terminal;
    spec.rows = process.rows;
    spec.columns = process.columns;
    spec.no_new_privs = process.no_new_privs;
    for (const RlimitConfig& limit : process.rlimits)
        spec.rlimits.push_back({limit.resource, 0, limit.soft, limit.hard});
    const CapabilitySets sets = process.capabilities.value_or(CapabilitySets());
    spec.capabilities = sets.bounding;
    plan.effective = sets.effective;
    plan.permitted = sets.permitted;
    plan.inheritable = sets.inheritable;
    plan.ambient = sets.ambient;
    if (!process.unknown_capabilities.empty()) {
        std::string names;
        for (const std::string& name : process.unknown_capabilities) names += " " + name;
        log.warning("ignoring unknown or unavailable capabilities:" + names);
    }
    warn_of_ambient(sets, log);
    if (process.oom_score_adj) {
        plan.sets_oom_score = 1;
        spec.oom_score_adj = *process.oom_score_adj;
    }
    plan.uid = process.uid;
    plan.gid = process.gid;
    if (process.groups.size() > launch::groups_max)
        return fail("the user has more than 256 additional groups");
    // One that is named twice is one.
    std::vector<uint32_t> groups;
    for (const uint32_t gid : process.groups)
        if (std::ranges::count(groups, gid) == 0) groups.push_back(gid);
    plan.groups = draft.builder.list(groups);
    // podman's --group-add keep-groups: files that only the caller's groups may read.
    plan.keeps_groups = container.annotation("run.oci.keep_original_groups") == "1";
    plan.umask = process.umask.value_or(022);
    plan.keyring = draft.builder.text("_ses." + container.id);
    plan.apparmor = draft.builder.text(process.apparmor);
    plan.selinux = draft.builder.text(process.selinux);
    fill_scheduling(process, draft.builder);
    return {};
}

Status fill_seccomp(const Config& config, bool waits_for_start, Draft& draft, const Log& log) {
    if (config.seccomp.is_null()) return {};
    SeccompFilter filter = TRY(compile_seccomp(config.seccomp, draft.spec.capabilities));
    draft.spec.seccomp = std::move(filter.program);
    draft.builder.plan.seccomp_flags = filter.flags;
    if (waits_for_start) draft.builder.plan.filtered_wait = filter.wait;
    log.debug("seccomp filter flags: " + std::to_string(filter.flags));
    return {};
}

void fill_cgroups(const Cgroups& cgroups, Draft& draft) {
    for (const CgroupPlace& place : cgroups.places()) {
        if (place.name.empty()) draft.builder.plan.cgroup_v2 = draft.builder.text(place.folder);
        else draft.spec.cgroups_v1.push_back({place.folder, ""});
    }
}

/// Descriptors that socket activation and --preserve-fds hand on.
Status fill_descriptors(const LaunchOptions& options, Draft& draft) {
    uint32_t preserved = options.preserve_fds;
    const char* listen_pid = getenv("LISTEN_PID");
    const char* listen_fds = getenv("LISTEN_FDS");
    if (listen_pid != nullptr && listen_fds != nullptr && atoi(listen_pid) == getpid()) {
        preserved += uint32_t(std::max(atoi(listen_fds), 0));
        draft.spec.environment.push_back("LISTEN_FDS=" + std::string(listen_fds));
        draft.spec.environment.push_back("LISTEN_PID=1");
    }
    if (preserved > limits::preserved_fds_max)
        return fail("at most 1024 descriptors can be preserved");
    for (uint32_t i = 0; i < preserved; ++i)
        if (fcntl(3 + int(i), F_GETFD) < 0)
            return fail("unable to stat preserved-fd " + std::to_string(i) + " (of " +
                        std::to_string(preserved) + "): no such file or directory");
    draft.builder.plan.preserved = preserved;
    draft.lowest_fd = 3 + int(preserved);
    // What else the caller left open is neither the container's nor a hook's.
    syscall(SYS_close_range, draft.lowest_fd, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    return {};
}

Status fill_console(const LaunchOptions& options, Draft& draft) {
    draft.builder.plan.console_fd = -1;
    if (!draft.spec.tty) return {};
    Fd socket(options.console_fd >= 0 ? fcntl(options.console_fd, F_DUPFD_CLOEXEC, draft.lowest_fd)
                                      : -1);
    if (options.console_fd < 0) socket = TRY(connect_stream(options.console_socket));
    draft.console = TRY(lift(std::move(socket), draft.lowest_fd));
    draft.builder.plan.console_fd = draft.console.get();
    draft.passed.push_back(draft.console.get());
    return {};
}

void fill_namespaces(const Config& config, Draft& draft) {
    PlanBuilder& to = draft.builder;
    std::vector<Joined> joined;
    for (const NamespaceConfig& space : config.namespaces) {
        if (space.path.empty()) to.plan.new_namespaces |= space.type;
        else joined.push_back({space.type, to.text(space.path)});
    }
    to.plan.joined = to.list(joined);
    to.plan.has_own_mounts = config.find(CLONE_NEWNS) != nullptr;
    to.plan.time_offsets = to.text(config.time_offsets);
    to.plan.unprivileged = geteuid() != 0;
    const NamespaceConfig* user = config.find(CLONE_NEWUSER);
    if (user == nullptr || !user->path.empty()) return;
    to.plan.uid_map = to.text(map_text(config.uid_maps));
    to.plan.gid_map = to.text(map_text(config.gid_maps));
    to.plan.asks_for_maps = to.plan.unprivileged != 0 && !maps_only_caller(config);
}

std::vector<std::string> each_once(const std::vector<std::string>& paths) {
    std::vector<std::string> out;
    std::set<std::string> known;
    for (const std::string& path : paths)
        if (known.insert(clean_path(path)).second) out.push_back(path);
    return out;
}

void fill_memory_policy(const Config& config, PlanBuilder& to) {
    if (!config.memory_policy) return;
    to.plan.sets_memory_policy = 1;
    to.plan.memory_mode = config.memory_policy->mode;
    to.plan.memory_nodes = to.list(config.memory_policy->nodes);
}

void fill_personality(const Config& config, Plan& plan) {
    if (!config.personality) return;
    plan.sets_personality = 1;
    plan.personality = *config.personality;
}

Status fill_container(const Container& container, const Config& config,
                      const LaunchOptions& options, Draft& draft) {
    PlanBuilder& to = draft.builder;
    LaunchSpec& spec = draft.spec;
    spec.hostname = config.hostname;
    spec.domainname = config.domainname;
    spec.namespaces = CLONE_NEWUTS;  // config_check: it has one if it has a name
    to.plan.masked = to.texts(each_once(config.masked_paths));
    to.plan.protected_paths = to.texts(each_once(config.read_only_paths));
    for (const auto& [path, value] : config.sysctls) spec.sysctls.push_back({path, value});
    to.plan.rootfs = to.text(config.rootfs);
    to.plan.rootfs_propagation = config.rootfs_propagation;
    to.plan.no_pivot = options.no_pivot;
    to.plan.keeps_keyring = options.no_new_keyring;
    to.plan.read_only_rootfs = config.read_only;
    TRY_STATUS(add_mounts(config, container.bundle, container.cgroups, to));
    const HooksConfig& hooks = config.hooks;
    to.plan.create_container_hooks = to.hooks(hooks.create_container, own_environment());
    to.plan.start_container_hooks = to.hooks(hooks.start_container, {});
    to.plan.waits_for_hooks = !hooks.prestart.empty() || !hooks.create_runtime.empty() ||
                              !hooks.create_container.empty();
    fill_memory_policy(config, to);
    fill_personality(config, to.plan);
    std::string error;
    const JsonView resources(&config.resources, "linux.resources", &error);
    to.plan.has_cpus = !resources["cpu"]["cpus"].text().empty();
    return {};
}

/// The first stage is gone as soon as the process is born.
void reap(int pid) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

/// The conversation from the first process's beginning until it is ready.
class Birth {
public:
    Birth(Container* container, const Config& config, const Log& log)
        : container_(container), config_(config), log_(log) {}

    Result<Launched> run(const Buffer& plan, const Draft& draft, SyncPair sync) {
        const int stage = TRY(spawn_init(plan, draft.passed, draft.lowest_fd));
        sync.theirs.reset();
        Launched launched;
        const Status heard = hear_until_ready(sync.ours.get());
        // A stage that still waits for an answer ends with the conversation.
        if (!heard) sync.ours.reset();
        reap(stage);
        launched.pid = pid_;
        if (!heard) {
            if (pid_ > 0) kill(pid_, SIGKILL);
            if (pid_ > 0) reap(pid_);
            return std::unexpected(heard.error());
        }
        launched.sync = std::move(sync.ours);
        return launched;
    }

private:
    /// The process may be faster than the first stage, which tells its pid.
    Status hear_until_ready(int socket) {
        bool hooks = false;
        bool ready = false;
        Fd listener;
        while (pid_ == 0 || !ready) {
            Heard heard = TRY(hear(socket));
            if (heard.end) return ended();
            switch (heard.say) {
                case Say::born:
                    pid_ = heard.number;
                    log_.debug("child process in init(): pid " + std::to_string(pid_));
                    if (container_ != nullptr) TRY_STATUS(born());
                    break;
                case Say::map_ids:
                    TRY_STATUS(map_ids_with_helpers(heard.number, config_));
                    TRY_STATUS(say_go(socket));
                    break;
                case Say::hooks: hooks = true; break;
                case Say::ready:
                    warn(heard.text);
                    ready = true;
                    break;
                case Say::failed:
                    return fail(std::string("unable to start container process: ") +
                                (heard.number != 0 ? "error during container init: " : "") +
                                heard.text);
                case Say::listener: listener = std::move(heard.fd); break;
                case Say::executing:
                case Say::warning:
                case Say::map_tree:
                case Say::go: break;
            }
            if (pid_ != 0 && listener.valid() && container_ != nullptr) {
                TRY_STATUS(send_listener(config_.seccomp, *container_, listener.get()));
                listener.reset();
                TRY_STATUS(say_go(socket));
            }
            if (pid_ != 0 && std::exchange(hooks, false)) TRY_STATUS(run_runtime_hooks(socket));
        }
        return {};
    }

    Status born() {
        container_->pid = pid_;
        container_->start_time = process_start_time(pid_);
        TRY_STATUS(container_->save());
        if (config_.intel_rdt)
            TRY_STATUS(make_rdt_group(container_->rdt, *config_.intel_rdt, pid_));
        return move_net_devices(config_.net_devices, pid_);
    }

    Status run_runtime_hooks(int socket) {
        const Fd state = TRY(container_->state_file("creating"));
        TRY_STATUS(noci::run_hooks(config_.hooks.prestart, "prestart", state.get()));
        TRY_STATUS(noci::run_hooks(config_.hooks.create_runtime, "createRuntime", state.get()));
        return say_go(socket, state.get());
    }

    void warn(const std::string& lines) const {
        for (size_t at = 0; at < lines.size();) {
            const size_t end = std::min(lines.find('\n', at), lines.size());
            if (end > at) log_.warning(lines.substr(at, end - at));
            at = end + 1;
        }
    }

    Status ended() const {
        if (container_ != nullptr && container_->cgroups.oom_killed())
            return fail("unable to start container process: container init was OOM-killed (memory "
                        "limit too low?)");
        return fail("unable to start container process: it was killed while it was being made");
    }

    Container* container_;
    const Config& config_;
    const Log& log_;
    int pid_ = 0;
};

Result<Launched> give_birth(Draft& draft, Container* container, const Config& config,
                            const Log& log) {
    SyncPair sync = TRY(make_sync(draft.lowest_fd));
    draft.passed.push_back(sync.theirs.get());
    draft.builder.plan.sync_fd = sync.theirs.get();
    const Buffer spec = TRY(launch_encode(draft.spec));
    draft.builder.plan.launch = draft.builder.list(spec);
    const Buffer plan = TRY(draft.builder.finish());
    return Birth(container, config, log).run(plan, draft, std::move(sync));
}

uint32_t namespaces_of(int pid) {
    constexpr std::pair<const char*, uint32_t> kinds[] = {
        {"user", CLONE_NEWUSER}, {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC},
        {"uts", CLONE_NEWUTS},   {"net", CLONE_NEWNET},       {"pid", CLONE_NEWPID},
        {"mnt", CLONE_NEWNS},    {"time", CLONE_NEWTIME}};
    uint32_t other = 0;
    for (const auto& [name, flag] : kinds) {
        struct stat theirs, ours;
        const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + name;
        const std::string own = std::string("/proc/self/ns/") + name;
        if (stat(path.c_str(), &theirs) == 0 && stat(own.c_str(), &ours) == 0 &&
            theirs.st_ino != ours.st_ino)
            other |= flag;
    }
    return other;
}

/// As the kernel's cpumasks are written: "0x3".
std::string mask_text(const std::vector<uint64_t>& mask) {
    std::string text;
    for (size_t i = mask.size(); i-- > 0;) {
        char word[24];
        snprintf(word, sizeof word, text.empty() ? "%lx" : "%016lx", mask[i]);
        if (!text.empty() || mask[i] != 0) text += word;
    }
    return "0x" + (text.empty() ? "0" : text);
}

/// A folder below the container's own, as `exec --cgroup` names it.
Result<std::string> sub_cgroup(const std::string& top, const std::string& below) {
    std::istringstream parts(below);
    for (std::string part; std::getline(parts, part, '/');)
        if (part == "..")
            return fail("bad sub cgroup path: " + below + ": `..` components are not allowed");
    const std::string joined = clean_path(top + "/" + below);
    if (access(joined.c_str(), F_OK) != 0)
        return fail("error adding pid to cgroups: " + joined + ": no such file or directory");
    return joined;
}

/// Whether this hierarchy has one of "cpu,cpuacct"; `known` is told of those it has.
bool is_meant(const CgroupPlace& place, const std::vector<std::string>& names,
              std::vector<bool>& known) {
    bool meant = false;
    for (size_t i = 0; i < names.size(); ++i) {
        const bool here = std::ranges::count(place.controllers, names[i]) > 0 ||
                          (!place.name.empty() && place.name == names[i]);
        if (here) known[i] = meant = true;
    }
    return meant;
}

/// "[CONTROLLER,…:]PATH" below the container's group; without controllers it is meant for all.
Result<Cgroups> sub_cgroups(const Cgroups& cgroups, const std::vector<std::string>& asked) {
    const std::vector<CgroupPlace>& places = cgroups.places();
    Json out = cgroups.write();
    for (const std::string& item : asked) {
        const size_t colon = item.find(':');
        if (colon == std::string::npos && asked.size() != 1)
            return fail("invalid --cgroup argument: " + item + " (missing <controller>: prefix)");
        if (colon == 0)
            return fail("invalid --cgroup argument: " + item + " (empty <controller> prefix)");
        const std::string below = item.substr(colon == std::string::npos ? 0 : colon + 1);
        std::vector<std::string> names;
        std::istringstream list(colon == std::string::npos ? "" : item.substr(0, colon));
        for (std::string name; std::getline(list, name, ',');) names.push_back(name);
        std::vector<bool> known(names.size());
        for (size_t i = 0; i < places.size(); ++i)
            if (names.empty() || is_meant(places[i], names, known))
                out[i]["folder"] = TRY(sub_cgroup(places[i].folder, below));
        const auto missing = std::ranges::find(known, false);
        if (missing != known.end())
            return fail("unknown controller " + names[size_t(missing - known.begin())] +
                        " in SubCgroupPaths");
    }
    std::string error;
    return Cgroups::read(JsonView(&out, "cgroups:", &error));
}

/// On v2 the container may have moved its processes to a group below its own; the group itself
/// takes none any more when it has handed controllers on.
Cgroups where_it_is(const Container& container) {
    const CgroupPlace* v2 = container.cgroups.unified();
    if (v2 == nullptr || !container.cgroups.pure_v2()) return container.cgroups;
    const std::string handed =
        read_whole(v2->folder + "/cgroup.subtree_control", 4096).value_or("");
    if (handed.find_first_not_of('\n') == std::string::npos) return container.cgroups;
    const std::string text =
        read_whole("/proc/" + std::to_string(container.pid) + "/cgroup", 4096).value_or("");
    const size_t at = text.rfind("0::");
    if (at == std::string::npos) return container.cgroups;
    std::string path = text.substr(at + 3);
    path = path.substr(0, path.find('\n'));
    const std::string folder = v2->mount + path;
    if (!folder.starts_with(v2->folder + "/") || access(folder.c_str(), F_OK) != 0)
        return container.cgroups;
    Json places = container.cgroups.write();
    for (Json& place : places)
        if (place["name"] == "") place["folder"] = folder;
    std::string error;
    return Cgroups::read(JsonView(&places, "cgroups:", &error));
}

/// A container of one process is made by two: such a limit is set when it is there.
Json without_few_processes(const Json& resources, Json* later) {
    Json now = resources;
    const auto pids = now.is_object() ? now.find("pids") : now.end();
    if (pids == now.end() || !pids->is_object()) return now;
    const Json limit = pids->value("limit", Json());
    if (!limit.is_number_integer() || limit < 0 || limit > 2) return now;
    *later = {{"pids", *pids}};
    now.erase("pids");
    return now;
}

/// Nobody else's processes: deleting the container would end them with it.
/// Looked at before anything can fail, because a failure is undone with what the container has.
Status take_cgroups(Container& container, Cgroups cgroups) {
    if (cgroups.exist()) {
        const size_t there = cgroups.processes().size();
        if (there > 0)
            return fail("container's cgroup is not empty: " + std::to_string(there) +
                        " process(es) found");
        if (cgroups.frozen()) return fail("container's cgroup unexpectedly frozen");
    }
    container.cgroups = std::move(cgroups);
    return {};
}

/// By config-linux.md, "Cgroup ownership": who may write to the tree in the container owns it.
Status give_cgroup(const Cgroups& cgroups, const Config& config) {
    const NamespaceConfig* space = config.find(CLONE_NEWCGROUP);
    if (!cgroups.pure_v2() || !is_host_root() || space == nullptr || !space->path.empty())
        return {};
    const bool writable = std::ranges::any_of(config.mounts, [](const MountConfig& mount) {
        return clean_path(mount.destination) == "/sys/fs/cgroup" &&
               (mount.type == "cgroup" || mount.type == "cgroup2") &&
               std::ranges::count(mount.options, "ro") == 0;
    });
    const bool mapped = config.find(CLONE_NEWUSER) != nullptr;
    const std::optional<uint32_t> uid =
        mapped ? host_id(config.uid_maps, config.process.uid) : config.process.uid;
    return writable && uid ? cgroups.give_to(*uid) : Status();
}

}  // namespace

Result<Launched> launch_container(Container& container, const Config& config,
                                  const LaunchOptions& options, const Log& log) {
    Draft draft;
    TRY_STATUS(fill_process(config.process, container, draft, log));
    TRY_STATUS(fill_descriptors(options, draft));
    TRY_STATUS(fill_seccomp(config, options.waits_for_start, draft, log));
    if (!options.no_cgroups)
        TRY_STATUS(take_cgroups(container, TRY(Cgroups::of(config.cgroups_path, container.id))));
    if (config.find(CLONE_NEWNS) == nullptr)
        container.root_mounts = count_mounts_on(container.rootfs);
    // From here on there is something to remove, by whoever finds it if noci is killed.
    TRY_STATUS(container.save());
    // Before the mounts, which may show them.
    if (!is_host_root()) container.cgroups.forget_forbidden(config.cgroups_path.empty());
    fill_namespaces(config, draft);
    TRY_STATUS(fill_container(container, config, options, draft));
    TRY_STATUS(fill_console(options, draft));
    // It ends with its last process, the first of which is nobody's.
    std::optional<OpenUnit> unit;
    if (options.systemd) unit = TRY(open_unit(container, config));
    TRY_STATUS(container.cgroups.create());
    fill_cgroups(container.cgroups, draft);
    Json later;
    Json now = without_few_processes(config.resources, &later);
    if (unit) TRY_STATUS(limit_unit(*unit, container, now, true));
    std::string error;
    const JsonView resources(&config.resources, "linux.resources", &error);
    TRY_STATUS(container.cgroups.limit_devices(resources["devices"]));
    if (!error.empty()) return fail(error);
    TRY_STATUS(container.cgroups.limit(now));
    draft.builder.plan.listen_fd = -1;
    if (options.waits_for_start) {
        draft.listen = TRY(lift(TRY(container.listen()), draft.lowest_fd));
        draft.builder.plan.listen_fd = draft.listen.get();
        draft.passed.push_back(draft.listen.get());
    }
    draft.builder.plan.pidfd = -1;
    log.debug("nsexec container setup: cgroups are made, the first process is started");
    Launched launched = TRY(give_birth(draft, &container, config, log));
    if (unit) TRY_STATUS(limit_unit(*unit, container, later, false));
    TRY_STATUS(container.cgroups.limit(later));
    // Now that nobody has to be born into it without the host's rights.
    TRY_STATUS(give_cgroup(container.cgroups, config));
    const std::string receiver = options.pidfd_socket.empty()
                                     ? container.annotation("run.oci.pidfd_receiver")
                                     : options.pidfd_socket;
    if (!receiver.empty()) TRY_STATUS(send_pidfd(receiver, launched.pid));
    // The process waits for that first: with a noci that is killed before, it ends.
    if (options.waits_for_start) TRY_STATUS(say_go(launched.sync.get()));
    return launched;
}

Result<Launched> launch_exec(const Container& container, const Config& config,
                             const ExecRequest& request, const LaunchOptions& options,
                             const Log& log) {
    Draft draft;
    TRY_STATUS(fill_process(request.process, container, draft, log));
    TRY_STATUS(fill_descriptors(options, draft));
    TRY_STATUS(fill_seccomp(config, false, draft, log));
    TRY_STATUS(fill_console(options, draft));
    fill_cgroups(request.sub_cgroups.empty()
                     ? where_it_is(container)
                     : TRY(sub_cgroups(container.cgroups, request.sub_cgroups)),
                 draft);
    Plan& plan = draft.builder.plan;
    plan.is_exec = 1;
    plan.unprivileged = geteuid() != 0;
    plan.listen_fd = -1;
    plan.keeps_keyring = options.no_new_keyring;
    Fd process(int(syscall(SYS_pidfd_open, container.pid, 0)));
    if (!process.valid()) return fail("cannot exec in a stopped container");
    draft.pidfd = TRY(lift(std::move(process), draft.lowest_fd));
    draft.passed.push_back(draft.pidfd.get());
    plan.pidfd = draft.pidfd.get();
    plan.exec_namespaces = namespaces_of(container.pid);
    fill_memory_policy(config, draft.builder);
    fill_personality(config, plan);
    log.debug("nsexec container setup: enters the container of process " +
              std::to_string(container.pid));
    if (!request.process.affinity_first.empty())
        log.debug("nsexec: affinity: " + mask_text(request.process.affinity_first));
    Launched launched = TRY(give_birth(draft, nullptr, config, log));
    if (!container.rdt.folder.empty()) TRY_STATUS(enter_rdt_group(container.rdt, launched.pid));
    if (!options.pidfd_socket.empty())
        TRY_STATUS(send_pidfd(options.pidfd_socket, launched.pid));
    return launched;
}

Status release(const Container& container, const Config& config, int socket, const char* status,
               const Log& log) {
    const Fd state = TRY(container.state_file(status));
    log.debug("setns_init: about to exec");
    TRY_STATUS(say_go(socket, state.get()));
    bool executing = false;
    for (;;) {
        Heard heard = TRY(hear(socket));
        if (heard.end) break;
        if (heard.say == Say::failed)
            return fail("unable to start container process: " + heard.text);
        if (heard.say == Say::executing) executing = true;
        if (heard.say != Say::listener) continue;
        TRY_STATUS(send_listener(config.seccomp, container, heard.fd.get()));
        TRY_STATUS(say_go(socket));
    }
    log.debug("init: closing the pipe to signal completion");
    if (!executing) return fail("the container was killed before it could be started");
    return {};
}

void kill_processes(const Container& container) {
    // With the first process of a PID namespace all others in it end; without one, or where nobody
    // knows it, they are found in the cgroup.
    if (container.pid > 0) (void)container.signal(SIGKILL);
    if (!container.own_pids || container.pid == 0) container.cgroups.kill(SIGKILL);
}

Status destroy(Container& container, const Log& log) {
    if (!container.holds_lock()) TRY_STATUS(container.lock(limits::lock_wait_ms));
    kill_processes(container);
    if (container.cgroups.frozen()) (void)container.cgroups.freeze(false);
    container.thaw();
    // Whatever is left of it keeps its state, or nobody would find it again.
    if (container.pid > 0 && !container.wait_until_gone(limits::end_wait_ms))
        return fail("container init still running");
    // Everything that stands on it went there with the container, and leaves with it.
    if (container.root_mounts >= 0)
        for (int i = count_mounts_on(container.rootfs); i > container.root_mounts; --i)
            (void)umount2(container.rootfs.c_str(), MNT_DETACH);
    const auto config = container.config();
    // systemd's part first: it would make again what it misses.
    const Status closed = container.systemd_unit.empty() ? Status() : close_unit(container);
    for (const Status& removed :
         {closed, container.cgroups.remove(), remove_rdt_group(container.rdt)})
        if (!removed) log.warning(removed.error().message);
    const auto state = container.state_file("stopped");
    TRY_STATUS(container.remove());
    if (!config || config->hooks.poststop.empty() || !state) return {};
    const Status ran = run_hooks(config->hooks.poststop, "poststop", state->get());
    if (!ran) log.warning(ran.error().message);
    return {};
}

Status write_pid_file(const std::string& path, int pid) {
    const size_t slash = path.rfind('/');
    const std::string draft = path.substr(0, slash + 1) + "." + path.substr(slash + 1);
    const Fd file(open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.valid()) return fail_errno(errno, "make " + draft);
    const std::string text = std::to_string(pid);
    if (write(file.get(), text.data(), text.size()) != ssize_t(text.size()) ||
        rename(draft.c_str(), path.c_str()) != 0)
        return fail_errno(errno, "write " + path);
    return {};
}

}  // namespace noded::noci
