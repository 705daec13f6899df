// See host_options.h. Formats: docker run's reference.
#include "tools/nodectl/host_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>

namespace noded::nodectl {
namespace {

using Rate = schema::RateKind;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(separator, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

Result<int64_t> bytes_of(const std::string& text, const char* spelling) {
    if (text.empty()) return 0;
    const auto bytes = parse_bytes(text);
    if (bytes) return *bytes;
    return invalid_argument(text, spelling, bytes.error().message);
}

std::optional<double> decimal(std::string_view text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// "1.5", and as docker takes it "3/2".
Result<int64_t> nano_cpus(const std::string& text) {
    if (text.empty()) return 0;
    const size_t slash = std::min(text.find('/'), text.size());
    const auto above = decimal(std::string_view(text).substr(0, slash));
    const auto below = slash < text.size() ? decimal(std::string_view(text).substr(slash + 1))
                                           : std::optional<double>(1);
    const double cpus = above && below && *below != 0 ? *above / *below : NAN;
    if (!(cpus > -1e6 && cpus < 1e6))
        return invalid_argument(text, "--cpus", "failed to parse " + text +
                                                    " as a rational number");
    return std::llround(cpus * 1e9);
}

template <typename Init>
void put_texts(const std::vector<std::string>& texts, Init init) {
    auto list = init(static_cast<unsigned>(texts.size()));
    for (unsigned i = 0; i < texts.size(); i++) list.set(i, texts[i]);
}

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

constexpr std::string_view kModes[] = {"ro", "nosuid", "nodev", "noexec"};
constexpr std::string_view kPropagations[] = {"private", "rprivate", "shared",
                                              "rshared", "slave",    "rslave"};
/// Docker takes them, and they change nothing on a host without SELinux.
constexpr std::string_view kNoModes[] = {"rw", "z", "Z", "cached", "delegated", "consistent"};

/// What changes nothing here, and images' instructions tell users to say.
constexpr std::string_view kNoSecurity[] = {
    "no-new-privileges=false", "no-new-privileges:false", "seccomp=builtin",
    "label=disable",           "label:disable",           "apparmor=unconfined",
    "apparmor:unconfined"};
constexpr std::string_view kTruths[] = {"1", "t", "T", "true", "TRUE", "True"};
constexpr std::string_view kLies[] = {"0", "f", "F", "false", "FALSE", "False"};

/// Docker's list: those of namespaces that a container has of its own.
bool is_sysctl(std::string_view name) {
    constexpr std::string_view kKernel[] = {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
        "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    return is_one_of(name, kKernel) || name.starts_with("net.") || name.starts_with("fs.mqueue.");
}

/// "/dev/sda:1mb"; the sentences are docker's.
Result<int64_t> parse_rate(const std::string& text, bool bytes) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
        return fail("bad format: " + text);
    if (!text.starts_with("/dev/")) return fail("bad format for device path: " + text);
    const std::string rate = text.substr(colon + 1);
    const auto value = bytes ? parse_bytes(rate) : parse_integer(rate);
    if (value && *value >= 0) return *value;
    return fail("invalid rate for device: " + text +
                (bytes ? ". The correct format is <device-path>:<number>[<unit>]. Number must be a "
                         "positive integer. Unit is optional and can be kb, mb, or gb"
                       : ". The correct format is <device-path>:<number>. Number must be a "
                         "positive integer"));
}

/// "nofile=64:128": the soft limit and the hard one.
Result<std::pair<int64_t, int64_t>> parse_ulimit(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) return fail("invalid ulimit argument: " + text);
    const std::string limits = text.substr(equals + 1);
    const auto values = split(limits, ':');
    if (values.size() > 2)
        return fail("too many limit value arguments - " + limits +
                    ", can only have up to two, `soft[:hard]`");
    const int64_t soft = TRY(parse_integer(values[0]));
    return std::pair(soft, TRY(parse_integer(values.back())));
}


}  // namespace

std::vector<Option> HostOptions::table() {
    return {
        {0, "blkio-weight", &blkio_weight, "uint16", "Block IO weight, between 10 and 1000"},
        {0, "cap-add", &cap_add, "list", "Add Linux capabilities"},
        {0, "cap-drop", &cap_drop, "list", "Drop Linux capabilities"},
        {0, "cgroup-parent", &cgroup_parent, "string", "Optional parent cgroup for the container"},
        {0, "cgroupns", &cgroupns, "string", "Cgroup namespace: private (default) or host"},
        {0, "cpu-period", &cpu_period, "int", "Limit the CPU CFS period, in microseconds"},
        {0, "cpu-quota", &cpu_quota, "int", "Limit the CPU CFS quota, in microseconds"},
        {'c', "cpu-shares", &cpu_shares, "int", "CPU shares (relative weight)"},
        {0, "cpus", &cpus, "decimal", "Number of CPUs"},
        {0, "cpuset-cpus", &cpuset_cpus, "string", "CPUs in which to allow execution (0-3, 0,1)"},
        {0, "cpuset-mems", &cpuset_mems, "string", "MEMs in which to allow execution (0-3, 0,1)"},
        {0, "device", &devices, "list", "Add a host device: HOST[:CONTAINER[:rwm]]"},
        {0, "device-cgroup-rule", &device_rules, "list",
         "Add a rule to the cgroup allowed devices list"},
        {0, "device-read-bps", &device_read_bps, "list", "Limit reads: DEVICE:BYTES per second"},
        {0, "device-read-iops", &device_read_iops, "list", "Limit reads: DEVICE:COUNT per second"},
        {0, "device-write-bps", &device_write_bps, "list", "Limit writes: DEVICE:BYTES per second"},
        {0, "device-write-iops", &device_write_iops, "list",
         "Limit writes: DEVICE:COUNT per second"},
        {0, "domainname", &domainname, "string", "Container NIS domain name"},
        {0, "group-add", &groups, "list", "Add additional groups to join"},
        {0, "init", &init, "", "Run an init inside the container that forwards signals and reaps"},
        {0, "ipc", &ipc, "string",
         "IPC mode to use: private (default), shareable, container:ID, host or none"},
        {0, "log-opt", &log_opts, "list",
         "Log options: max-size=BYTES of a file (10m), max-file=COUNT of them (5)"},
        {'m', "memory", &memory, "bytes", "Memory limit"},
        {0, "memory-reservation", &memory_reservation, "bytes", "Memory soft limit"},
        {0, "memory-swap", &memory_swap, "bytes", "Memory plus swap; -1 for unlimited swap"},
        {0, "mount", &mounts, "mount", "Attach a file system: type=bind|tmpfs,source=,target="},
        {0, "oom-kill-disable", &oom_kill_disable, "", "Disable the OOM killer"},
        {0, "oom-score-adj", &oom_score_adj, "int", "The host's OOM preference (-1000 to 1000)"},
        {0, "pid", &pid, "string", "PID namespace to use: host or container:ID"},
        {0, "pids-limit", &pids_limit, "int", "Limit the number of processes; -1 for unlimited"},
        {0, "privileged", &privileged, "", "Give extended privileges to this container"},
        {0, "read-only", &read_only, "", "Mount the root file system read-only"},
        {0, "security-opt", &security_opt, "list",
         "Security options: seccomp=FILE|unconfined, systempaths=unconfined, no-new-privileges"},
        {0, "shm-size", &shm_size, "bytes", "Size of /dev/shm"},
        {0, "sysctl", &sysctls, "list", "Sysctl options: NAME=VALUE"},
        {0, "tmpfs", &tmpfs, "list", "Mount a tmpfs directory: PATH[:OPTIONS]"},
        {0, "ulimit", &ulimits, "list", "Ulimit options: NAME=SOFT[:HARD]"},
        {0, "userns", &userns, "string",
         "User namespace to use: host, or remap (default: as the node is configured)"},
        {0, "uts", &uts, "string", "UTS namespace to use: host"},
        {'v', "volume", &volumes, "list",
         "Bind mount a folder or file: HOST:CONTAINER[:ro]; PATH alone is a volume of its own"},
    };
}

std::vector<Option> HostOptions::update_table() {
    constexpr std::string_view kNames[] = {
        "blkio-weight", "cpu-period", "cpu-quota", "cpu-shares", "cpus", "cpuset-cpus",
        "cpuset-mems", "memory", "memory-reservation", "memory-swap", "pids-limit"};
    std::vector<Option> options = table();
    std::erase_if(options, [&](const Option& at) {
        return std::ranges::find(kNames, std::string_view(at.name)) == std::end(kNames);
    });
    return options;
}

std::string HostOptions::seccomp_file(const std::string& option) {
    constexpr std::string_view kKeys[] = {"seccomp=", "seccomp:"};
    for (const std::string_view key : kKeys)
        if (option.starts_with(key) && option.substr(key.size()) != "unconfined")
            return option.substr(key.size());
    return "";
}

Result<int64_t> parse_bytes(const std::string& text, int kilo) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    std::string unit(stop, end);
    if (unit.starts_with(' ')) unit.erase(0, 1);   // "10 m"
    for (char& letter : unit) letter = char(tolower(letter));
    if (unit.ends_with('b')) unit.pop_back();
    if (unit.ends_with('i') && unit.size() == 2) unit.pop_back();
    constexpr std::string_view kUnits = "kmgtp";
    const size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
    if (error != std::errc{} || !(number >= 0) || unit.size() > 1 ||
        (!unit.empty() && power == 0))
        return fail("invalid size: '" + text + "'");
    const double bytes = number * std::pow(kilo, power);
    if (bytes >= 9e18) return fail("invalid size: '" + text + "' is more than there can be");
    return static_cast<int64_t>(bytes);
}

Result<MountText> parse_volume(const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() > 3 || parts.empty())
        return fail("invalid volume specification: '" + text + "'");
    if (std::ranges::count(parts, "") > 0)
        return fail("invalid spec: " + text + ": empty section between colons");
    // As docker's client does it, from where the user stands.
    const bool relative = parts[0] == "." || parts[0] == ".." || parts[0].starts_with("./") ||
                          parts[0].starts_with("../");
    std::error_code no_folder;
    const std::string source =
        relative ? std::filesystem::absolute(parts[0], no_folder).lexically_normal().string()
                 : parts[0];
    if (parts.size() == 1 && source.starts_with('/')) {
        if (source.find_first_not_of('/') == std::string::npos)
            return fail("invalid volume specification: '" + text +
                        "': invalid specification: destination can't be '/'");
        return MountText{"volume", "", source, "rbind", true};
    }
    if (!source.starts_with('/'))
        return fail("invalid volume specification: '" + text +
                    "': this node has no named volumes, give HOST:CONTAINER with absolute paths, "
                    "or CONTAINER alone for one that goes with the container");
    MountText mount{"bind", source, parts[1], "rbind", true};
    if (!parts[1].starts_with('/'))
        return fail("invalid volume specification: '" + text +
                    "': invalid mount config for type \"bind\": invalid mount path: '" + parts[1] +
                    "' mount path must be absolute");
    if (parts[1].find_first_not_of('/') == std::string::npos)
        return fail("invalid volume specification: '" + text +
                    "': invalid mount config for type \"bind\": invalid specification: destination "
                    "can't be '/'");
    if (parts.size() == 2) return mount;
    const auto modes = split(parts[2], ',');
    if (std::ranges::count(modes, "ro") > 0 && std::ranges::count(modes, "rw") > 0)
        return fail("invalid mode: " + parts[2]);
    for (const std::string& option : modes) {
        if (is_one_of(option, kModes) || is_one_of(option, kPropagations))
            mount.options += "," + option;
        else if (!is_one_of(option, kNoModes))
            return fail("invalid mode: " + option + ", this node knows ro, rw, nosuid, nodev, "
                        "noexec, [r]shared, [r]slave and [r]private");
    }
    return mount;
}

