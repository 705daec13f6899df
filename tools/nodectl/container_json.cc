// See container_json.h.
#include "tools/nodectl/container_json.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "plugins/container/shim/hidden_paths.h"
#include "tools/nodectl/health_options.h"
#include "tools/nodectl/host_options.h"
#include "tools/nodectl/restart_policy.h"
#include "tools/nodectl/table.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

constexpr size_t kCommandWidth = 20;
constexpr size_t kMountWidth = 15;

Json texts(const capnp::List<capnp::Text>::Reader& list) {
    Json out = Json::array();
    for (const auto text : list) out.push_back(text.cStr());
    return out;
}

/// Docker's null where nothing was set.
Json texts_or_null(const capnp::List<capnp::Text>::Reader& list) {
    return list.size() == 0 ? Json(nullptr) : texts(list);
}

std::string time_or_zero(int64_t time_ns) {
    return time_ns == 0 ? "0001-01-01T00:00:00Z" : rfc3339_short(time_ns);
}

std::string joined(const capnp::List<capnp::Text>::Reader& list, const char* separator) {
    std::string out;
    for (const auto text : list) {
        if (!out.empty()) out += separator;
        out += text.cStr();
    }
    return out;
}

bool is_volume(const schema::Mount::Reader& mount) {
    return std::string_view(mount.getType().cStr()) == "volume";
}

/// Docker's: arguments with a space in them stand in quotes, but not the command itself.
std::string command_line(const capnp::List<capnp::Text>::Reader& argv) {
    std::string out;
    for (unsigned i = 0; i < argv.size(); i++) {
        const std::string word = argv[i].cStr();
        const bool quotes = i > 0 && word.find(' ') != std::string::npos;
        if (i > 0) out += ' ';
        out += quotes ? "'" + word + "'" : word;
    }
    return out;
}

std::string quoted(const std::string& text) {
    return to_line(Json(text));
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? std::string("SIG") + name : std::to_string(signal);
}

}  // namespace

const char* state_name(const schema::ContainerState::Reader& state) {
    switch (state.getPhase()) {
        case schema::Phase::REQUESTED:
        case schema::Phase::CREATED:
        case schema::Phase::STARTING: return "created";
        case schema::Phase::RUNNING: return state.getPaused() ? "paused" : "running";
        case schema::Phase::RESTARTING: return "restarting";
        case schema::Phase::EXITED: return "exited";
        case schema::Phase::REMOVING: return "removing";
    }
    return "unknown";
}

/// Docker's, behind the time.
static std::string health_text(const schema::ContainerState::Reader& state) {
    const auto status = state.getHealth().getStatus();
    if (status == schema::HealthStatus::NONE) return "";
    const std::string name = health_name(status);
    return status == schema::HealthStatus::STARTING ? " (health: starting)" : " (" + name + ")";
}

std::string status_text(const schema::ContainerState::Reader& state, int64_t now_ns) {
    const auto ago = [&](int64_t time_ns) {
        return human_duration((now_ns - time_ns) / kSecondNs);
    };
    switch (state.getPhase()) {
        case schema::Phase::REQUESTED:
        case schema::Phase::CREATED:
        case schema::Phase::STARTING: return "Created";
        case schema::Phase::RUNNING:
            return "Up " + ago(state.getStartedNs()) +
                   (state.getPaused() ? " (Paused)" : health_text(state));
        case schema::Phase::RESTARTING:
            return "Restarting (" + std::to_string(state.getExitCode()) + ") " +
                   ago(state.getFinishedNs()) + " ago";
        case schema::Phase::EXITED:
            return "Exited (" + std::to_string(state.getExitCode()) + ") " +
                   ago(state.getFinishedNs()) + " ago";
        case schema::Phase::REMOVING: return "Removal In Progress";
    }
    return "Unknown";
}

