// Mounts of a configuration as steps of the plan. The options are those of runtime-spec 1.1 and of
// mount(8); what is no option goes to the file system. See plan_builder.h.
#include <linux/magic.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "plugins/container/noci/id_helpers.h"
#include "plugins/container/noci/plan_builder.h"

namespace noded::noci {
namespace {

/// `flag` for mount(2), `attribute` for mount_setattr(2); a cleared one takes both away.
struct Option {
    bool clears;
    uint64_t flag;
    uint64_t attribute;
};

const std::map<std::string, Option> kOptions = {
    {"async", {true, MS_SYNCHRONOUS, 0}},
    {"atime", {true, MS_NOATIME, MOUNT_ATTR_NOATIME}},
    {"bind", {false, 0, 0}},
    {"defaults", {false, 0, 0}},
    {"dev", {true, MS_NODEV, MOUNT_ATTR_NODEV}},
    {"diratime", {true, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}},
    {"dirsync", {false, MS_DIRSYNC, 0}},
    {"exec", {true, MS_NOEXEC, MOUNT_ATTR_NOEXEC}},
    {"iversion", {false, MS_I_VERSION, 0}},
    {"lazytime", {false, MS_LAZYTIME, 0}},
    {"loud", {true, MS_SILENT, 0}},
    {"mand", {false, MS_MANDLOCK, 0}},
    {"noatime", {false, MS_NOATIME, MOUNT_ATTR_NOATIME}},
    {"nodev", {false, MS_NODEV, MOUNT_ATTR_NODEV}},
    {"nodiratime", {false, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}},
    {"noexec", {false, MS_NOEXEC, MOUNT_ATTR_NOEXEC}},
    {"noiversion", {true, MS_I_VERSION, 0}},
    {"nolazytime", {true, MS_LAZYTIME, 0}},
    {"nomand", {true, MS_MANDLOCK, 0}},
    {"norelatime", {true, MS_RELATIME, 0}},
    {"nostrictatime", {true, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME}},
    {"nosuid", {false, MS_NOSUID, MOUNT_ATTR_NOSUID}},
    {"nosymfollow", {false, 256 /* MS_NOSYMFOLLOW */, MOUNT_ATTR_NOSYMFOLLOW}},
    {"rbind", {false, 0, 0}},
    {"relatime", {false, MS_RELATIME, 0}},
    {"remount", {false, MS_REMOUNT, 0}},
    {"ro", {false, MS_RDONLY, MOUNT_ATTR_RDONLY}},
    {"rw", {true, MS_RDONLY, MOUNT_ATTR_RDONLY}},
    {"silent", {false, MS_SILENT, 0}},
    {"strictatime", {false, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME}},
    {"suid", {true, MS_NOSUID, MOUNT_ATTR_NOSUID}},
    {"sync", {false, MS_SYNCHRONOUS, 0}},
    {"symfollow", {true, 256, MOUNT_ATTR_NOSYMFOLLOW}},
};

/// With what is mounted below, too.
const std::map<std::string, Option> kBelow = {
    {"rro", {false, 0, MOUNT_ATTR_RDONLY}},
    {"rrw", {true, 0, MOUNT_ATTR_RDONLY}},
    {"rnosuid", {false, 0, MOUNT_ATTR_NOSUID}},
    {"rsuid", {true, 0, MOUNT_ATTR_NOSUID}},
    {"rnodev", {false, 0, MOUNT_ATTR_NODEV}},
    {"rdev", {true, 0, MOUNT_ATTR_NODEV}},
    {"rnoexec", {false, 0, MOUNT_ATTR_NOEXEC}},
    {"rexec", {true, 0, MOUNT_ATTR_NOEXEC}},
    {"rnodiratime", {false, 0, MOUNT_ATTR_NODIRATIME}},
    {"rdiratime", {true, 0, MOUNT_ATTR_NODIRATIME}},
    // The value of relatime is no bit: it is what is left when the field is cleared.
    {"rrelatime", {true, 0, MOUNT_ATTR__ATIME}},
    {"rnorelatime", {true, 0, MOUNT_ATTR__ATIME}},
    {"rnoatime", {false, 0, MOUNT_ATTR_NOATIME}},
    {"ratime", {true, 0, MOUNT_ATTR__ATIME}},
    {"rstrictatime", {false, 0, MOUNT_ATTR_STRICTATIME}},
    {"rnostrictatime", {true, 0, MOUNT_ATTR__ATIME}},
    {"rnosymfollow", {false, 0, MOUNT_ATTR_NOSYMFOLLOW}},
    {"rsymfollow", {true, 0, MOUNT_ATTR_NOSYMFOLLOW}},
};

const std::map<std::string, uint64_t> kPropagations = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC}};