namespace {

std::unexpected<Error> bad_mount(const std::string& text, const std::string& why) {
    return fail("invalid argument \"" + text + "\" for \"--mount\" flag: " + why);
}

/// What the keys that begin with "bind-" ask for.
struct BindText {
    std::string propagation;
    std::string recursive;
};

/// False if there is no such key, or no such value of it.
bool take_bind_key(const std::string& key, const std::string& value, BindText& out) {
    constexpr std::string_view kRecursions[] = {"enabled", "disabled", "writable", "readonly"};
    if (key == "bind-propagation") out.propagation = value;
    else if (key == "bind-recursive" && is_one_of(value, kRecursions)) out.recursive = value;
    else if (key == "bind-nonrecursive" && (value.empty() || value == "true" || value == "1"))
        out.recursive = "disabled";
    else if (key == "bind-nonrecursive" && (value == "false" || value == "0")) return true;
    else return false;
    return true;
}

Result<std::string> bind_options(const std::string& text, const BindText& bind, bool read_only) {
    const auto needs = [&](const std::string& what) {
        return bad_mount(text, "option 'bind-recursive=" + bind.recursive + "' requires '" + what +
                                   "' to be specified in conjunction");
    };
    if ((bind.recursive == "writable" || bind.recursive == "readonly") && !read_only)
        return needs("readonly");
    if (bind.recursive == "readonly" && bind.propagation != "rprivate")
        return needs("bind-propagation=rprivate");
    std::string options = bind.recursive == "disabled" ? "bind" : "rbind";
    if (bind.recursive == "writable") options += ",toponly";
    if (!bind.propagation.empty()) options += "," + bind.propagation;
    return options;
}

Status check_mount(const std::string& text, const MountText& mount) {
    if (mount.target.empty()) return bad_mount(text, "target is required");
    if (mount.type == "volume" && !mount.source.empty())
        return bad_mount(text, "this node has no named volumes, say type=bind, or leave out " +
                                   mount.source);
    if (mount.type != "bind" && mount.type != "tmpfs" && mount.type != "volume")
        return fail("invalid mount config for type \"" + mount.type + "\": mount type unknown");
    if (mount.type == "tmpfs" && !mount.source.empty())
        return fail("invalid mount config for type \"tmpfs\": field Source must not be specified");
    if (mount.type == "bind" && mount.source.empty())
        return fail("invalid mount config for type \"bind\": field Source must not be empty");
    for (const std::string* path : {&mount.source, &mount.target})
        if (!path->empty() && !path->starts_with('/'))
            return fail("invalid mount config for type \"" + mount.type +
                        "\": invalid mount path: '" + *path + "' mount path must be absolute");
    return {};
}

struct MountField {
    std::string whole;
    std::string key;  ///< in lower case
    std::string value;
    bool has_value = false;
};

std::string lowered(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    return text;
}

/// Fields of a line of CSV, as docker reads it: one in quotes may have commas, and doubled quotes,
/// in it.
Result<std::vector<MountField>> mount_fields(const std::string& text) {
    std::vector<MountField> fields;
    for (size_t at = 0; at <= text.size(); ++at) {
        MountField field;
        if (at < text.size() && text[at] == '"') {
            for (++at; at < text.size(); ++at) {
                if (text[at] == '"' && (at + 1 == text.size() || text[at + 1] != '"')) break;
                if (text[at] == '"') ++at;
                field.whole += text[at];
            }
            if (at++ == text.size() || (at < text.size() && text[at] != ','))
                return fail("extraneous or missing \" in quoted-field");
        } else {
            const size_t end = std::min(text.find(',', at), text.size());
            field.whole = text.substr(at, end - at);
            if (field.whole.find('"') != std::string::npos)
                return fail("bare \" in non-quoted field");
            at = end;
        }
        const size_t equals = std::min(field.whole.find('='), field.whole.size());
        field.key = lowered(field.whole.substr(0, equals));
        field.has_value = equals < field.whole.size();
        if (field.has_value) field.value = field.whole.substr(equals + 1);
        fields.push_back(std::move(field));
    }
    return fields;
}

}  // namespace