Row container_row(const schema::ContainerState::Reader& state, bool truncate, int64_t now_ns) {
    const auto spec = state.getSpec();
    const std::string id = state.getId().cStr();
    const std::string command = command_line(spec.getArgv());
    const std::string image = spec.getImageName().cStr();
    const bool image_is_id = image.starts_with("sha256:");
    Json labels = Json::object();
    std::string label_text;
    for (const auto label : spec.getLabels()) {
        labels[label.getKey().cStr()] = label.getValue().cStr();
        label_text += std::string(label_text.empty() ? "" : ",") + label.getKey().cStr() + "=" +
                      label.getValue().cStr();
    }
    std::string mounts;
    size_t volumes = 0;
    for (const auto mount : spec.getOptions().getMounts()) {
        const std::string source = mount.getSource().cStr();
        if (is_volume(mount)) ++volumes;
        if (source.empty()) continue;
        mounts += (mounts.empty() ? "" : ",") +
                  (truncate ? ellipsis(source, kMountWidth) : source);
    }
    Row row;
    row.fields = {
        {"Command", quoted(truncate ? ellipsis(command, kCommandWidth) : command)},
        {"CreatedAt", local_time(state.getCreatedNs())},
        {"ID", truncate ? short_id(id) : id},
        {"Image", truncate && image_is_id ? short_id(image) : image},
        {"Labels", label_text},
        {"LocalVolumes", std::to_string(volumes)},
        {"Mounts", mounts},
        {"Names", state.getName().cStr()},
        {"Networks", spec.getNetwork().cStr()},
        {"Ports", ""},
        {"RunningFor", human_duration((now_ns - state.getCreatedNs()) / kSecondNs) + " ago"},
        {"Size", "0B"},
        {"State", state_name(state)},
        {"Status", status_text(state, now_ns)},
    };
    row.methods["Label"] = std::move(labels);
    return row;
}

