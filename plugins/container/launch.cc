// Starting a container: one packet to a shim that waits already.
//
// Shims are kept ready (shim_pool.h), so that a start costs a few renames and one sendmsg. Called
// by advance() as soon as the rootfs is there and the start was asked for.
#include <linux/capability.h>
#include <sched.h>

#include <algorithm>

#include "agent/base/check.h"
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/container/modes.h"
#include "plugins/container/propagation.h"
#include "plugins/container/shim/seccomp_json.h"
#include "plugins/container/shim/seccomp_profile.h"

namespace noded::container {

namespace {

Wanted wanted_of(const Options& options) {
    return {.cpuset = options.resources.wants_cpuset(), .devices = options.wants_devices()};
}

uint32_t namespaces_of(const Spec& spec) {
    uint32_t namespaces = default_namespaces();
    if (spec.network == "host") namespaces &= ~uint32_t(CLONE_NEWNET);
    if (!is_private(spec.options.ipc_mode)) namespaces &= ~uint32_t(CLONE_NEWIPC);
    if (!is_private(spec.options.pid_mode)) namespaces &= ~uint32_t(CLONE_NEWPID);
    if (spec.options.uts_mode == "host") namespaces &= ~uint32_t(CLONE_NEWUTS);
    if (spec.options.cgroupns_mode == "host") namespaces &= ~uint32_t(CLONE_NEWCGROUP);
    return namespaces;
}

/// -1, which is no limit, becomes the kernel's way to say so.
launch::Rlimit rlimit_of(const Ulimit& limit) {
    return {uint32_t(rlimit_number(limit.name)), 0, uint64_t(limit.soft), uint64_t(limit.hard)};
}

launch::LogLimits log_limits_of(const Options& options) {
    static_assert(limits::log_files_max == launch::log_segments_max);
    static_assert(limits::log_file_bytes_max == launch::log_segment_bytes_max);
    const bool sized = options.log_file_bytes > 0;
    const bool counted = options.log_files > 0;
    return {uint64_t(sized ? options.log_file_bytes : limits::log_file_bytes_default),
            uint32_t(counted ? options.log_files : limits::log_files_default), 0};
}

/// nodectl puts docker's "noexec,nosuid,nodev" before what the user says of a tmpfs, which may take
/// one of them back.
std::string mount_options(const Mount& mount, bool mapped) {
    if (mount.type == "bind")
        return mount.options + (mapped ? ",idmap" : "") + (mount.make_source ? ",make" : "");
    std::string out = "," + mount.options + ",";
    for (const std::string word : {"exec", "suid", "dev"}) {
        const std::string said = "," + word + ",";
        const size_t at = out.find(said);
        if (at == std::string::npos) continue;
        out.erase(at, said.size() - 1);
        if (const size_t no = out.find(",no" + word + ","); no != std::string::npos)
            out.erase(no, word.size() + 3);
    }
    return out.substr(1, out.size() - 2);
}

void add_options(const Options& options, LaunchSpec& spec) {
    spec.log_limits = log_limits_of(options);
    spec.oom_score_adj = options.oom_score_adj;
    spec.read_only_rootfs = options.read_only;
    spec.no_new_privs = options.no_new_privileges;
    spec.writable_kernel = options.privileged;
    spec.groups = options.group_add;
    spec.domainname = options.domainname;
    if (options.shm_bytes > 0) spec.shm_bytes = uint64_t(options.shm_bytes);
    if (options.ipc_mode == "none" || !is_private(options.ipc_mode)) spec.shm_bytes = 0;
    if (options.ipc_mode == "host")
        spec.mounts.push_back({"bind", "/dev/shm", "/dev/shm", "rbind"});
    for (const Ulimit& limit : options.ulimits) spec.rlimits.push_back(rlimit_of(limit));
    for (const IdMap& map : options.id_maps)
        spec.id_maps.push_back({map.gid ? 1u : 0u, map.container, map.host, map.count});
    const bool mapped = !options.id_maps.empty();
    for (const Mount& mount : options.mounts)
        spec.mounts.push_back(
            {mount.type, mount.source, mount.target, mount_options(mount, mapped)});
    for (const Device& device : options.devices)
        spec.mounts.push_back({"bind", device.host_path, device.container_path, "nosuid,noexec"});
    for (const auto& [key, value] : options.sysctls) {
        std::string path = key;
        std::ranges::replace(path, '.', '/');
        spec.sysctls.push_back({std::move(path), value});
    }
}

/// Looked for once: a large machine has hundreds of CPUs, each with a folder to ask for.
const std::vector<std::string>& masked_paths() {
    static const std::vector<std::string> paths = default_masked_paths();
    return paths;
}

/// In a PID namespace of others there is an init already.
void add_init(const std::string& program, const Options& options, LaunchSpec& spec) {
    if (!options.init || !is_private(options.pid_mode)) return;
    constexpr char kPlace[] = "/sbin/docker-init";
    spec.mounts.push_back({"bind", program, kPlace, "bind,ro,nosuid,nodev"});
    spec.arguments.insert(spec.arguments.begin(), {kPlace, "--"});
}

/// Those that were asked for by name stand already.
void add_host_devices(Sys& sys, LaunchSpec& spec) {
    for (const std::string& path : sys.host_devices())
        if (std::ranges::find(spec.mounts, path, &LaunchMount::target) == spec.mounts.end() &&
            spec.mounts.size() < launch::mounts_max)
            spec.mounts.push_back({"bind", path, path, "nosuid,noexec"});
}

}  // namespace

/// Once per noded.
Status Effects::compile_seccomp() {
    if (seccomp_.empty()) seccomp_ = TRY(seccomp_default_bpf(default_capabilities()));
    return {};
}

/// What the module was loaded with; most kernels have all of them off, and a start need not say so.
void Effects::look_at_overlay() {
    for (const char* name : {"redirect_dir", "metacopy", "index"}) {
        const auto text = sys_->read_file(std::string("/sys/module/overlay/parameters/") + name);
        if (text && text->starts_with('Y')) overlay_has_extras_ = true;
    }
}

/// A layer below all images, with what the shim mounts /etc/hosts and the others on. Without it a
/// start makes the places in the upper folder.
Status Effects::make_places_layer() {
    TRY(sys_->make_folder(places_folder(), 0755));
    TRY(sys_->make_folder(places_folder() + "/etc", 0755));
    for (const char* name : {"hosts", "hostname", "resolv.conf"})
        TRY_STATUS(sys_->make_file(places_folder() + "/etc/" + name));
    TRY_STATUS(sys_->make_link(places_folder() + "/etc/mtab", "/proc/mounts"));
    has_places_ = true;
    return {};
}

/// Counted from the request, or from the start of the noded that goes on with it.
void Effects::keep_start_deadline(Live& live) {
    live.start_timer = after(limits::start_deadline_ns, [this, id = live.id] {
        Live* late = find_live(id);
        if (late == nullptr || late->start_wanted == 0) return;
        late->start_timer = 0;
        propose_start_failed(*late, 125,
                             "the container did not start within " +
                                 std::to_string(limits::start_deadline_ns / 1'000'000'000) +
                                 " seconds");
    });
}

void Effects::launch(Live& live) {
    CHECK(live.start_wanted != 0 && !live.link);
    const Container* container = state_.get(live.id);
    // Its start has failed and it is removed with it, as will be durable in a moment.
    if (container == nullptr) return;
    if (!has_volumes(*container)) return fill_volumes(live, *container);
    quiet_.disturb();   // it may have waited long for its turn
    live.over = false;
    live.release_tag = 0;
    cut_files_off(live.id, false, "was started");
    if (const auto launched = launch_now(live, *container); !launched) {
        if (live.link) live.link->stop();
        if (live.link) reap_when_ended(live.link->take_pidfd());
        live.link.reset();
        propose_start_failed(live, 125, launched.error().message);
    }
}

/// Log folder and cgroups, out of the set `spare` what can be: a new folder costs three times as
/// much as a rename, and more where many were removed lately. True if nothing of the set is left.
Result<bool> Effects::make_folders(Live& live, const Options& options, const std::string& spare) {
    const std::string logs = state_folder(live.id);
    const bool moved = !spare.empty() && !sys_->exists(logs) &&
                       sys_->move(pool_.log_folder(spare), logs).has_value();
    if (!moved) TRY(sys_->make_folder(logs, Sys::log_folder_mode));
    TRY_STATUS(note_group(live));
    live.spare_groups = TRY(cgroups_->create(live.group, wanted_of(options), spare));
    return moved && live.spare_groups;
}

/// Needs nothing of the rootfs, so a start that waits for one has it done meanwhile.
Status Effects::make_places(Live& live) {
    const Container* container = state_.get(live.id);
    if (live.places || container == nullptr) return {};
    live.traces = true;
    TRY(sys_->make_folder(runtime_folder(live)));
    if (!live.ready.link) live.ready = pool_.take(live.id);
    const std::string spare = std::exchange(live.ready.folders, "");
    live.group = cgroup_of(*container);
    const auto all_renamed = make_folders(live, container->spec.options, spare);
    if (!spare.empty() && !all_renamed.value_or(false)) pool_.leave(spare);
    TRY_STATUS(all_renamed);
    const Options& options = container->spec.options;
    const std::string& group = live.group;
    if (options.resources.any()) TRY_STATUS(cgroups_->limit(group, options.resources));
    if (options.wants_devices()) TRY_STATUS(cgroups_->allow(group, options));
    live.places = true;
    return {};
}

Status Effects::launch_now(Live& live, const Container& container) {
    TRY_STATUS(make_places(live));
    for (const Mount& mount : container.spec.options.mounts)
        if (wants_peers(mount))
            TRY_STATUS(check_peers(mount, TRY(sys_->mount_line(mount.source))));
    // Overlayfs refuses a volatile upper folder that was used before, since a crash of the machine
    // may have torn it; a container that is restarted with --rm has not seen one.
    if (container.spec.auto_remove && live.start_wanted > 1)
        TRY_STATUS(sys_->remove_tree(container.rootfs.work + "/work/incompat"));
    // From here on reconcile takes it that a shim may have been told to start.
    TRY(sys_->make_folder(run_folder(live, live.start_wanted)));
    const Buffer spec = TRY(launch_encode(TRY(launch_spec(live, container))));
    if (!live.ready.link) live.ready = TRY(pool_.make(live.id));
    live.link = std::move(live.ready.link);
    live.launched = live.start_wanted;
    live.places = false;
    Stream stream;
    if (!live.streams.empty()) {
        stream = std::move(live.streams.front());
        live.streams.erase(live.streams.begin());
    }
    return send_spec(*live.link, ControlType::launch, ++tags_, spec, std::move(stream));
}

/// A spec that does not fit into a packet travels in a memfd.
Status Effects::send_spec(ShimLink& link, ControlType type, uint64_t tag, const Buffer& spec,
                          Stream stream) {
    uint32_t flags = 0;
    std::vector<Fd> fds;
    Bytes payload = spec;
    if (spec.size() + sizeof(ControlHeader) > control_packet_bytes_max / 2) {
        fds.push_back(TRY(sys_->make_memfd(spec)));
        flags |= control_spec_in_memfd;
        payload = {};
    }
    if (stream.fd.valid()) {
        fds.push_back(std::move(stream.fd));
        flags |= control_attach_socket | stream.flags;
    }
    return link.send(type, flags, tag, payload, std::move(fds));
}

/// The filter allows what the capabilities would allow, so other capabilities need another one.
Result<Buffer> Effects::seccomp_of(const Options& options) {
    if (options.seccomp_unconfined) return Buffer();
    if (!options.seccomp_profile.empty())
        return seccomp_compile(TRY(seccomp_parse(options.seccomp_profile)),
                               capabilities_of(options), capability_number);
    if (options.privileged) return Buffer();
    const uint64_t capabilities = capabilities_of(options);
    if (capabilities != default_capabilities()) return seccomp_default_bpf(capabilities);
    TRY_STATUS(compile_seccomp());
    return seccomp_;
}

Result<LaunchSpec> Effects::launch_spec(const Live& live, const Container& container) {
    const Spec& from = container.spec;
    LaunchSpec spec;
    spec.id = container.id;
    spec.arguments = from.argv;
    spec.environment = from.env;
    if (!from.working_dir.empty()) spec.cwd = from.working_dir;
    spec.user = from.user;
    spec.tty = from.tty;
    spec.open_stdin = from.open_stdin;
    spec.rows = from.tty_rows;
    spec.columns = from.tty_columns;
    spec.lowers = container.rootfs.lowers;
    spec.upper = container.rootfs.upper;
    spec.work = container.rootfs.work;
    // With --rm the upper folder goes with the container: a sync of the disk for it helps nobody.
    spec.volatile_rootfs = from.auto_remove;
    spec.name_files = true;
    // The places to mount on, for images that lack them: nothing is made in the upper folder.
    if (has_places_) spec.lowers.push_back(places_folder());
    spec.plain_overlay = overlay_has_extras_;
    spec.hostname = from.hostname;
    spec.capabilities = capabilities_of(from.options);
    spec.seccomp = TRY(seccomp_of(from.options));
    if (from.options.privileged) {
        add_host_devices(*sys_, spec);
    } else if (!from.options.system_paths_unconfined) {
        spec.masked_paths = masked_paths();
        spec.read_only_paths = default_read_only_paths();
    }
    spec.namespaces = namespaces_of(from);
    add_options(from.options, spec);
    place_volumes(container, spec);
    TRY_STATUS(add_joins(from.options, spec));
    add_init(host_.libexec_dir() + "/init", from.options, spec);
    if (!cgroups_->restricts_devices() && !from.options.privileged) {
        // Neither v1's list nor v2's program can be had: nothing but /dev may hold devices then.
        spec.nodev_rootfs = true;
        spec.capabilities &= ~(uint64_t{1} << CAP_MKNOD);
    }
    for (const Hierarchy& hierarchy : cgroups_->of(wanted_of(from.options))) {
        std::string folder = cgroups_->folder(hierarchy, cgroup_of(container));
        if (hierarchy.name.empty())
            spec.cgroup_v2 = std::move(folder);
        else
            spec.cgroups_v1.push_back({std::move(folder), hierarchy.name});
    }
    spec.spare_groups = live.spare_groups;
    spec.log_folder = state_folder(container.id);
    spec.runtime_dir = run_folder(live, live.start_wanted);
    spec.stop_signal = uint32_t(from.stop_signal);
    return spec;
}

}  // namespace noded::container