Result<MountText> parse_mount(const std::string& text) {
    MountText mount{"", "", "", "", false};
    std::string tmpfs_options = tmpfs_options_default;
    BindText bind;
    bool is_bound = false;
    bool is_tmpfs = false;
    bool is_volume = false;
    bool copies = true;
    bool read_only = false;
    const auto fields = mount_fields(text);
    if (!fields) return bad_mount(text, fields.error().message);
    for (const auto& [field, key, value, has_value] : *fields) {
        if (key == "type") mount.type = lowered(value);
        else if (key == "source" || key == "src") mount.source = value;
        else if (key == "target" || key == "dst" || key == "destination") mount.target = value;
        else if (key == "readonly" || key == "ro") {
            if (!value.empty() && !is_one_of(value, kTruths) && !is_one_of(value, kLies))
                return bad_mount(text, "invalid value for " + key + ": " + value);
            read_only = value.empty() || is_one_of(value, kTruths);
        } else if (key == "tmpfs-size") {
            const auto bytes = parse_bytes(value);
            if (!bytes) return bad_mount(text, "invalid value for tmpfs-size: " + value);
            tmpfs_options += ",size=" + std::to_string(*bytes);
            is_tmpfs = true;
        } else if (key == "tmpfs-mode") {
            if (value.empty() || value.size() > 8 ||
                value.find_first_not_of("01234567") != std::string::npos)
                return bad_mount(text, "invalid value for tmpfs-mode: " + value);
            tmpfs_options += ",mode=" + value;
            is_tmpfs = true;
        } else if (!has_value && key != "bind-nonrecursive" && key != "volume-nocopy") {
            return bad_mount(text, "invalid field '" + field + "' must be a key=value pair");
        } else if (take_bind_key(key, value, bind)) {
            is_bound = true;
        } else if (key == "volume-nocopy") {
            if (has_value && !is_one_of(value, kTruths) && !is_one_of(value, kLies))
                return bad_mount(text, "invalid value for volume-nocopy: " + value);
            is_volume = true;
            copies = is_one_of(value, kLies);
        } else if (key == "volume-driver" || key == "volume-opt" || key == "volume-label") {
            return bad_mount(text, "volumes of this node are folders of their container, without "
                                   "drivers, options and labels: leave out " + key);
        } else if (key != "consistency") {
            return bad_mount(text, "unexpected key '" + key + "' in '" + field + "'");
        }
    }
    if (mount.type.empty()) mount.type = "volume";
    TRY_STATUS(check_mount(text, mount));
    const std::pair<bool, std::string> kinds[] = {
        {is_bound, "bind"}, {is_tmpfs, "tmpfs"}, {is_volume, "volume"}};
    for (const auto& [used, kind] : kinds)
        if (used && kind != mount.type)
            return bad_mount(text, "cannot mix '" + kind + "-*' options with mount type '" +
                                       mount.type + "'");
    if (!bind.propagation.empty() && !is_one_of(bind.propagation, kPropagations))
        return fail("invalid mount config for type \"bind\": invalid propagation mode: " +
                    bind.propagation);
    if (mount.type == "tmpfs") mount.options = tmpfs_options;
    if (mount.type == "bind") mount.options = TRY(bind_options(text, bind, read_only));
    if (mount.type == "volume") mount.options = copies ? "rbind" : "rbind,nocopy";
    if (read_only) mount.options += ",ro";
    return mount;
}