namespace {

Json state_json(const schema::ContainerState::Reader& state) {
    const bool running = state.getPhase() == schema::Phase::RUNNING;
    // As in docker it counts as running between two runs.
    const bool restarting = state.getPhase() == schema::Phase::RESTARTING;
    Json out = {
        {"Status", state_name(state)},
        {"Running", running || restarting},
        {"Paused", state.getPaused()},
        {"Restarting", restarting},
        {"OOMKilled", state.getOomKilled()},
        {"Dead", false},
        {"Pid", running ? state.getPid() : 0},
        {"ExitCode", state.getExitCode()},
        {"Error", state.getError().cStr()},
        {"StartedAt", time_or_zero(state.getStartedNs())},
        {"FinishedAt", time_or_zero(running ? 0 : state.getFinishedNs())},
    };
    if (state.hasHealth()) out["Health"] = health_json(state.getHealth());
    if (restarting) out["NextStartAt"] = time_or_zero(state.getNextStartNs());
    return out;
}

Json restart_json(const schema::RestartPolicy::Reader& policy) {
    Json out = {{"Name", restart_name(policy.getKind())},
                {"MaximumRetryCount", policy.getRetriesMax()}};
    if (policy.getDelayMs() != 0) out["DelayMs"] = policy.getDelayMs();
    if (policy.getDelayMaxMs() != 0) out["DelayMaxMs"] = policy.getDelayMaxMs();
    return out;
}

/// Those of the image and of -v; what --mount asked for stands in HostConfig.
Json volumes_json(const schema::HostOptions::Reader& options) {
    std::map<std::string, Json> out;  // in docker's order
    for (const auto mount : options.getMounts())
        if (is_volume(mount) && mount.getMakeSource())
            out[mount.getTarget().cStr()] = Json::object();
    return out.empty() ? Json(nullptr) : Json(out);
}

Json config_json(const schema::ResolvedSpec::Reader& spec) {
    Json labels = Json::object();
    for (const auto label : spec.getLabels())
        labels[label.getKey().cStr()] = label.getValue().cStr();
    Json out = {
        {"Hostname", spec.getHostname().cStr()},
        {"Domainname", spec.getOptions().getDomainname().cStr()},
        {"User", spec.getUser().cStr()},
        {"AttachStdin", spec.getStdinOnce() && (spec.getUnattached() & 1) == 0},
        {"AttachStdout", (spec.getUnattached() & 2) == 0},
        {"AttachStderr", (spec.getUnattached() & 4) == 0},
        {"Volumes", volumes_json(spec.getOptions())},
        {"OnBuild", nullptr},
        {"Tty", spec.getTty()},
        {"OpenStdin", spec.getOpenStdin()},
        {"StdinOnce", spec.getStdinOnce()},
        {"Env", texts(spec.getEnv())},
        {"Cmd", texts_or_null(spec.getCommand())},
        {"Image", spec.getImageName().cStr()},
        {"WorkingDir", spec.getWorkingDir().cStr()},
        {"Entrypoint", texts_or_null(spec.getEntrypoint())},
        {"Labels", std::move(labels)},
        {"StopSignal", signal_name(spec.getStopSignal())},
    };
    const int32_t seconds = spec.getStopTimeoutSeconds();
    if (seconds != -1) out["StopTimeout"] = std::max(seconds, -1);   // -2 is for ever, docker's -1
    if (spec.hasHealth()) out["Healthcheck"] = health_check_json(spec.getHealth());
    for (const auto port : spec.getExposedPorts())
        out["ExposedPorts"][port.cStr()] = Json::object();
    return out;
}

/// Docker's null where none was asked for.
Json rates_json(const schema::Resources::Reader& resources, schema::RateKind kind) {
    Json list = Json::array();
    for (const auto rate : resources.getRates())
        if (rate.getKind() == kind)
            list.push_back({{"Path", rate.getDevice().cStr()}, {"Rate", rate.getRate()}});
    return list.empty() ? Json(nullptr) : list;
}

/// What docker has and this node does not: empty, as docker shows it where it was not asked for.
void add_unknown(Json& out) {
    for (const char* key : {"ContainerIDFile", "VolumeDriver", "Cgroup", "Isolation"})
        out[key] = "";
    for (const char* key : {"VolumesFrom", "ExtraHosts", "Links", "DeviceRequests",
                            "MemorySwappiness"})
        out[key] = nullptr;
    for (const char* key : {"Dns", "DnsOptions", "DnsSearch", "BlkioWeightDevice"})
        out[key] = Json::array();
    for (const char* key : {"CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount", "CpuPercent",
                            "IOMaximumIOps", "IOMaximumBandwidth"})
        out[key] = 0;
    out["PortBindings"] = Json::object();
    out["PublishAllPorts"] = false;
}

/// No network has an address: "none" has loopback alone, "host" is the host's.
Json network_json(const std::string& name) {
    Json network = {{"IPAMConfig", nullptr},       {"Links", nullptr},
                    {"Aliases", nullptr},          {"MacAddress", ""},
                    {"NetworkID", ""},             {"EndpointID", ""},
                    {"Gateway", ""},               {"IPAddress", ""},
                    {"IPPrefixLen", 0},            {"IPv6Gateway", ""},
                    {"GlobalIPv6Address", ""},     {"GlobalIPv6PrefixLen", 0},
                    {"DriverOpts", nullptr}};
    return {{"Bridge", ""},
            {"SandboxID", ""},
            {"HairpinMode", false},
            {"LinkLocalIPv6Address", ""},
            {"LinkLocalIPv6PrefixLen", 0},
            {"Ports", Json::object()},
            {"SandboxKey", ""},
            {"SecondaryIPAddresses", nullptr},
            {"SecondaryIPv6Addresses", nullptr},
            {"EndpointID", ""},
            {"Gateway", ""},
            {"IPAddress", ""},
            {"IPPrefixLen", 0},
            {"IPv6Gateway", ""},
            {"GlobalIPv6Address", ""},
            {"GlobalIPv6PrefixLen", 0},
            {"MacAddress", ""},
            {"Networks", {{name, std::move(network)}}}};
}

void add_resources(const schema::Resources::Reader& from, Json& out) {
    const int64_t memory = from.getMemoryBytes();
    const int64_t swap = from.getMemorySwapBytes();
    out["Memory"] = memory;
    out["MemoryReservation"] = from.getMemoryReservationBytes();
    out["MemorySwap"] = swap != 0 ? swap : 2 * memory;
    out["OomKillDisable"] = from.getOomKillDisable();
    out["NanoCpus"] = from.getNanoCpus();
    out["CpuShares"] = from.getCpuShares();
    out["CpuQuota"] = from.getCpuQuotaUs();
    out["CpuPeriod"] = from.getCpuPeriodUs();
    out["CpusetCpus"] = from.getCpusetCpus().cStr();
    out["CpusetMems"] = from.getCpusetMems().cStr();
    // As docker's: null where none was asked for, 0 where one was taken away.
    out["PidsLimit"] = from.getPidsLimit() == 0
                           ? Json(nullptr)
                           : Json(std::max<int64_t>(from.getPidsLimit(), 0));
    out["BlkioWeight"] = from.getBlkioWeight();
    out["BlkioDeviceReadBps"] = rates_json(from, schema::RateKind::READ_BPS);
    out["BlkioDeviceWriteBps"] = rates_json(from, schema::RateKind::WRITE_BPS);
    out["BlkioDeviceReadIOps"] = rates_json(from, schema::RateKind::READ_IOPS);
    out["BlkioDeviceWriteIOps"] = rates_json(from, schema::RateKind::WRITE_IOPS);
}

Json security_json(const schema::HostOptions::Reader& options) {
    Json list = Json::array();
    if (options.getNoNewPrivileges()) list.push_back("no-new-privileges");
    if (options.getSeccompUnconfined()) list.push_back("seccomp=unconfined");
    if (options.getSeccompProfile().size() > 0)
        list.push_back(std::string("seccomp=") + options.getSeccompProfile().cStr());
    return list.empty() ? Json(nullptr) : list;
}

/// Of what a mount was asked for with, that which stands behind the second colon of -v.
std::string mode_of(const schema::Mount::Reader& mount) {
    std::string out;
    if (!mount.getMakeSource()) return out;
    std::string_view rest = mount.getOptions().cStr();
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view word = rest.substr(0, comma);
        if (word != "bind" && word != "rbind") out += (out.empty() ? "" : ",") + std::string(word);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return out;
}

bool has_option(const schema::Mount::Reader& mount, const std::string& option) {
    const std::string all = std::string(",") + mount.getOptions().cStr() + ",";
    return all.find("," + option + ",") != std::string::npos;
}

bool is_tmpfs(const schema::Mount::Reader& mount) {
    return std::string_view(mount.getType().cStr()) == "tmpfs";
}

/// Without what every tmpfs has: as --tmpfs had it behind the colon.
std::string tmpfs_options(const schema::Mount::Reader& mount) {
    std::string_view options = mount.getOptions().cStr();
    if (options.starts_with(tmpfs_options_default))
        options.remove_prefix(strlen(tmpfs_options_default));
    if (options.starts_with(',')) options.remove_prefix(1);
    return std::string(options);
}

Json tmpfs_mount_json(const schema::Mount::Reader& mount) {
    Json out = {{"Type", "tmpfs"}, {"Target", mount.getTarget().cStr()}};
    if (has_option(mount, "ro")) out["ReadOnly"] = true;
    const std::string all = "," + tmpfs_options(mount) + ",";
    Json options = Json::object();
    const auto number = [&](const std::string& key, const char* name, int base) {
        if (const size_t at = all.find("," + key + "="); at != std::string::npos)
            options[name] = strtoll(all.c_str() + at + key.size() + 2, nullptr, base);
    };
    number("size", "SizeBytes", 10);
    number("mode", "Mode", 8);
    if (!options.empty()) out["TmpfsOptions"] = std::move(options);
    return out;
}

/// What -v asked for, which makes its source, stands in Binds, what --mount did in Mounts.
void add_mounts(const schema::HostOptions::Reader& options, Json& out) {
    Json binds = Json::array();
    Json mounts = Json::array();
    Json tmpfs = Json::object();
    for (const auto mount : options.getMounts()) {
        const std::string source = mount.getSource().cStr();
        const std::string target = mount.getTarget().cStr();
        if (is_tmpfs(mount) && mount.getMakeSource()) {
            tmpfs[target] = tmpfs_options(mount);
        } else if (is_tmpfs(mount)) {
            mounts.push_back(tmpfs_mount_json(mount));
        } else if (is_volume(mount) && mount.getMakeSource()) {
            continue;
        } else if (is_volume(mount)) {
            mounts.push_back({{"Type", "volume"}, {"Target", target}});
            if (has_option(mount, "ro")) mounts.back()["ReadOnly"] = true;
            if (has_option(mount, "nocopy")) mounts.back()["VolumeOptions"] = {{"NoCopy", true}};
        } else if (mount.getMakeSource()) {
            const std::string mode = mode_of(mount);
            binds.push_back(source + ":" + target + (mode.empty() ? "" : ":" + mode));
        } else {
            mounts.push_back({{"Type", "bind"}, {"Source", source}, {"Target", target}});
            if (has_option(mount, "ro")) mounts.back()["ReadOnly"] = true;
        }
    }
    out["Binds"] = binds.empty() ? Json(nullptr) : binds;
    // As docker leaves them out.
    if (!mounts.empty()) out["Mounts"] = std::move(mounts);
    if (!tmpfs.empty()) out["Tmpfs"] = std::move(tmpfs);
}

template <typename Paths>
Json list_of(const Paths& paths) {
    Json list = Json::array();
    for (const char* path : paths) list.push_back(path);
    return list;
}

/// What of /proc and /sys a container does not see, and what it cannot write to; a privileged one
/// is spared both.
void add_paths(const schema::HostOptions::Reader& options, Json& out) {
    if (options.getPrivileged() || options.getSystemPathsUnconfined()) {
        out["MaskedPaths"] = options.getPrivileged() ? Json(nullptr) : Json::array();
        out["ReadonlyPaths"] = out["MaskedPaths"];
        return;
    }
    out["MaskedPaths"] = list_of(masked_paths_default);
    out["ReadonlyPaths"] = list_of(read_only_paths_default);
}

void add_lists(const schema::HostOptions::Reader& options, Json& out) {
    Json ulimits = Json::array();
    for (const auto limit : options.getUlimits())
        ulimits.push_back({{"Name", limit.getName().cStr()},
                           {"Soft", limit.getSoft()},
                           {"Hard", limit.getHard()}});
    Json devices = Json::array();
    for (const auto device : options.getDevices())
        devices.push_back({{"PathOnHost", device.getHostPath().cStr()},
                           {"PathInContainer", device.getContainerPath().cStr()},
                           {"CgroupPermissions", device.getPermissions().cStr()}});
    Json sysctls = Json::object();
    for (const auto sysctl : options.getSysctls())
        sysctls[sysctl.getKey().cStr()] = sysctl.getValue().cStr();
    add_unknown(out);
    add_paths(options, out);
    out["Ulimits"] = std::move(ulimits);
    out["Devices"] = std::move(devices);
    add_mounts(options, out);
    if (!sysctls.empty()) out["Sysctls"] = std::move(sysctls);
}

/// What was asked for, as docker shows it.
Json log_config_json(const schema::HostOptions::Reader& options) {
    Json config = Json::object();
    int64_t bytes = options.getLogFileBytes();
    const char* unit = "";
    for (const char* larger : {"k", "m", "g"}) {
        if (bytes == 0 || bytes % 1000 != 0) break;
        bytes /= 1000;
        unit = larger;
    }
    if (bytes > 0) config["max-size"] = std::to_string(bytes) + unit;
    if (options.getLogFiles() > 0) config["max-file"] = std::to_string(options.getLogFiles());
    return {{"Type", "local"}, {"Config", std::move(config)}};
}

Json host_config_json(const schema::ResolvedSpec::Reader& spec) {
    constexpr int64_t kShmBytesDefault = 64 << 20;
    const auto options = spec.getOptions();
    const auto mode = [](capnp::Text::Reader text, const char* otherwise) {
        return std::string(text.size() > 0 ? text.cStr() : otherwise);
    };
    Json out = {
        {"NetworkMode", spec.getNetwork().cStr()},
        {"AutoRemove", spec.getAutoRemove()},
        {"RestartPolicy", restart_json(spec.getRestart())},
        {"Privileged", options.getPrivileged()},
        {"Init", options.getInit() ? Json(true) : Json(nullptr)},
        {"GroupAdd", texts_or_null(options.getGroupAdd())},
        {"DeviceCgroupRules", texts_or_null(options.getDeviceRules())},
        {"CapAdd", texts_or_null(options.getCapAdd())},
        {"CapDrop", texts_or_null(options.getCapDrop())},
        {"OomScoreAdj", options.getOomScoreAdj()},
        {"ReadonlyRootfs", options.getReadOnly()},
        {"SecurityOpt", security_json(options)},
        {"ShmSize", options.getShmBytes() > 0 ? options.getShmBytes() : kShmBytesDefault},
        {"IpcMode", mode(options.getIpcMode(), "private")},
        {"PidMode", options.getPidMode().cStr()},
        {"UsernsMode", options.getUsernsMode().cStr()},
        {"CgroupParent", options.getCgroupParent().cStr()},
        {"UTSMode", options.getUtsMode().cStr()},
        {"CgroupnsMode", mode(options.getCgroupnsMode(), "private")},
        {"LogConfig", log_config_json(options)},
        {"Runtime", "noded"},
        {"ConsoleSize", {spec.getTtyRows(), spec.getTtyColumns()}},
    };
    add_resources(options.getResources(), out);
    add_lists(options, out);
    return out;
}

/// Docker's word for it: what was asked for, or what is the default.
std::string propagation_in(const std::string& options, const std::string& type) {
    if (type != "bind") return "";
    for (const char* word : {"private", "rprivate", "shared", "rshared", "slave", "rslave"})
        if (("," + options + ",").find(std::string(",") + word + ",") != std::string::npos)
            return word;
    return "rprivate";
}

Json volume_json(const schema::Mount::Reader& mount, const std::string& state_folder) {
    const std::string name = mount.getSource().cStr();
    return {{"Type", "volume"},
            {"Name", name},
            {"Source", state_folder + "/volumes/" + name},
            {"Destination", mount.getTarget().cStr()},
            {"Driver", "local"},
            {"Mode", ""},
            {"RW", !has_option(mount, "ro")},
            {"Propagation", ""}};
}

/// Volumes lie beside the container's log. What --tmpfs asked for stands in HostConfig alone, as in
/// docker.
Json mounts_json(const schema::HostOptions::Reader& options, const std::string& state_folder) {
    Json list = Json::array();
    for (const auto mount : options.getMounts()) {
        if (is_volume(mount)) {
            list.push_back(volume_json(mount, state_folder));
            continue;
        }
        if (is_tmpfs(mount) && mount.getMakeSource()) continue;
        list.push_back({{"Type", mount.getType().cStr()},
                        {"Source", mount.getSource().cStr()},
                        {"Destination", mount.getTarget().cStr()},
                        {"Mode", mode_of(mount)},
                        {"RW", !has_option(mount, "ro")},
                        {"Propagation", propagation_in(mount.getOptions().cStr(),
                                                       mount.getType().cStr())}});
    }
    return list;
}

}  // namespace

