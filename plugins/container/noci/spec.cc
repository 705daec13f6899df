// spec: a configuration to begin with; and features: what of the specification is there, as
// runtime-spec's features.md wants it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/version.h"
#include "plugins/container/noci/command.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/plan_builder.h"
#include "plugins/container/noci/seccomp.h"

namespace noded::noci {
namespace {

Json mounts() {
    const auto mount = [](const char* target, const char* type, const char* source, Json options) {
        Json out = {{"destination", target}, {"type", type}, {"source", source}};
        if (!options.empty()) out["options"] = std::move(options);
        return out;
    };
    return Json::array(
        {mount("/proc", "proc", "proc", Json::array()),
         mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
         mount("/dev/pts", "devpts", "devpts",
               {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
         mount("/dev/shm", "tmpfs", "shm",
               {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
         mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
         mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
         mount("/sys/fs/cgroup", "cgroup", "cgroup",
               {"nosuid", "noexec", "nodev", "relatime", "ro"})});
}

Json process() {
    const Json capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    return {{"terminal", true},
            {"user", {{"uid", 0}, {"gid", 0}}},
            {"args", {"sh"}},
            {"env",
             {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
            {"cwd", "/"},
            {"capabilities",
             {{"bounding", capabilities},
              {"effective", capabilities},
              {"permitted", capabilities}}},
            {"rlimits",
             Json::array({{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}})},
            {"noNewPrivileges", true}};
}

Json namespaces(bool v2) {
    Json list = Json::array();
    for (const char* type : {"pid", "network", "ipc", "uts", "mount"})
        list.push_back({{"type", type}});
    if (v2) list.push_back({{"type", "cgroup"}});
    return list;
}

Json example() {
    const bool v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    return {{"ociVersion", "1.2.0"},
            {"process", process()},
            {"root", {{"path", "rootfs"}, {"readonly", true}}},
            {"hostname", "noci"},
            {"mounts", mounts()},
            {"linux",
             {{"resources",
               {{"devices", Json::array({{{"allow", false}, {"access", "rwm"}}})}}},
              {"namespaces", namespaces(v2)},
              {"maskedPaths",
               {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/proc/scsi"}},
              {"readonlyPaths",
               {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}}}};
}

/// Of the caller, who has a user namespace and no network of its own.
void make_rootless(Json& config) {
    Json& linux_part = config["linux"];
    Json spaces = Json::array();
    for (const Json& space : linux_part["namespaces"])
        if (space["type"] != "network") spaces.push_back(space);
    spaces.push_back({{"type", "user"}});
    linux_part["namespaces"] = spaces;
    linux_part["uidMappings"] =
        Json::array({{{"containerID", 0}, {"hostID", geteuid()}, {"size", 1}}});
    linux_part["gidMappings"] =
        Json::array({{{"containerID", 0}, {"hostID", getegid()}, {"size", 1}}});
    linux_part.erase("resources");
    for (Json& mount : config["mounts"]) {
        if (mount["destination"] == "/sys")
            mount = {{"destination", "/sys"},
                     {"type", "none"},
                     {"source", "/sys"},
                     {"options", {"rbind", "nosuid", "noexec", "nodev", "ro"}}};
        if (!mount.contains("options")) continue;
        Json options = Json::array();
        for (const Json& option : mount["options"]) {
            const std::string text = option;
            if (!text.starts_with("gid=") && !text.starts_with("uid=")) options.push_back(option);
        }
        mount["options"] = options;
    }
}

}  // namespace

Result<int> spec_command(Call& call) {
    std::string bundle;
    bool rootless = false;
    const Flag flags[] = {{"bundle,b", &bundle, "path to the root of the bundle directory"},
                          {"rootless", &rootless,
                           "generate a configuration for a rootless container"}};
    PARSE(call, flags);
    if (!bundle.empty() && chdir(bundle.c_str()) != 0) return fail_errno(errno, "chdir " + bundle);
    const Fd file(open("config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.valid() && errno == EEXIST) return fail("File config.json exists. Remove it first");
    if (!file.valid()) return fail_errno(errno, "make config.json");
    Json config = example();
    if (rootless) make_rootless(config);
    const std::string text = config.dump(1, '\t') + "\n";
    if (write(file.get(), text.data(), text.size()) != ssize_t(text.size()))
        return fail_errno(errno, "write config.json");
    return 0;
}

Result<int> features_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    Json capabilities = Json::array();
    for (uint32_t i = 0; i < capabilities_known; ++i) capabilities.push_back(capability_name(i));
    const Json yes = {{"enabled", true}};
    const Json features = {
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks",
         {"prestart", "createRuntime", "createContainer", "startContainer", "poststart",
          "poststop"}},
        {"mountOptions", mount_options_known()},
        {"linux",
         {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
          {"capabilities", capabilities},
          {"cgroup",
           {{"v1", true},
            {"v2", true},
            {"systemd", true},
            {"systemdUser", false},
            {"rdma", true}}},
          {"seccomp",
           {{"enabled", true},
            {"actions", seccomp_actions()},
            {"operators", seccomp_operators()},
            {"archs", seccomp_architectures()},
            {"knownFlags", seccomp_flags()},
            {"supportedFlags", seccomp_flags()}}},
          {"apparmor", yes},
          {"selinux", yes},
          {"intelRdt", {{"enabled", true}, {"schemata", true}, {"monitoring", true}}},
          {"memoryPolicy",
           {{"modes", memory_policy_modes()}, {"flags", memory_policy_flags()}}},
          {"netDevices", yes},
          {"mountExtensions", {{"idmap", yes}}}}},
        {"annotations",
         {{"io.github.seccomp.libseccomp.version", libseccomp_version()},
          {"noded.noci.version", kVersion}}},
        {"potentiallyUnsafeConfigAnnotations",
         Json::array({"org.systemd.property.", "run.oci."})}};
    print(features.dump(4) + "\n");
    return 0;
}

}  // namespace noded::noci