bool HostOptions::any() const {
    const bool list = !device_read_bps.empty() || !device_write_bps.empty() ||
                      !device_read_iops.empty() || !device_write_iops.empty() ||
                      !ulimits.empty() || !devices.empty() || !cap_add.empty() ||
                      !cap_drop.empty() || !security_opt.empty() || !tmpfs.empty() ||
                      !volumes.empty() || !mounts.empty() || !sysctls.empty() ||
                      !log_opts.empty() || !groups.empty() || !device_rules.empty();
    const bool text = !memory.empty() || !memory_reservation.empty() || !memory_swap.empty() ||
                      !cpus.empty() || !cpuset_cpus.empty() || !cpuset_mems.empty() ||
                      !shm_size.empty() || !ipc.empty() || !pid.empty() || !uts.empty() ||
                      !cgroupns.empty() || !domainname.empty() || !userns.empty() ||
                      !cgroup_parent.empty();
    return list || text || privileged || init || oom_kill_disable || read_only || oom_score_adj ||
           cpu_shares || cpu_quota || cpu_period || pids_limit || blkio_weight;
}

Status HostOptions::fill_rates(schema::Resources::Builder out) const {
    struct Kind {
        const std::vector<std::string>* texts;
        Rate kind;
        bool bytes;
        const char* flag;
    };
    const Kind kinds[] = {
        {&device_read_bps, Rate::READ_BPS, true, "--device-read-bps"},
        {&device_write_bps, Rate::WRITE_BPS, true, "--device-write-bps"},
        {&device_read_iops, Rate::READ_IOPS, false, "--device-read-iops"},
        {&device_write_iops, Rate::WRITE_IOPS, false, "--device-write-iops"}};
    size_t count = 0;
    for (const Kind& kind : kinds) count += kind.texts->size();
    auto list = out.initRates(static_cast<unsigned>(count));
    unsigned at = 0;
    for (const Kind& kind : kinds) {
        for (const std::string& text : *kind.texts) {
            const auto rate = parse_rate(text, kind.bytes);
            if (!rate) return invalid_argument(text, kind.flag, rate.error().message);
            list[at].setDevice(text.substr(0, text.find(':')));
            list[at].setKind(kind.kind);
            list[at++].setRate(static_cast<uint64_t>(*rate));
        }
    }
    return {};
}

