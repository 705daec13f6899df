// Reading of a configuration, see config.h. Formats: the runtime specification, config.md and
// config-linux.md.
#include "plugins/container/noci/config.h"

#include <linux/sched.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <map>

#include "plugins/container/noci/limits.h"

namespace noded::noci {
namespace {

const std::map<std::string, uint32_t> kNamespaces = {
    {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
    {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};

const std::map<std::string, uint64_t> kPropagations = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC}};

const std::map<std::string, uint32_t> kRlimits = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME}};

const std::map<std::string, uint32_t> kPolicies = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},   {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}};

const std::map<std::string, uint64_t> kSchedulerFlags = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};

// linux/mempolicy.h
const std::map<std::string, int32_t> kMemoryModes = {
    {"MPOL_DEFAULT", 0}, {"MPOL_PREFERRED", 1},      {"MPOL_BIND", 2},
    {"MPOL_INTERLEAVE", 3}, {"MPOL_LOCAL", 4}, {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_WEIGHTED_INTERLEAVE", 6}};
const std::map<std::string, int32_t> kMemoryFlags = {{"MPOL_F_STATIC_NODES", 1 << 15},
                                                     {"MPOL_F_RELATIVE_NODES", 1 << 14},
                                                     {"MPOL_F_NUMA_BALANCING", 1 << 13}};

/// Of a map of names; `what` begins the sentence.
template <typename T>
T named(const std::map<std::string, T>& known, const JsonView& at, const char* what) {
    const std::string name = at.text();
    const auto found = known.find(name);
    if (found != known.end()) return found->second;
    at.wrong(std::string(what) + " \"" + name + "\" is not known");
    return {};
}

std::vector<IdMap> read_maps(const JsonView& list) {
    std::vector<IdMap> maps;
    for (const JsonView& item : list.items())
        maps.push_back({item["containerID"].u32(), item["hostID"].u32(), item["size"].u32()});
    if (maps.size() > limits::id_maps_max) list.wrong("has more than 340 mappings");
    return maps;
}

uint64_t read_capabilities(const JsonView& list, ProcessConfig& out) {
    uint64_t set = 0;
    for (const std::string& name : list.texts()) {
        // Newer than this program or this kernel: told, not refused.
        const auto number = capability_number(name);
        if (number) set |= uint64_t{1} << *number;
        else if (std::ranges::count(out.unknown_capabilities, name) == 0)
            out.unknown_capabilities.push_back(name);
    }
    return set;
}

void read_user(const JsonView& user, ProcessConfig& out) {
    out.uid = user["uid"].u32();
    out.gid = user["gid"].u32();
    for (const JsonView& gid : user["additionalGids"].items()) out.groups.push_back(gid.u32());
    if (user["umask"]) out.umask = user["umask"].u32();
}

void read_rlimits(const JsonView& list, ProcessConfig& out) {
    for (const JsonView& item : list.items()) {
        const RlimitConfig limit = {named(kRlimits, item["type"], "the resource limit"),
                                    item["soft"].u64(), item["hard"].u64()};
        if (std::ranges::count(out.rlimits, limit.resource, &RlimitConfig::resource) > 0)
            item.wrong("the resource limit stands there twice");
        out.rlimits.push_back(limit);
    }
}

/// The kernel's own answer would be EINVAL for each of them; the sentences are crun's.
void check_deadline(const JsonView& in, const SchedulerConfig& asked) {
    // What the kernel can measure: sched(7).
    constexpr uint64_t runtime_min_ns = 1024;
    constexpr uint64_t runtime_max_ns = uint64_t{1} << 63;
    const std::string begins = "sched_setattr: `SCHED_DEADLINE` ";
    const auto said = [&](const char* what, uint64_t value) {
        return begins + what + " (" + std::to_string(value) + ")";
    };
    if (!in["runtime"]) return in.wrong(begins + "requires `runtime`");
    if (!in["deadline"]) return in.wrong(begins + "requires `deadline`");
    if (asked.runtime == 0) return in.wrong(begins + "runtime must be greater than 0");
    if (asked.runtime < runtime_min_ns || asked.runtime >= runtime_max_ns)
        return in.wrong(said("runtime", asked.runtime) + " must be between " +
                        std::to_string(runtime_min_ns) + " and " +
                        std::to_string(runtime_max_ns - 1) + " nanoseconds");
    if (asked.runtime > asked.deadline)
        return in.wrong(said("runtime", asked.runtime) + " must be <= deadline (" +
                        std::to_string(asked.deadline) + ")");
    if (asked.period != 0 && asked.deadline > asked.period)
        in.wrong(said("deadline", asked.deadline) + " must be <= period (" +
                 std::to_string(asked.period) + ")");
}

void read_scheduler(const JsonView& in, ProcessConfig& out) {
    if (!in) return;
    SchedulerConfig scheduler;
    if (!in["policy"]) return in.wrong("scheduler policy is required");
    scheduler.policy = named(kPolicies, in["policy"], "the scheduler policy");
    scheduler.nice = int32_t(in["nice"].integer());
    scheduler.priority = in["priority"].u32();
    for (const JsonView& flag : in["flags"].items())
        scheduler.flags |= named(kSchedulerFlags, flag, "the scheduler flag");
    scheduler.runtime = in["runtime"].u64();
    scheduler.deadline = in["deadline"].u64();
    scheduler.period = in["period"].u64();
    const bool fair = scheduler.policy == 0 || scheduler.policy == 3;
    if (fair && (scheduler.nice < -20 || scheduler.nice > 19))
        in.wrong("invalid scheduler.nice: " + std::to_string(scheduler.nice));
    if (scheduler.priority != 0 && scheduler.policy != 1 && scheduler.policy != 2)
        in.wrong("scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    if ((scheduler.runtime | scheduler.deadline | scheduler.period) != 0 && scheduler.policy != 6)
        in.wrong(
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
    if (scheduler.policy == 6) check_deadline(in, scheduler);
    out.scheduler = scheduler;
}

void read_io_priority(const JsonView& in, ProcessConfig& out) {
    if (!in) return;
    const std::map<std::string, uint32_t> classes = {
        {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
    const uint32_t kind = named(classes, in["class"], "the ioPriority.Class");
    const int64_t priority = in["priority"].integer();
    if (priority < 0 || priority > 7)
        in.wrong("invalid ioPriority.Priority: " + std::to_string(priority));
    out.io_priority = kind << 13 | uint32_t(priority);
}

/// `what` names them in the sentence.
std::vector<uint64_t> read_bits(const JsonView& at, const char* what) {
    const std::string text = at.text();
    const auto bits = parse_bits(text);
    if (!bits) at.wrong(std::string(what) + " \"" + text + "\"");
    return bits.value_or(std::vector<uint64_t>());
}

ProcessConfig read_process(const JsonView& in) {
    ProcessConfig out;
    out.terminal = in["terminal"].flag();
    out.rows = uint16_t(in["consoleSize"]["height"].u32());
    out.columns = uint16_t(in["consoleSize"]["width"].u32());
    read_user(in["user"], out);
    out.args = in["args"].texts();
    out.env = in["env"].texts();
    out.cwd = in["cwd"].text();
    if (const JsonView sets = in["capabilities"]; sets)
        out.capabilities = {read_capabilities(sets["bounding"], out),
                            read_capabilities(sets["effective"], out),
                            read_capabilities(sets["permitted"], out),
                            read_capabilities(sets["inheritable"], out),
                            read_capabilities(sets["ambient"], out)};
    read_rlimits(in["rlimits"], out);
    out.no_new_privs = in["noNewPrivileges"].flag();
    out.apparmor = in["apparmorProfile"].text();
    out.selinux = in["selinuxLabel"].text();
    if (in["oomScoreAdj"]) out.oom_score_adj = int32_t(in["oomScoreAdj"].integer());
    if (out.oom_score_adj.value_or(0) < -1000 || out.oom_score_adj.value_or(0) > 1000)
        in["oomScoreAdj"].wrong("is not between -1000 and 1000");
    read_scheduler(in["scheduler"], out);
    read_io_priority(in["ioPriority"], out);
    const JsonView affinity = in["execCPUAffinity"];
    out.affinity_first = read_bits(affinity["initial"], "invalid initial CPU affinity");
    out.affinity = read_bits(affinity["final"], "invalid final CPU affinity");
    return out;
}

std::vector<HookConfig> read_hooks(const JsonView& list) {
    std::vector<HookConfig> hooks;
    for (const JsonView& item : list.items()) {
        HookConfig hook = {item["path"].text(), item["args"].texts(), std::nullopt, 0};
        if (item["env"]) hook.env = item["env"].texts();
        if (hook.path.empty() || hook.path[0] != '/')
            item["path"].wrong("a hook needs an absolute path");
        if (hook.args.empty()) hook.args.push_back(hook.path);
        if (item["timeout"]) {
            hook.timeout_seconds = item["timeout"].u32();
            if (hook.timeout_seconds == 0) item["timeout"].wrong("must be greater than zero");
        }
        if (hook.args.size() > limits::hook_strings_max ||
            (hook.env && hook.env->size() > limits::hook_strings_max))
            item.wrong("a hook has at most 255 arguments and 255 variables");
        hooks.push_back(std::move(hook));
    }
    if (hooks.size() > limits::hooks_max) list.wrong("has more than 64 hooks");
    return hooks;
}

void read_mounts(const JsonView& list, Config& out) {
    for (const JsonView& item : list.items()) {
        MountConfig mount = {item["destination"].text(), item["type"].text(),
                             item["source"].text(),      item["options"].texts(),
                             read_maps(item["uidMappings"]), read_maps(item["gidMappings"])};
        if (mount.destination.empty()) item.wrong("mount destination must not be empty");
        if (mount.uid_maps.empty() != mount.gid_maps.empty())
            item.wrong("id-mapped mounts must have both uid and gid mappings specified");
        out.mounts.push_back(std::move(mount));
    }
}

void read_namespaces(const JsonView& list, Config& out) {
    for (const JsonView& item : list.items()) {
        const std::string name = item["type"].text();
        const auto known = kNamespaces.find(name);
        if (known == kNamespaces.end()) {
            item.wrong("namespace \"" + name + "\" does not exist");
            continue;
        }
        if (out.find(known->second) != nullptr)
            item.wrong("malformed spec file: duplicated ns \"" + name + "\"");
        const std::string path = item["path"].text();
        if (!path.empty() && path[0] != '/') item["path"].wrong("is not an absolute path");
        out.namespaces.push_back({known->second, path});
    }
}

void read_devices(const JsonView& list, Config& out) {
    for (const JsonView& item : list.items()) {
        DeviceConfig device;
        device.path = item["path"].text();
        const std::string type = item["type"].text();
        if (type != "c" && type != "b" && type != "p" && type != "u")
            item["type"].wrong("invalid device type \"" + type + "\"");
        device.type = type == "u" ? 'c' : type.empty() ? 'c' : type[0];
        device.major = item["major"].u32();
        device.minor = item["minor"].u32();
        if (item["fileMode"]) device.mode = item["fileMode"].u32() & 07777;
        device.uid = item["uid"].u32();
        device.gid = item["gid"].u32();
        if (device.path.empty() || device.path[0] != '/')
            item["path"].wrong("a device needs an absolute path");
        device.path = clean_path(device.path);
        out.devices.push_back(std::move(device));
    }
    if (out.devices.size() > limits::devices_max) list.wrong("has more than 1024 devices");
}

void read_sysctls(const JsonView& in, Config& out) {
    for (const auto& [key, value] : in.members()) {
        // Both notations: the first separator says which.
        std::string path = key;
        const size_t first = path.find_first_of("./");
        if (first != std::string::npos && path[first] == '.')
            for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
        out.sysctls.emplace_back(clean_path(path).substr(1), value.text());
    }
}

void read_time_offsets(const JsonView& in, Config& out) {
    for (const auto& [clock, offset] : in.members()) {
        if (clock != "monotonic" && clock != "boottime")
            offset.wrong("a time namespace has no such clock");
        out.time_offsets += clock + " " + std::to_string(offset["secs"].integer()) + " " +
                            std::to_string(offset["nanosecs"].u32()) + "\n";
    }
}

void read_memory_policy(const JsonView& in, Config& out) {
    if (!in) return;
    MemoryPolicyConfig policy;
    const std::string mode = in["mode"].text();
    const auto known = kMemoryModes.find(mode);
    if (known == kMemoryModes.end()) return in.wrong("invalid memory policy mode \"" + mode + "\"");
    policy.mode = known->second;
    policy.nodes = read_bits(in["nodes"], "invalid memory policy nodes");
    size_t count = 0;
    for (const uint64_t word : policy.nodes) count += size_t(std::popcount(word));
    const bool takes_none = mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL";
    if (takes_none && count != 0)
        in.wrong("memory policy mode requires 0 nodes but got " + std::to_string(count));
    if (!takes_none && mode != "MPOL_PREFERRED" && count == 0)
        in.wrong("memory policy mode requires at least one node but got 0");
    for (const JsonView& flag : in["flags"].items())
        policy.mode |= named(kMemoryFlags, flag, "invalid memory policy flag");
    out.memory_policy = std::move(policy);
}

/// By the rules of config-linux.md, "IntelRdt".
void read_intel_rdt(const JsonView& in, Config& out) {
    if (!in) return;
    IntelRdtConfig rdt{in["closID"].text(), in["l3CacheSchema"].text(), in["memBwSchema"].text(),
                       in["schemata"].texts(), in["enableMonitoring"].flag()};
    const std::string& clos = rdt.clos_id;
    if (clos == "." || clos == ".." || (clos.size() > 1 && clos.find('/') != std::string::npos))
        in.wrong("invalid intelRdt.ClosID \"" + clos + "\"");
    if (!rdt.bandwidth.empty() && !rdt.bandwidth.starts_with("MB:"))
        in["memBwSchema"].wrong("has to begin with \"MB:\"");
    std::string all = rdt.l3_cache + rdt.bandwidth;
    for (const std::string& line : rdt.schemata) all += line;
    if (all.find('\n') != std::string::npos) in.wrong("a schema of intelRdt is one line");
    out.intel_rdt = std::move(rdt);
}

/// What the kernel takes for a name.
bool is_device_name(const std::string& name) {
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           name.find_first_of("/: \t\n\v\f\r") == std::string::npos;
}

void read_net_devices(const JsonView& in, Config& out) {
    for (const auto& [host_name, value] : in.members()) {
        NetDeviceConfig device{host_name, value["name"].text()};
        if (device.name.empty()) device.name = host_name;
        for (const std::string& name : {device.host_name, device.name})
            if (!is_device_name(name))
                value.wrong("invalid network device name \"" + name + "\"");
        for (const NetDeviceConfig& other : out.net_devices)
            if (other.name == device.name)
                value.wrong("two network devices are called " + device.name);
        out.net_devices.push_back(std::move(device));
    }
}

/// Each is read and forgotten: who sets the limit reads it again (cgroup_limits.cc).
void look_at_integers(const JsonView& in, std::initializer_list<const char*> names) {
    for (const char* name : names) (void)in[name].integer();
}
void look_at_sizes(const JsonView& in, std::initializer_list<const char*> names) {
    for (const char* name : names) (void)in[name].u64();
}
void look_at_texts(const JsonView& in, std::initializer_list<const char*> names) {
    for (const char* name : names) (void)in[name].text();
}
void look_at_flags(const JsonView& in, std::initializer_list<const char*> names) {
    for (const char* name : names) (void)in[name].flag();
}

void look_at_block(const JsonView& in) {
    look_at_sizes(in, {"weight", "leafWeight"});
    for (const JsonView& item : in["weightDevice"].items()) {
        look_at_integers(item, {"major", "minor"});
        look_at_sizes(item, {"weight", "leafWeight"});
    }
    for (const char* rates : {"throttleReadBpsDevice", "throttleWriteBpsDevice",
                              "throttleReadIOPSDevice", "throttleWriteIOPSDevice"})
        for (const JsonView& item : in[rates].items()) {
            look_at_integers(item, {"major", "minor"});
            look_at_sizes(item, {"rate"});
        }
}

void look_at_resources(const JsonView& in) {
    const JsonView memory = in["memory"], cpu = in["cpu"], network = in["network"];
    look_at_integers(memory, {"limit", "swap", "reservation", "kernel", "kernelTCP"});
    look_at_sizes(memory, {"swappiness"});
    look_at_flags(memory, {"disableOOMKiller", "useHierarchy", "checkBeforeUpdate"});
    look_at_integers(cpu, {"quota", "realtimeRuntime", "idle"});
    look_at_sizes(cpu, {"shares", "burst", "period", "realtimePeriod"});
    look_at_texts(cpu, {"cpus", "mems"});
    look_at_integers(in["pids"], {"limit"});
    look_at_block(in["blockIO"]);
    for (const JsonView& item : in["hugepageLimits"].items()) {
        look_at_texts(item, {"pageSize"});
        look_at_sizes(item, {"limit"});
    }
    look_at_sizes(network, {"classID"});
    for (const JsonView& item : network["priorities"].items()) {
        look_at_texts(item, {"name"});
        look_at_sizes(item, {"priority"});
    }
    for (const auto& [name, limit] : in["rdma"].members())
        look_at_sizes(limit, {"hcaHandles", "hcaObjects"});
    for (const auto& [name, value] : in["unified"].members()) (void)value.text();
    for (const JsonView& item : in["devices"].items()) {
        look_at_flags(item, {"allow"});
        look_at_texts(item, {"type", "access"});
        look_at_integers(item, {"major", "minor"});
    }
}

void read_linux(const JsonView& in, Config& out) {
    read_namespaces(in["namespaces"], out);
    out.uid_maps = read_maps(in["uidMappings"]);
    out.gid_maps = read_maps(in["gidMappings"]);
    read_time_offsets(in["timeOffsets"], out);
    read_sysctls(in["sysctl"], out);
    read_net_devices(in["netDevices"], out);
    out.cgroups_path = in["cgroupsPath"].text();
    out.resources = in["resources"].json();
    look_at_resources(in["resources"]);
    read_devices(in["devices"], out);
    out.seccomp = in["seccomp"].json();
    if (const std::string name = in["rootfsPropagation"].text(); !name.empty()) {
        const auto known = kPropagations.find(name);
        if (known == kPropagations.end())
            in["rootfsPropagation"].wrong("rootfsPropagation=" + name + " is not supported");
        else out.rootfs_propagation = known->second;
    }
    out.masked_paths = in["maskedPaths"].texts();
    out.read_only_paths = in["readonlyPaths"].texts();
    if (const JsonView personality = in["personality"]; personality) {
        const std::map<std::string, uint32_t> domains = {{"LINUX", 0}, {"LINUX32", 8}};
        out.personality = named(domains, personality["domain"], "invalid personality domain");
    }
    read_memory_policy(in["memoryPolicy"], out);
    read_intel_rdt(in["intelRdt"], out);
}

/// "1.0.2-dev"; without one it is nobody's mistake but old writers'.
void check_version(const std::string& version, const JsonView& at) {
    unsigned major = 0, minor = 0;
    if (version.empty()) return;
    if (sscanf(version.c_str(), "%3u.%3u", &major, &minor) != 2)
        return at.wrong("\"" + version + "\" is no version of the specification: 1.0.0 is one");
    if (major > 1) at.wrong("version " + version + " of the specification is not supported");
}

void read_root(const JsonView& in, const std::string& bundle, Config& out) {
    if (!in) return in.wrong("root must be specified");
    const std::string path = in["path"].text();
    if (path.empty()) return in.wrong("root.path must not be empty");
    out.rootfs = clean_path(path[0] == '/' ? path : bundle + "/" + path);
    out.read_only = in["readonly"].flag();
}

}  // namespace

const NamespaceConfig* Config::find(uint32_t type) const {
    const auto found = std::ranges::find(namespaces, type, &NamespaceConfig::type);
    return found == namespaces.end() ? nullptr : &*found;
}

Result<Config> parse_config(const std::string& text, const std::string& bundle) {
    const Json json = TRY(parse_json(text, "config.json"));
    if (json.is_null()) return fail("config cannot be null");
    std::string error;
    const JsonView in(&json, "config.json:", &error);
    Config out;
    out.version = in["ociVersion"].text();
    check_version(out.version, in["ociVersion"]);
    out.has_process = bool(in["process"]);
    if (out.has_process) out.process = read_process(in["process"]);
    read_root(in["root"], bundle, out);
    out.hostname = in["hostname"].text();
    out.domainname = in["domainname"].text();
    read_mounts(in["mounts"], out);
    for (const auto& [key, value] : in["annotations"].members())
        out.annotations.emplace_back(key, value.text());
    const JsonView hooks = in["hooks"];
    out.hooks = {read_hooks(hooks["prestart"]),         read_hooks(hooks["createRuntime"]),
                 read_hooks(hooks["createContainer"]), read_hooks(hooks["startContainer"]),
                 read_hooks(hooks["poststart"]),        read_hooks(hooks["poststop"])};
    read_linux(in["linux"], out);
    if (!error.empty()) return fail(error);
    if (out.has_process) TRY_STATUS(check_process(out.process));
    return out;
}

std::optional<std::vector<uint64_t>> parse_bits(const std::string& text) {
    std::vector<uint64_t> bits;
    for (size_t from = 0; from < text.size();) {
        const size_t end = std::min(text.find(',', from), text.size());
        const std::string part = text.substr(from, end - from);
        from = end + 1;
        unsigned long long first = 0, last = 0;
        int used = 0, used_all = 0;
        const int count = sscanf(part.c_str(), "%llu%n-%llu%n", &first, &used, &last, &used_all);
        if (count == 1) last = first;
        if (count < 1 || size_t(count == 1 ? used : used_all) != part.size() || last < first ||
            last >= limits::bits_max)
            return std::nullopt;
        bits.resize(std::max(bits.size(), size_t(last / 64 + 1)));
        for (uint64_t n = first; n <= last; ++n) bits[n / 64] |= uint64_t{1} << n % 64;
    }
    return bits;
}

Status check_resources(const Json& resources, const std::string& name) {
    std::string error;
    look_at_resources(JsonView(&resources, name, &error));
    return error.empty() ? Status() : fail(error);
}

std::vector<std::string> memory_policy_modes() {
    std::vector<std::string> names;
    for (const auto& known : kMemoryModes) names.push_back(known.first);
    return names;
}

std::vector<std::string> memory_policy_flags() {
    std::vector<std::string> names;
    for (const auto& known : kMemoryFlags) names.push_back(known.first);
    return names;
}

Result<ProcessConfig> parse_process(const std::string& text, const std::string& name) {
    const Json json = TRY(parse_json(text, name));
    std::string error;
    ProcessConfig out = read_process(JsonView(&json, name + ":", &error));
    if (!error.empty()) return fail(error);
    TRY_STATUS(check_process(out));
    return out;
}

}  // namespace noded::noci