/// One mount on its way to a step.
struct Draft {
    Step step{};
    bool bind = false;
    bool idmap = false;
    std::string data;
    size_t propagations = 0;
};

Status take_option(const std::string& option, Draft& draft) {
    Step& step = draft.step;
    if (const auto known = kOptions.find(option); known != kOptions.end()) {
        const auto& [clears, flag, attribute] = known->second;
        draft.bind |= option == "bind" || option == "rbind";
        step.recursive |= option == "rbind";
        if (clears) step.flags &= ~flag;
        else step.flags |= flag;
        (clears ? step.attributes_cleared : step.attributes) |= attribute;
        (clears ? step.attributes : step.attributes_cleared) &= ~attribute;
    } else if (const auto below = kBelow.find(option); below != kBelow.end()) {
        const auto& [clears, flag, attribute] = below->second;
        (clears ? step.below_cleared : step.below_set) |= attribute;
        (clears ? step.below_set : step.below_cleared) &= ~attribute;
    } else if (const auto way = kPropagations.find(option); way != kPropagations.end()) {
        if (draft.propagations == std::size(step.propagation))
            return fail("a mount has more than 4 kinds of propagation");
        step.propagation[draft.propagations++] = way->second;
    } else if (option == "idmap" || option == "ridmap") {
        draft.idmap = true;
        step.recursive_idmap = option == "ridmap";
    } else if (option == "tmpcopyup") {
        step.copy_up = 1;
    } else {
        draft.data += (draft.data.empty() ? "" : ",") + option;
    }
    return {};
}

/// What a process is told by /proc of its own rights, and told to it, is nobody else's to write:
/// only another procfs goes there, and single files that say how much of the machine there is.
Status check_proc(const MountConfig& mount, const std::string& target, const std::string& source,
                  bool is_bind) {
    constexpr const char* files[] = {"/proc/cpuinfo",
                                     "/proc/diskstats",
                                     "/proc/meminfo",
                                     "/proc/stat",
                                     "/proc/swaps",
                                     "/proc/uptime",
                                     "/proc/loadavg",
                                     "/proc/slabinfo",
                                     "/proc/sys/kernel/ns_last_pid",
                                     "/proc/sys/crypto/fips_enabled"};
    const auto wrong = [&](const char* why) {
        return fail("error mounting \"" + mount.source + "\" to rootfs at \"" +
                    mount.destination + "\": \"" + target + "\" cannot be mounted because it is " +
                    why);
    };
    struct statfs info;
    if (target.starts_with("/proc/") && std::ranges::find(files, target) == std::end(files))
        return wrong("inside /proc");
    if (target != "/proc" || (!is_bind && mount.type == "proc")) return {};
    // A source that is not there is told of later.
    const bool is_other = is_bind && statfs(source.c_str(), &info) == 0 &&
                          info.f_type != PROC_SUPER_MAGIC;
    return is_other || !is_bind ? wrong("not of type proc") : Status();
}

uint32_t type_of(const DeviceConfig& device) {
    return device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
}

/// What mounts and the container's own have in common.
class Mounts {
public:
    Mounts(const Config& config, const std::string& bundle, const Cgroups& cgroups, PlanBuilder& to)
        : config_(config), bundle_(bundle), cgroups_(cgroups), to_(to) {}

    Status add(const MountConfig& mount);
    Status add_cgroups(const MountConfig& mount, Draft draft);
    /// Of a user namespace: the host's node, or one like it that the host's root makes.
    void add_node(const DeviceConfig& device, bool is_usual);

    std::vector<Step> steps;
    std::vector<Device> nodes;

private:
    std::string source_of(const MountConfig& mount) const {
        return mount.source.starts_with('/') ? mount.source : bundle_ + "/" + mount.source;
    }
    Status finish_bind(const MountConfig& mount, Draft& draft);
    void finish_file_system(const MountConfig& mount, Draft& draft);
    void add_cgroup_folder(const CgroupPlace& place, const std::string& target, bool read_only);