Status HostOptions::fill_resources(schema::Resources::Builder out) const {
    out.setMemoryBytes(TRY(bytes_of(memory, "-m, --memory")));
    out.setMemoryReservationBytes(TRY(bytes_of(memory_reservation, "--memory-reservation")));
    out.setMemorySwapBytes(memory_swap == "-1" ? -1 : TRY(bytes_of(memory_swap, "--memory-swap")));
    out.setOomKillDisable(oom_kill_disable);
    out.setNanoCpus(TRY(nano_cpus(cpus)));
    out.setCpuShares(cpu_shares.value_or(0));
    out.setCpuQuotaUs(cpu_quota.value_or(0));
    out.setCpuPeriodUs(cpu_period.value_or(0));
    out.setCpusetCpus(cpuset_cpus);
    out.setCpusetMems(cpuset_mems);
    // Any that is not positive means none, as in docker.
    out.setPidsLimit(std::max<int64_t>(pids_limit.value_or(0), -1));
    const int64_t weight = blkio_weight.value_or(0);
    if (weight < 0 || weight > 1000) return fail("Range of blkio weight is from 10 to 1000");
    out.setBlkioWeight(static_cast<uint16_t>(weight));
    return fill_rates(out);
}

Status HostOptions::fill_rights(schema::HostOptions::Builder out) const {
    put_texts(cap_add, [&](unsigned n) { return out.initCapAdd(n); });
    put_texts(cap_drop, [&](unsigned n) { return out.initCapDrop(n); });
    for (const std::string& option : security_opt) {
        if (option == "no-new-privileges" || option == "no-new-privileges=true" ||
            option == "no-new-privileges:true")
            out.setNoNewPrivileges(true);
        else if (option == "seccomp=unconfined" || option == "seccomp:unconfined")
            out.setSeccompUnconfined(true);
        else if (option == "systempaths=unconfined" || option == "systempaths:unconfined")
            out.setSystemPathsUnconfined(true);
        else if (!seccomp_file(option).empty() && !seccomp_profile.empty())
            continue;
        else if (!is_one_of(option, kNoSecurity))
            return fail("Invalid --security-opt: \"" + option +
                        "\": this node knows seccomp=FILE, seccomp=unconfined, "
                        "systempaths=unconfined and no-new-privileges");
    }
    auto list = out.initUlimits(static_cast<unsigned>(ulimits.size()));
    for (unsigned i = 0; i < ulimits.size(); i++) {
        const auto limit = parse_ulimit(ulimits[i]);
        if (!limit) return invalid_argument(ulimits[i], "--ulimit", limit.error().message);
        list[i].setName(ulimits[i].substr(0, ulimits[i].find('=')));
        list[i].setSoft(limit->first);
        list[i].setHard(limit->second);
    }
    auto settings = out.initSysctls(static_cast<unsigned>(sysctls.size()));
    for (unsigned i = 0; i < sysctls.size(); i++) {
        const size_t equals = sysctls[i].find('=');
        if (equals == std::string::npos || !is_sysctl(sysctls[i].substr(0, equals)))
            return invalid_argument(sysctls[i], "--sysctl",
                                    "sysctl '" + sysctls[i] + "' is not allowed");
        settings[i].setKey(sysctls[i].substr(0, equals));
        settings[i].setValue(sysctls[i].substr(equals + 1));
    }
    return {};
}

