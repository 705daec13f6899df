// Options and their rules, see options.h. The sentences are docker's where it has one.
#include "plugins/container/options.h"

#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>

#include "plugins/container/limits.h"
#include "plugins/container/modes.h"
#include "plugins/container/shim/launch_encode.h"
#include "plugins/container/shim/seccomp_json.h"
#include "plugins/container/spec.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::text;

namespace {

constexpr int64_t kMemoryBytesMin = 6 << 20;
constexpr uint64_t kAllCapabilities = (uint64_t{1} << 41) - 1;

/// By number, linux/capability.h.
constexpr const char* kCapabilities[] = {"CHOWN",
                                         "DAC_OVERRIDE",
                                         "DAC_READ_SEARCH",
                                         "FOWNER",
                                         "FSETID",
                                         "KILL",
                                         "SETGID",
                                         "SETUID",
                                         "SETPCAP",
                                         "LINUX_IMMUTABLE",
                                         "NET_BIND_SERVICE",
                                         "NET_BROADCAST",
                                         "NET_ADMIN",
                                         "NET_RAW",
                                         "IPC_LOCK",
                                         "IPC_OWNER",
                                         "SYS_MODULE",
                                         "SYS_RAWIO",
                                         "SYS_CHROOT",
                                         "SYS_PTRACE",
                                         "SYS_PACCT",
                                         "SYS_ADMIN",
                                         "SYS_BOOT",
                                         "SYS_NICE",
                                         "SYS_RESOURCE",
                                         "SYS_TIME",
                                         "SYS_TTY_CONFIG",
                                         "MKNOD",
                                         "LEASE",
                                         "AUDIT_WRITE",
                                         "AUDIT_CONTROL",
                                         "SETFCAP",
                                         "MAC_OVERRIDE",
                                         "MAC_ADMIN",
                                         "SYSLOG",
                                         "WAKE_ALARM",
                                         "BLOCK_SUSPEND",
                                         "AUDIT_READ",
                                         "PERFMON",
                                         "BPF",
                                         "CHECKPOINT_RESTORE"};
static_assert(std::size(kCapabilities) == 41);

struct RlimitName {
    const char* name;
    int number;
};
constexpr RlimitName kRlimits[] = {
    {"core", RLIMIT_CORE},     {"cpu", RLIMIT_CPU},           {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},   {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"nice", RLIMIT_NICE},     {"msgqueue", RLIMIT_MSGQUEUE}, {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},   {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME}, {"stack", RLIMIT_STACK},       {"sigpending", RLIMIT_SIGPENDING},
};

/// "0-2,4": numbers and ranges, as the kernel lists CPUs (cputopology.rst).
bool is_number_list(std::string_view list) {
    bool digit = false;
    for (size_t i = 0; i < list.size(); ++i) {
        const bool now = list[i] >= '0' && list[i] <= '9';
        if (!now && (!digit || (list[i] != ',' && list[i] != '-'))) return false;
        digit = now;
    }
    return digit && list.size() <= limits::cpuset_bytes_max;
}

Status check_memory(const Resources& asked) {
    if (asked.memory_bytes < 0 || asked.memory_reservation_bytes < 0)
        return fail("invalid value: a memory limit cannot be negative");
    if (asked.memory_bytes > 0 && asked.memory_bytes < kMemoryBytesMin)
        return fail("Minimum memory limit allowed is 6MB");
    if (asked.memory_reservation_bytes > 0 && asked.memory_reservation_bytes < kMemoryBytesMin)
        return fail("Minimum memory reservation allowed is 6MB");
    if (asked.memory_swap_bytes > 0 && asked.memory_bytes == 0)
        return fail(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (asked.memory_swap_bytes < -1)
        return fail("the memory and swap limit must be -1 (no limit) or a size");
    if (asked.memory_swap_bytes > 0 && asked.memory_swap_bytes < asked.memory_bytes)
        return fail("Minimum memoryswap limit should be larger than memory limit, see usage");
    if (asked.memory_bytes > 0 && asked.memory_reservation_bytes > asked.memory_bytes)
        return fail(
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    return {};
}

Status check_cpu(const Resources& asked) {
    if (asked.nano_cpus > 0 && asked.cpu_period_us != 0)
        return fail("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (asked.nano_cpus > 0 && asked.cpu_quota_us != 0)
        return fail("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (asked.cpu_shares < 0 || asked.cpu_shares == 1 || asked.cpu_shares > 262'144)
        return fail("CPU shares must be between 2 and 262144");
    if (asked.cpu_period_us != 0 && (asked.cpu_period_us < 1000 || asked.cpu_period_us > 1'000'000))
        return fail("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
                    "(i.e. 1000000)");
    if (asked.cpu_quota_us < -1 || (asked.cpu_quota_us > 0 && asked.cpu_quota_us < 1000))
        return fail("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    for (const std::string* list : {&asked.cpuset_cpus, &asked.cpuset_mems})
        if (!list->empty() && !is_number_list(*list))
            return fail("Invalid value " + *list + " for cpuset " +
                        (list == &asked.cpuset_cpus ? "cpus" : "mems") +
                        ": invalid format: " + *list);
    return {};
}

Status check_rates(const Resources& asked) {
    if (asked.blkio_weight != 0 && (asked.blkio_weight < 10 || asked.blkio_weight > 1000))
        return fail("Range of blkio weight is from 10 to 1000");
    if (asked.rates.size() > limits::device_rates_max)
        return fail("at most " + std::to_string(limits::device_rates_max) +
                    " rates of devices can be limited");
    for (const DeviceRate& rate : asked.rates) {
        TRY_STATUS(check_text(rate.device, limits::path_bytes_max, "the device"));
        if (!rate.device.starts_with("/dev/"))
            return fail("bad device path " + rate.device + ": it begins with /dev/");
        if (rate.rate == 0) return fail("invalid rate for device " + rate.device + ": it is 0");
    }
    return {};
}

Status check_absolute(const std::string& path, const char* what) {
    TRY_STATUS(check_text(path, limits::path_bytes_max, what));
    if (path.starts_with('/')) return {};
    return fail(std::string("invalid ") + what + ": '" + path + "' " + what +
                " must be absolute");
}

Status check_mounts(const Options& options) {
    if (options.mounts.size() + options.devices.size() > limits::mounts_max)
        return fail("a container can have at most " + std::to_string(limits::mounts_max) +
                    " mounts and devices");
    std::vector<std::string> targets;
    for (const Mount& mount : options.mounts) {
        if (mount.type != "bind" && mount.type != "tmpfs" && mount.type != "volume")
            return fail("invalid mount config for type \"" + mount.type +
                        "\": mount type unknown: this node knows bind, tmpfs and volume");
        if (mount.type == "bind") TRY_STATUS(check_absolute(mount.source, "mount path"));
        TRY_STATUS(check_absolute(mount.target, "mount path"));
        TRY_STATUS(check_text(mount.options, limits::path_bytes_max, "the mount options"));
        if (mount.target.find_first_not_of('/') == std::string::npos)
            return fail("invalid specification: destination can't be '/'");
        if (std::ranges::count(targets, mount.target) > 0)
            return fail("Duplicate mount point: " + mount.target);
        targets.push_back(mount.target);
    }
    for (const Device& device : options.devices) {
        TRY_STATUS(check_absolute(device.host_path, "device path"));
        TRY_STATUS(check_absolute(device.container_path, "device path"));
        if (device.permissions.empty() ||
            device.permissions.find_first_not_of("rwm") != std::string::npos)
            return fail("bad mode specified: " + device.permissions);
    }
    return {};
}

Status check_ulimits(const Options& options) {
    for (const Ulimit& limit : options.ulimits) {
        if (rlimit_number(limit.name) < 0) return fail("invalid ulimit type: " + limit.name);
        if (limit.soft < -1 || limit.hard < -1)
            return fail("invalid ulimit " + limit.name + ": a limit is -1 or more");
        if (limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard))
            return fail("ulimit soft limit must be less than or equal to hard limit: " +
                        std::to_string(limit.soft) + " > " + std::to_string(limit.hard));
    }
    if (options.ulimits.size() > std::size(kRlimits)) return fail("a ulimit is named twice");
    return {};
}

/// "c 13:* rwm", as docker's and the kernel's devices.rst.
bool is_device_rule(std::string_view rule) {
    const auto is_number = [](std::string_view text) {
        return text == "*" ||
               (!text.empty() && text.size() < 10 &&
                text.find_first_not_of("0123456789") == std::string_view::npos);
    };
    const size_t colon = rule.find(':');
    const size_t space = rule.rfind(' ');
    if (rule.size() < 7 || colon == std::string_view::npos || space < colon) return false;
    const std::string_view rights = rule.substr(space + 1);
    return std::string_view("abc").find(rule[0]) != std::string_view::npos && rule[1] == ' ' &&
           is_number(rule.substr(2, colon - 2)) &&
           is_number(rule.substr(colon + 1, space - colon - 1)) && !rights.empty() &&
           rights.size() <= 3 && rights.find_first_not_of("rwm") == std::string_view::npos;
}

Status check_lists(const Options& options) {
    if (options.device_rules.size() > limits::device_rules_max)
        return fail("too many device cgroup rules");
    for (const std::string& rule : options.device_rules)
        if (!is_device_rule(rule)) return fail("invalid device cgroup format '" + rule + "'");
    TRY_STATUS(check_strings(options.group_add, limits::groups_added_max, limits::user_bytes_max,
                             "the list of groups"));
    for (const std::string& group : options.group_add)
        if (group.empty()) return fail("a group to add has no name");
    TRY_STATUS(check_text(options.domainname, limits::hostname_bytes_max, "the domain name"));
    TRY_STATUS(check_text(options.seccomp_profile, limits::seccomp_profile_bytes_max,
                          "the seccomp profile"));
    if (!options.seccomp_profile.empty()) TRY(seccomp_parse(options.seccomp_profile));
    return {};
}

Status check_rights(const Options& options) {
    TRY_STATUS(check_lists(options));
    for (const auto* list : {&options.cap_add, &options.cap_drop})
        for (const std::string& name : *list)
            if (capability_bits(name) == 0)
                return fail(std::string("invalid ") +
                            (list == &options.cap_add ? "CapAdd" : "CapDrop") +
                            ": unknown capability: \"" + capability_name(name) + "\"");
    for (const auto& [key, value] : options.sysctls) {
        TRY_STATUS(check_text(key, limits::user_bytes_max, "the sysctl"));
        TRY_STATUS(check_text(value, limits::user_bytes_max, "the value of the sysctl"));
        const bool ipc = key.starts_with("kernel.msg") || key.starts_with("kernel.sem") ||
                         key.starts_with("kernel.shm") || key.starts_with("fs.mqueue.");
        if (!ipc && !key.starts_with("net."))
            return fail("sysctl '" + key + "' is not allowed: it is not of a namespace");
        if (ipc && options.ipc_mode == "host")
            return fail("sysctl '" + key + "' is not allowed with --ipc host");
    }
    if (options.sysctls.size() > limits::sysctls_max) return fail("too many sysctls");
    return {};
}

}  // namespace

int rlimit_number(const std::string& name) {
    for (const RlimitName& known : kRlimits)
        if (name == known.name) return known.number;
    return -1;
}

std::string capability_name(std::string name) {
    for (char& letter : name)
        if (letter >= 'a' && letter <= 'z') letter = char(letter - 'a' + 'A');
    return name.starts_with("CAP_") ? name : "CAP_" + name;
}

uint64_t capability_bits(std::string name) {
    name = capability_name(std::move(name)).substr(4);
    if (name == "ALL") return kAllCapabilities;
    const auto* found = std::ranges::find(kCapabilities, name);
    if (found == std::end(kCapabilities)) return 0;
    return uint64_t{1} << (found - kCapabilities);
}

std::optional<uint32_t> capability_number(const std::string& name) {
    const uint64_t bits = capability_bits(name);
    if (!std::has_single_bit(bits)) return std::nullopt;
    return uint32_t(std::countr_zero(bits));
}

/// As docker: with ALL on the one side, the other side says the exceptions.
uint64_t capabilities_of(const Options& options) {
    if (options.privileged) return kAllCapabilities;
    uint64_t add = 0;
    uint64_t drop = 0;
    for (const std::string& name : options.cap_add) add |= capability_bits(name);
    for (const std::string& name : options.cap_drop) drop |= capability_bits(name);
    if (add == kAllCapabilities) return kAllCapabilities & ~drop;
    return (default_capabilities() & ~drop) | add;
}

std::vector<std::pair<uint64_t, uint64_t>> ranges_of(std::string_view list) {
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    const char* at = list.data();
    const char* const end = at + list.size();
    while (at < end) {
        std::pair<uint64_t, uint64_t> range;
        auto read = std::from_chars(at, end, range.first);
        if (read.ptr == at) return ranges;
        if (read.ec != std::errc()) range.first = UINT64_MAX;
        range.second = range.first;
        at = read.ptr;
        if (at < end && *at == '-') {
            read = std::from_chars(at + 1, end, range.second);
            if (read.ec != std::errc()) range.second = UINT64_MAX;
            at = read.ptr;
        }
        ranges.push_back(range);
        if (at < end) ++at;
    }
    return ranges;
}

bool is_within(std::string_view asked, std::string_view there) {
    for (const auto& [first, last] : ranges_of(asked)) {
        uint64_t next = first;
        for (const auto& [low, high] : ranges_of(there))
            if (next >= low && next <= high) next = high + 1;
        if (next <= last) return false;
    }
    return true;
}

Resources Resources::read(schema::Resources::Reader in) {
    Resources out;
    out.memory_bytes = in.getMemoryBytes();
    out.memory_reservation_bytes = in.getMemoryReservationBytes();
    out.memory_swap_bytes = in.getMemorySwapBytes();
    out.oom_kill_disable = in.getOomKillDisable();
    out.nano_cpus = in.getNanoCpus();
    out.cpu_shares = in.getCpuShares();
    out.cpu_quota_us = in.getCpuQuotaUs();
    out.cpu_period_us = in.getCpuPeriodUs();
    out.cpuset_cpus = to_string(in.getCpusetCpus());
    out.cpuset_mems = to_string(in.getCpusetMems());
    out.pids_limit = in.getPidsLimit();
    out.blkio_weight = in.getBlkioWeight();
    for (auto rate : in.getRates())
        out.rates.push_back({to_string(rate.getDevice()), rate.getKind(), rate.getRate()});
    return out;
}

void Resources::write(schema::Resources::Builder out) const {
    out.setMemoryBytes(memory_bytes);
    out.setMemoryReservationBytes(memory_reservation_bytes);
    out.setMemorySwapBytes(memory_swap_bytes);
    out.setOomKillDisable(oom_kill_disable);
    out.setNanoCpus(nano_cpus);
    out.setCpuShares(cpu_shares);
    out.setCpuQuotaUs(cpu_quota_us);
    out.setCpuPeriodUs(cpu_period_us);
    out.setCpusetCpus(text(cpuset_cpus));
    out.setCpusetMems(text(cpuset_mems));
    out.setPidsLimit(pids_limit);
    out.setBlkioWeight(blkio_weight);
    auto list = out.initRates(unsigned(rates.size()));
    for (unsigned i = 0; i < rates.size(); ++i) {
        list[i].setDevice(text(rates[i].device));
        list[i].setKind(rates[i].kind);
        list[i].setRate(rates[i].rate);
    }
}

Status Resources::check() const {
    TRY_STATUS(check_memory(*this));
    TRY_STATUS(check_cpu(*this));
    if (pids_limit < -1) return fail("the pids limit must be -1 (no limit) or more");
    return check_rates(*this);
}

/// What memory and swap are together when only the memory was named stays as it was.
Result<Resources> Resources::updated(const Resources& more) const {
    Resources out = *this;
    const auto put = [](auto& to, const auto& from) {
        if (from != std::remove_reference_t<decltype(from)>{}) to = from;
    };
    if (more.nano_cpus > 0 && (cpu_quota_us != 0 || cpu_period_us != 0))
        return fail("Conflicting options: NanoCPUs cannot be updated as CPU Period or Quota has "
                    "already been set");
    if ((more.cpu_quota_us != 0 || more.cpu_period_us != 0) && nano_cpus > 0)
        return fail("Conflicting options: CPU Period or Quota cannot be updated as NanoCPUs has "
                    "already been set");
    if (memory_bytes > 0 && out.memory_swap_bytes == 0) out.memory_swap_bytes = 2 * memory_bytes;
    put(out.memory_bytes, more.memory_bytes);
    put(out.memory_swap_bytes, more.memory_swap_bytes);
    if (out.memory_swap_bytes > 0 && more.memory_swap_bytes == 0 &&
        out.memory_bytes > out.memory_swap_bytes)
        return fail("Memory limit should be smaller than already set memoryswap limit, update the "
                    "memoryswap at the same time");
    put(out.memory_reservation_bytes, more.memory_reservation_bytes);
    put(out.nano_cpus, more.nano_cpus);
    put(out.cpu_shares, more.cpu_shares);
    put(out.cpu_quota_us, more.cpu_quota_us);
    put(out.cpu_period_us, more.cpu_period_us);
    put(out.cpuset_cpus, more.cpuset_cpus);
    put(out.cpuset_mems, more.cpuset_mems);
    put(out.pids_limit, more.pids_limit);
    put(out.blkio_weight, more.blkio_weight);
    return out;
}

// ---------------------------------------------------------------- all of them

std::vector<IdMap> read_id_maps(capnp::List<schema::IdMap>::Reader in) {
    std::vector<IdMap> out;
    for (auto map : in)
        out.push_back({map.getGid(), map.getContainer(), map.getHost(), map.getCount()});
    return out;
}

Options Options::read(schema::HostOptions::Reader in) {
    Options out;
    out.resources = Resources::read(in.getResources());
    out.oom_score_adj = in.getOomScoreAdj();
    out.cap_add = to_strings(in.getCapAdd());
    out.cap_drop = to_strings(in.getCapDrop());
    out.read_only = in.getReadOnly();
    out.no_new_privileges = in.getNoNewPrivileges();
    out.system_paths_unconfined = in.getSystemPathsUnconfined();
    out.seccomp_unconfined = in.getSeccompUnconfined();
    for (auto limit : in.getUlimits())
        out.ulimits.push_back({to_string(limit.getName()), limit.getSoft(), limit.getHard()});
    out.shm_bytes = in.getShmBytes();
    for (auto device : in.getDevices())
        out.devices.push_back({to_string(device.getHostPath()),
                               to_string(device.getContainerPath()),
                               to_string(device.getPermissions())});
    for (auto mount : in.getMounts())
        out.mounts.push_back({to_string(mount.getType()), to_string(mount.getSource()),
                              to_string(mount.getTarget()), to_string(mount.getOptions()),
                              mount.getMakeSource()});
    for (auto sysctl : in.getSysctls())
        out.sysctls.emplace_back(to_string(sysctl.getKey()), to_string(sysctl.getValue()));
    out.ipc_mode = to_string(in.getIpcMode());
    out.pid_mode = to_string(in.getPidMode());
    out.uts_mode = to_string(in.getUtsMode());
    out.cgroupns_mode = to_string(in.getCgroupnsMode());
    out.userns_mode = to_string(in.getUsernsMode());
    out.id_maps = read_id_maps(in.getIdMaps());
    out.cgroup_parent = to_string(in.getCgroupParent());
    out.seccomp_profile = to_string(in.getSeccompProfile());
    out.group_add = to_strings(in.getGroupAdd());
    out.domainname = to_string(in.getDomainname());
    out.privileged = in.getPrivileged();
    out.device_rules = to_strings(in.getDeviceRules());
    out.init = in.getInit();
    out.log_file_bytes = in.getLogFileBytes();
    out.log_files = in.getLogFiles();
    return out;
}

namespace {

void write_lists(const Options& from, schema::HostOptions::Builder out) {
    write_strings(from.cap_add, [&](unsigned n) { return out.initCapAdd(n); });
    write_strings(from.cap_drop, [&](unsigned n) { return out.initCapDrop(n); });
    write_strings(from.group_add, [&](unsigned n) { return out.initGroupAdd(n); });
    write_strings(from.device_rules, [&](unsigned n) { return out.initDeviceRules(n); });
    auto ulimits = out.initUlimits(unsigned(from.ulimits.size()));
    for (unsigned i = 0; i < from.ulimits.size(); ++i) {
        ulimits[i].setName(text(from.ulimits[i].name));
        ulimits[i].setSoft(from.ulimits[i].soft);
        ulimits[i].setHard(from.ulimits[i].hard);
    }
    auto devices = out.initDevices(unsigned(from.devices.size()));
    for (unsigned i = 0; i < from.devices.size(); ++i) {
        devices[i].setHostPath(text(from.devices[i].host_path));
        devices[i].setContainerPath(text(from.devices[i].container_path));
        devices[i].setPermissions(text(from.devices[i].permissions));
    }
    from.write_mounts(out);
    auto sysctls = out.initSysctls(unsigned(from.sysctls.size()));
    for (unsigned i = 0; i < from.sysctls.size(); ++i) {
        sysctls[i].setKey(text(from.sysctls[i].first));
        sysctls[i].setValue(text(from.sysctls[i].second));
    }
}

Status check_log(const Options& options) {
    constexpr int64_t bytes_max = limits::log_file_bytes_max;
    if (options.log_file_bytes < 0) return fail("max-size must be a positive number");
    if (options.log_file_bytes > bytes_max)
        return fail("max-size cannot be more than " + std::to_string(bytes_max) + " bytes");
    if (options.log_files < 0) return fail("max-file cannot be less than 1");
    if (options.log_files > limits::log_files_max)
        return fail("max-file cannot be more than " + std::to_string(limits::log_files_max));
    return {};
}

}  // namespace

void Options::write_mounts(schema::HostOptions::Builder out) const {
    auto list = out.initMounts(unsigned(mounts.size()));
    for (unsigned i = 0; i < mounts.size(); ++i) {
        list[i].setType(text(mounts[i].type));
        list[i].setSource(text(mounts[i].source));
        list[i].setTarget(text(mounts[i].target));
        list[i].setOptions(text(mounts[i].options));
        list[i].setMakeSource(mounts[i].make_source);
    }
}

void Options::write(schema::HostOptions::Builder out) const {
    if (resources.any()) resources.write(out.initResources());
    out.setOomScoreAdj(oom_score_adj);
    out.setReadOnly(read_only);
    out.setNoNewPrivileges(no_new_privileges);
    out.setSystemPathsUnconfined(system_paths_unconfined);
    out.setSeccompUnconfined(seccomp_unconfined);
    out.setShmBytes(shm_bytes);
    out.setIpcMode(text(ipc_mode));
    out.setPidMode(text(pid_mode));
    out.setUtsMode(text(uts_mode));
    out.setCgroupnsMode(text(cgroupns_mode));
    if (!userns_mode.empty()) out.setUsernsMode(text(userns_mode));
    if (!id_maps.empty()) write_id_maps(id_maps, [&](unsigned n) { return out.initIdMaps(n); });
    if (!cgroup_parent.empty()) out.setCgroupParent(text(cgroup_parent));
    out.setSeccompProfile(text(seccomp_profile));
    out.setDomainname(text(domainname));
    out.setPrivileged(privileged);
    out.setInit(init);
    out.setLogFileBytes(log_file_bytes);
    out.setLogFiles(log_files);
    write_lists(*this, out);
}

Status Options::check() const {
    TRY_STATUS(resources.check());
    if (oom_score_adj < -1000 || oom_score_adj > 1000)
        return fail("Invalid value " + std::to_string(oom_score_adj) +
                    ", range for oom score adj is [-1000, 1000]");
    if (shm_bytes < 0) return fail("SHM size can not be less than 0");
    TRY_STATUS(check_log(*this));
    TRY_STATUS(check_modes(*this));
    TRY_STATUS(check_mounts(*this));
    TRY_STATUS(check_ulimits(*this));
    return check_rights(*this);
}

}  // namespace noded::container