    const Config& config_;
    const std::string& bundle_;
    const Cgroups& cgroups_;
    PlanBuilder& to_;
};

Status Mounts::finish_bind(const MountConfig& mount, Draft& draft) {
    Step& step = draft.step;
    step.kind = StepKind::bind;
    if (mount.source.empty())
        return fail("mount on " + mount.destination + ": a bind needs a source");
    // What is an option of a file system says nothing to a bind; it is there when an engine lists
    // the same options for whatever it mounts.
    if (step.copy_up != 0)
        return fail("invalid mount on " + mount.destination + ": tmpcopyup is for tmpfs only");
    const std::string source = source_of(mount);
    step.source = to_.text(source);
    step.inside = source.starts_with(config_.rootfs + "/");
    step.flags = 0;
    if (!mount.uid_maps.empty()) {
        step.uid_map = to_.text(map_text(mount.uid_maps));
        step.gid_map = to_.text(map_text(mount.gid_maps));
    } else if (draft.idmap) {
        if (config_.find(CLONE_NEWUSER) == nullptr)
            return fail("invalid mount on " + mount.destination +
                        ": id-mapped mounts must have both uid and gid mappings specified");
        step.own_idmap = 1;
    }
    return {};
}

void Mounts::finish_file_system(const MountConfig& mount, Draft& draft) {
    Step& step = draft.step;
    step.kind = StepKind::file_system;
    step.source = to_.text(mount.source.empty() ? mount.type : mount.source);
    step.data = to_.text(draft.data);
    step.real_folder = mount.type == "proc" || mount.type == "sysfs";
    const bool tmpfs = mount.type == "tmpfs";
    step.read_only_late = (step.flags & MS_RDONLY) != 0 &&
                          (tmpfs || clean_path(mount.destination) == "/dev");
    // Without a mode of its own it has that of the folder that it covers.
    step.inherits_mode = tmpfs && ("," + draft.data).find(",mode=") == std::string::npos;
}

Status Mounts::add(const MountConfig& mount) {
    Draft draft;
    for (const std::string& option : mount.options) TRY_STATUS(take_option(option, draft));
    std::string target = clean_path("/" + mount.destination);
    // Some say where it stands on the host.
    if (target.starts_with(config_.rootfs + "/")) target.erase(0, config_.rootfs.size());
    if (target == "/")
        return fail("mount on /: the root is the rootfs, nothing can be mounted on it");
    draft.step.may_cover_proc = target == "/proc" || target.starts_with("/proc/");
    draft.step.target = to_.text(target);
    draft.step.type = to_.text(mount.type);
    if (mount.type == "bind") draft.bind = true;
    // A bind by its type alone takes what is below along.
    if (mount.type == "bind" && std::ranges::count(mount.options, "bind") == 0)
        draft.step.recursive = 1;
    if (!draft.bind && (draft.idmap || !mount.uid_maps.empty()))
        return fail("invalid mount on " + mount.destination +
                    ": id-mapped mounts are only supported for bind-mounts");
    TRY_STATUS(check_proc(mount, target, source_of(mount), draft.bind));
    if (draft.bind) TRY_STATUS(finish_bind(mount, draft));
    else if (mount.type == "cgroup" || mount.type == "cgroup2") return add_cgroups(mount, draft);
    else finish_file_system(mount, draft);
    steps.push_back(draft.step);
    return {};
}

void Mounts::add_cgroup_folder(const CgroupPlace& place, const std::string& target,
                               bool read_only) {
    Step step{};
    step.kind = StepKind::bind;
    step.source = to_.text(place.folder);
    step.target = to_.text(target);
    step.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                      (read_only ? uint64_t{MOUNT_ATTR_RDONLY} : 0);
    step.propagation[0] = MS_PRIVATE;
    steps.push_back(step);
}