Status HostOptions::fill_devices(schema::HostOptions::Builder out) const {
    auto list = out.initDevices(static_cast<unsigned>(devices.size()));
    for (unsigned i = 0; i < devices.size(); i++) {
        const auto parts = split(devices[i], ':');
        if (parts.size() > 3) return fail("invalid device specification: " + devices[i]);
        if (!parts[0].starts_with('/')) return fail(parts[0] + " is not an absolute path");
        const bool rights_second = parts.size() == 2 && !parts[1].starts_with('/');
        const std::string& rights = rights_second ? parts[1] : parts.back();
        if ((rights_second || parts.size() == 3) &&
            (rights.empty() || rights.find_first_not_of("rwm") != std::string::npos))
            return fail("bad mode specified: " + rights);
        list[i].setHostPath(parts[0]);
        list[i].setContainerPath(parts.size() > 1 && !rights_second ? parts[1] : parts[0]);
        list[i].setPermissions(parts.size() == 3 ? parts[2] : rights_second ? parts[1] : "rwm");
    }
    return {};
}

Status HostOptions::fill_mounts(schema::HostOptions::Builder out) const {
    std::vector<MountText> all;
    for (const std::string& text : volumes) all.push_back(TRY(parse_volume(text)));
    for (const std::string& text : mounts) all.push_back(TRY(parse_mount(text)));
    for (const std::string& text : tmpfs) {
        const size_t colon = std::min(text.find(':'), text.size());
        if (!text.starts_with('/'))
            return fail("invalid mount path: '" + text.substr(0, colon) +
                        "' mount path must be absolute");
        const std::string more = colon < text.size() ? "," + text.substr(colon + 1) : "";
        all.push_back({"tmpfs", "", text.substr(0, colon), tmpfs_options_default + more, true});
    }
    auto list = out.initMounts(static_cast<unsigned>(all.size()));
    for (unsigned i = 0; i < all.size(); i++) {
        list[i].setType(all[i].type);
        list[i].setSource(all[i].source);
        list[i].setTarget(all[i].target);
        list[i].setOptions(all[i].options);
        list[i].setMakeSource(all[i].make_source);
    }
    return {};
}

