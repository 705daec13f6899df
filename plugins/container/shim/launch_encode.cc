// The encoder of launch.h. It checks every limit, so that the user hears a sentence from noded and
// the shim's own checks only ever catch a bug.
#include "plugins/container/shim/launch_encode.h"

#include <linux/capability.h>
#include <linux/sched.h>

#include <cstring>
#include <filesystem>
#include <initializer_list>

#include "agent/base/check.h"
#include "plugins/container/shim/hidden_paths.h"

namespace noded {
namespace {

using launch::Tag;

/// Appends records to a buffer and remembers the first limit that was exceeded.
class Encoder {
public:
    Encoder() : bytes_(sizeof(launch::Header)) {}

    void bytes(Tag tag, Bytes value) {
        const launch::Record record{static_cast<uint16_t>(tag), 0,
                                    static_cast<uint32_t>(value.size())};
        const auto* start = reinterpret_cast<const uint8_t*>(&record);
        bytes_.insert(bytes_.end(), start, start + sizeof record);
        bytes_.insert(bytes_.end(), value.begin(), value.end());
        bytes_.resize(round_up(bytes_.size(), 8));
        records_ += 1;
    }

    template <typename T>
    void value(Tag tag, const T& value) {
        bytes(tag, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }

    /// Strings with their NULs. `what` names them in an error, `limit` bounds each one.
    void texts(Tag tag, const char* what, size_t limit,
               std::initializer_list<const std::string*> parts) {
        Buffer joined;
        for (const std::string* part : parts) {
            if (part->size() > limit) refuse(what, "is longer than", limit, "bytes");
            if (part->find('\0') != std::string::npos) refuse_nul(what);
            joined.insert(joined.end(), part->begin(), part->end());
            joined.push_back(0);
        }
        bytes(tag, joined);
    }
    void text(Tag tag, const char* what, size_t limit, const std::string& value) {
        texts(tag, what, limit, {&value});
    }
    /// Leaves the record out when the string is empty.
    void optional(Tag tag, const char* what, size_t limit, const std::string& value) {
        if (!value.empty()) text(tag, what, limit, value);
    }
    void absolute(Tag tag, const char* what, const std::string& path) {
        if (path.empty()) return;
        if (path[0] != '/' && error_.empty())
            error_ = std::string(what) + " is not an absolute path: " + path;
        text(tag, what, launch::path_bytes_max, path);
    }
    void list(Tag tag, const char* what, size_t count_max, size_t limit,
              const std::vector<std::string>& values) {
        count(what, values.size(), count_max);
        for (const std::string& value : values) text(tag, what, limit, value);
    }
    void count(const char* what, size_t number, size_t limit) {
        if (number > limit) refuse(what, "occurs more than", limit, "times");
    }

    Result<Buffer> finish() {
        if (error_.empty() && bytes_.size() > launch::spec_bytes_max)
            refuse("the launch spec", "is longer than", launch::spec_bytes_max, "bytes");
        if (!error_.empty()) return fail(error_);
        const launch::Header header{launch::header_magic, static_cast<uint32_t>(bytes_.size()),
                                    records_, 0};
        std::memcpy(bytes_.data(), &header, sizeof header);
        return std::move(bytes_);
    }

private:
    void refuse(const char* what, const char* how, size_t limit, const char* unit) {
        if (error_.empty())
            error_ = std::string(what) + " " + how + " " + std::to_string(limit) + " " + unit;
    }
    void refuse_nul(const char* what) {
        if (error_.empty()) error_ = std::string(what) + " contains a NUL byte";
    }

    Buffer bytes_;
    uint32_t records_ = 0;
    std::string error_;
};

uint32_t flags_of(const ProcessSpec& spec) {
    return (spec.tty ? launch::flag_tty : 0u) | (spec.open_stdin ? launch::flag_open_stdin : 0u) |
           (spec.privileged ? launch::flag_privileged : 0u);
}

void encode_process(Encoder& to, const ProcessSpec& spec, uint32_t flags) {
    to.text(Tag::id, "the id", launch::id_bytes_max, spec.id);
    to.list(Tag::argument, "an argument", launch::arguments_max, launch::text_bytes_max - 1,
            spec.arguments);
    to.list(Tag::environment, "an environment variable", launch::environment_max,
            launch::text_bytes_max - 1, spec.environment);
    to.absolute(Tag::cwd, "the working directory", spec.cwd);
    to.optional(Tag::user, "the user", launch::path_bytes_max, spec.user);
    to.value(Tag::flags, flags);
    if (spec.rows != 0 || spec.columns != 0)
        to.value(Tag::window, launch::Window{spec.rows, spec.columns});
}

void encode_rootfs(Encoder& to, const LaunchSpec& spec) {
    to.count("a layer", spec.lowers.size(), launch::lowers_max);
    for (const std::string& lower : spec.lowers) to.absolute(Tag::lower, "a layer's folder", lower);
    to.absolute(Tag::upper, "the upper folder", spec.upper);
    to.absolute(Tag::work, "the work folder", spec.work);
    to.absolute(Tag::rootfs, "the rootfs", spec.rootfs);
    to.count("a mount", spec.mounts.size(), launch::mounts_max);
    for (const LaunchMount& mount : spec.mounts)
        to.texts(Tag::mount, "a mount's field", launch::path_bytes_max,
                 {&mount.type, &mount.source, &mount.target, &mount.options});
    to.list(Tag::masked, "a masked path", launch::hidden_paths_max, launch::path_bytes_max,
            spec.masked_paths);
    to.list(Tag::read_only, "a read-only path", launch::hidden_paths_max, launch::path_bytes_max,
            spec.read_only_paths);
    to.list(Tag::group, "a group", launch::groups_added_max, launch::group_bytes_max, spec.groups);
    to.value(Tag::shm_bytes, spec.shm_bytes);
}

void encode_confinement(Encoder& to, const LaunchSpec& spec) {
    to.value(Tag::capabilities, spec.capabilities);
    if (!spec.seccomp.empty()) to.bytes(Tag::seccomp, spec.seccomp);
    to.count("a resource limit", spec.rlimits.size(), launch::rlimits_max);
    for (const launch::Rlimit& rlimit : spec.rlimits) to.value(Tag::rlimit, rlimit);
    to.count("a sysctl", spec.sysctls.size(), launch::sysctls_max);
    for (const LaunchSysctl& sysctl : spec.sysctls)
        to.texts(Tag::sysctl, "a sysctl", launch::path_bytes_max, {&sysctl.path, &sysctl.value});
    to.value(Tag::namespaces, spec.namespaces);
    to.absolute(Tag::netns, "the network namespace", spec.netns);
    to.count("a map of ids", spec.id_maps.size(), launch::id_maps_max);
    for (const launch::IdMap& map : spec.id_maps) to.value(Tag::id_map, map);
    to.count("a namespace to join", spec.joins.size(), launch::joins_max);
    for (const LaunchJoin& join : spec.joins)
        to.texts(Tag::join, "a namespace to join", launch::path_bytes_max,
                 {&join.kind, &join.path});
    to.absolute(Tag::cgroup_v2, "the cgroup", spec.cgroup_v2);
    to.count("a cgroup", spec.cgroups_v1.size(), launch::cgroups_max);
    for (const LaunchCgroup& cgroup : spec.cgroups_v1)
        to.texts(Tag::cgroup_v1, "a cgroup", launch::path_bytes_max,
                 {&cgroup.folder, &cgroup.name});
    to.value(Tag::oom_score_adj, spec.oom_score_adj);
}

}  // namespace

Result<Buffer> launch_encode(const LaunchSpec& spec) {
    if (spec.arguments.empty()) return fail("no command was given");
    if (spec.seccomp.size() > launch::seccomp_bytes_max || spec.seccomp.size() % 8 != 0)
        return fail("the seccomp filter is not a list of at most 4096 instructions");
    Encoder to;
    encode_process(to, spec,
                   flags_of(spec) | (spec.no_new_privs ? launch::flag_no_new_privs : 0u) |
                       (spec.read_only_rootfs ? launch::flag_read_only_rootfs : 0u) |
                       (spec.volatile_rootfs ? launch::flag_volatile_rootfs : 0u) |
                       (spec.name_files ? launch::flag_name_files : 0u) |
                       (spec.plain_overlay ? launch::flag_plain_overlay : 0u) |
                       (spec.nodev_rootfs ? launch::flag_nodev_rootfs : 0u) |
                       (spec.writable_kernel ? launch::flag_writable_kernel : 0u) |
                       (spec.spare_groups ? launch::flag_spare_groups : 0u));
    encode_rootfs(to, spec);
    encode_confinement(to, spec);
    to.optional(Tag::hostname, "the host name", launch::hostname_bytes_max, spec.hostname);
    to.optional(Tag::domainname, "the domain name", launch::hostname_bytes_max, spec.domainname);
    to.absolute(Tag::log, "the folder of the log", spec.log_folder);
    to.value(Tag::log_limits, spec.log_limits);
    to.absolute(Tag::runtime, "the runtime folder", spec.runtime_dir);
    to.value(Tag::stop_signal, spec.stop_signal);
    return to.finish();
}

Result<Buffer> exec_encode(const ProcessSpec& spec) {
    if (spec.arguments.empty()) return fail("no command was given");
    Encoder to;
    encode_process(to, spec, flags_of(spec));
    return to.finish();
}

uint64_t default_capabilities() {
    uint64_t mask = 0;
    for (int capability : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD,
                           CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SETFCAP, CAP_SETPCAP,
                           CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE})
        mask |= uint64_t{1} << capability;
    return mask;
}

std::vector<std::string> default_masked_paths() {
    std::vector<std::string> paths(std::begin(masked_paths_default),
                                   std::end(masked_paths_default));
    // One folder per CPU, where the driver exists; the machine's own /sys tells without starting a
    // container.
    std::error_code ignored;
    for (int cpu = 0; paths.size() < launch::hidden_paths_max; ++cpu) {
        const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
        if (!std::filesystem::exists(folder, ignored)) break;
        if (std::filesystem::exists(folder + "/thermal_throttle", ignored))
            paths.push_back(folder + "/thermal_throttle");
    }
    return paths;
}

std::vector<std::string> default_read_only_paths() {
    return {std::begin(read_only_paths_default), std::end(read_only_paths_default)};
}

uint32_t default_namespaces() {
    return CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
           CLONE_NEWCGROUP;
}

}  // namespace noded