/// The container's own groups, one folder for each hierarchy as on the host.
Status Mounts::add_cgroups(const MountConfig& mount, Draft draft) {
    const std::string target = clean_path("/" + mount.destination);
    const bool read_only = (draft.step.flags & MS_RDONLY) != 0;
    const CgroupPlace* v2 = cgroups_.unified();
    if (v2 != nullptr && (cgroups_.pure_v2() || mount.type == "cgroup2")) {
        add_cgroup_folder(*v2, target, read_only);
        return {};
    }
    draft.step.kind = StepKind::file_system;
    draft.step.source = draft.step.type = to_.text("tmpfs");
    draft.step.data = to_.text("mode=755");
    draft.step.flags |= MS_NOSUID | MS_NODEV | MS_NOEXEC;
    draft.step.read_only_late = read_only;
    steps.push_back(draft.step);
    for (const CgroupPlace& place : cgroups_.places()) {
        const std::string name = place.name.empty() ? "unified" : place.name;
        add_cgroup_folder(place, target + "/" + name, read_only);
        if (place.controllers.size() < 2) continue;
        for (const std::string& controller : place.controllers) {
            Step link{};
            link.kind = StepKind::symlink;
            link.source = to_.text(name);
            link.target = to_.text(target + "/" + controller);
            steps.push_back(link);
        }
    }
    return {};
}

void Mounts::add_node(const DeviceConfig& device, bool is_usual) {
    Step step{};
    step.kind = StepKind::device;
    step.source = step.target = to_.text(device.path);
    step.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    step.node = uint32_t(nodes.size());
    steps.push_back(step);
    const auto uid = host_id(config_.uid_maps, device.uid);
    const auto gid = host_id(config_.gid_maps, device.gid);
    nodes.push_back({step.source, type_of(device) | device.mode, device.major, device.minor,
                     uid.value_or(0), gid.value_or(0), !is_usual && uid && gid});
}

std::vector<DeviceConfig> all_devices(const Config& config) {
    std::vector<DeviceConfig> devices = config.devices;
    struct Usual {
        const char* path;
        uint32_t major, minor;
    };
    constexpr Usual usual_devices[] = {{"/dev/null", 1, 3},    {"/dev/random", 1, 8},
                                       {"/dev/full", 1, 7},    {"/dev/tty", 5, 0},
                                       {"/dev/zero", 1, 5},    {"/dev/urandom", 1, 9}};
    for (const Usual& device : usual_devices)
        if (std::ranges::count(devices, device.path, &DeviceConfig::path) == 0)
            devices.push_back({device.path, 'c', device.major, device.minor, 0666, 0, 0});
    return devices;
}

}  // namespace

Status add_mounts(const Config& config, const std::string& bundle, const Cgroups& cgroups,
                  PlanBuilder& to) {
    Mounts mounts(config, bundle, cgroups, to);
    bool own_dev = true;
    for (const MountConfig& mount : config.mounts) {
        TRY_STATUS(mounts.add(mount));
        const bool bound = !mounts.steps.empty() && mounts.steps.back().kind == StepKind::bind;
        if (bound && clean_path("/" + mount.destination) == "/dev") own_dev = false;
    }
    to.plan.fills_devices = own_dev;
    std::vector<Device> devices;
    // The root of a user namespace makes no nodes.
    const bool mapped = config.find(CLONE_NEWUSER) != nullptr || in_user_namespace();
    for (const DeviceConfig& device : all_devices(config)) {
        if (to.plan.fills_devices == 0) break;
        if (mapped) {
            mounts.add_node(device, std::ranges::count(config.devices, device.path,
                                                       &DeviceConfig::path) == 0);
            continue;
        }
        devices.push_back({to.text(device.path), type_of(device) | device.mode, device.major,
                           device.minor, device.uid, device.gid, 0});
    }
    if (mounts.steps.size() > steps_max) return fail("the configuration has more than 1024 mounts");
    to.plan.steps = to.list(mounts.steps);
    to.plan.devices = to.list(devices);
    to.plan.nodes = to.list(mounts.nodes);
    return {};
}

std::vector<std::string> mount_options_known() {
    std::vector<std::string> names = {"idmap", "ridmap", "tmpcopyup"};
    for (const auto& known : kOptions) names.push_back(known.first);
    for (const auto& known : kBelow) names.push_back(known.first);
    for (const auto& known : kPropagations) names.push_back(known.first);
    std::ranges::sort(names);
    return names;
}

}  // namespace noded::noci