namespace {

/// What docker's drivers know as well. A log of ours is never blocked and not compressed: what says
/// no more than that is taken. It keeps no attributes beside its lines.
Status check_docker_log(const std::string& key, const std::string& value, bool non_blocking) {
    constexpr std::string_view kAttributes[] = {"labels", "labels-regex", "env", "env-regex",
                                                "tag"};
    if (is_one_of(key, kAttributes))
        return fail("unknown log opt '" + key + "' for log driver local: the log of this node has "
                    "lines alone, choose them by label with nodectl logs --selector");
    if (key == "mode" && value != "blocking" && value != "non-blocking")
        return fail("logger: logging mode not supported: " + value);
    if (key == "max-buffer-size" && !non_blocking)
        return fail("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    if (key == "max-buffer-size" && !parse_bytes(value))
        return fail("error parsing option max-buffer-size: invalid size: '" + value + "'");
    if (key == "compress" && !is_one_of(value, kTruths) && !is_one_of(value, kLies))
        return fail("error reading compress log option: strconv.ParseBool: parsing \"" + value +
                    "\": invalid syntax");
    if (key == "mode" || key == "max-buffer-size" || key == "compress") return {};
    return fail("unknown log opt '" + key + "' for log driver local");
}

}  // namespace

/// The last of several wins, as in docker.
Status HostOptions::fill_log(schema::HostOptions::Builder out) const {
    const bool non_blocking = std::ranges::count(log_opts, "mode=non-blocking") > 0;
    for (const std::string& option : log_opts) {
        const size_t equals = std::min(option.find('='), option.size());
        const std::string key = option.substr(0, equals);
        const std::string value = equals < option.size() ? option.substr(equals + 1) : "";
        if (key == "max-size") {
            const int64_t bytes = TRY(parse_bytes(value, 1000));
            if (bytes <= 0) return fail("max-size must be a positive number");
            out.setLogFileBytes(bytes);
        } else if (key == "max-file") {
            const auto files = parse_integer(value);
            if (!files) return fail("strconv.Atoi: parsing \"" + value + "\": invalid syntax");
            if (*files < 1) return fail("max-file cannot be less than 1");
            out.setLogFiles(static_cast<int32_t>(std::min<int64_t>(*files, INT32_MAX)));
        } else {
            TRY_STATUS(check_docker_log(key, value, non_blocking));
        }
    }
    return {};
}

Status HostOptions::fill(schema::ContainerSpec::Builder spec) const {
    if (!any()) return {};
    auto out = spec.initOptions();
    auto resources = out.initResources();
    TRY_STATUS(fill_resources(resources));
    // An update takes a limit away; here there is none yet.
    resources.setPidsLimit(std::max<int64_t>(resources.getPidsLimit(), 0));
    TRY_STATUS(fill_rights(out));
    TRY_STATUS(fill_devices(out));
    TRY_STATUS(fill_mounts(out));
    TRY_STATUS(fill_log(out));
    const int64_t score = oom_score_adj.value_or(0);
    if (score < -1000 || score > 1000)
        return fail("Invalid value " + std::to_string(score) +
                    ", range for oom score adj is [-1000, 1000]");
    out.setOomScoreAdj(static_cast<int32_t>(score));
    out.setReadOnly(read_only);
    out.setPrivileged(privileged);
    out.setInit(init);
    out.setDomainname(domainname);
    out.setSeccompProfile(seccomp_profile);
    put_texts(groups, [&](unsigned n) { return out.initGroupAdd(n); });
    put_texts(device_rules, [&](unsigned n) { return out.initDeviceRules(n); });
    out.setShmBytes(TRY(bytes_of(shm_size, "--shm-size")));
    out.setIpcMode(ipc);
    out.setPidMode(pid);
    out.setUtsMode(uts);
    out.setCgroupnsMode(cgroupns);
    out.setUsernsMode(userns);
    out.setCgroupParent(cgroup_parent);
    return {};
}

}  // namespace noded::nodectl