/// No root is mounted where the host could see it; that of a process can be looked into.
static std::string merged_dir(const schema::ContainerState::Reader& state) {
    if (state.getPhase() != schema::Phase::RUNNING) return "";
    return "/proc/" + std::to_string(state.getPid()) + "/root";
}

Json container_json(const schema::ContainerState::Reader& state) {
    const auto spec = state.getSpec();
    Json arguments = texts(spec.getArgv());
    const std::string path = arguments.empty() ? "" : arguments[0].get<std::string>();
    if (!arguments.empty()) arguments.erase(arguments.begin());
    return {
        {"Id", state.getId().cStr()},
        {"Created", time_or_zero(state.getCreatedNs())},
        {"Path", path},
        {"Args", std::move(arguments)},
        {"State", state_json(state)},
        {"Image", spec.getImageId().cStr()},
        {"ResolvConfPath", ""},
        {"HostnamePath", ""},
        {"HostsPath", ""},
        {"LogPath", state.getLogPath().cStr()},
        {"Name", std::string("/") + state.getName().cStr()},
        {"RestartCount", state.getRestartCount()},
        {"Driver", "overlay2"},
        {"Platform", "linux"},
        {"MountLabel", ""},
        {"ProcessLabel", ""},
        {"AppArmorProfile", ""},
        {"ExecIDs", texts_or_null(state.getExecIds())},
        {"HostConfig", host_config_json(spec)},
        {"GraphDriver",
         {{"Data",
           {{"LowerDir", joined(state.getLowers(), ":")},
            {"MergedDir", merged_dir(state)},
            {"UpperDir", state.getUpper().cStr()},
            {"WorkDir", state.getWork().cStr()}}},
          {"Name", "overlay2"}}},
        {"Mounts", mounts_json(spec.getOptions(), state.getLogPath().cStr())},
        {"Config", config_json(spec)},
        {"NetworkSettings", network_json(spec.getNetwork().cStr())},
    };
}

}  // namespace noded::nodectl
