// Starting a container: one packet to a shim that waits already.
//
// A shim is kept ready, so that a start costs folders, cgroups and one sendmsg; the next one is
// spawned when the start was served. Called by advance() as soon as the rootfs is there and the
// start was asked for.
#include <linux/capability.h>
#include <sched.h>

#include "agent/base/check.h"
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/container/shim/seccomp_profile.h"

namespace noded::container {

namespace {

constexpr int64_t kRefillDelayNs = 1'000'000;

}  // namespace

/// libseccomp needs more than a millisecond to compile the profile: once per noded.
Status Effects::compile_seccomp() {
    if (seccomp_.empty()) seccomp_ = TRY(seccomp_default_bpf(default_capabilities()));
    return {};
}

Result<std::unique_ptr<ShimLink>> Effects::spawn_shim() {
    SpawnedShim spawned = TRY(sys_->spawn_shim(shim_program_));
    auto link = std::make_unique<ShimLink>(host_, *this, "", std::move(spawned.control),
                                           std::move(spawned.pidfd), uint32_t(spawned.pid));
    if (!link->start()) return fail("watch the socket of a shim: the host has no watch left");
    return link;
}

Result<std::unique_ptr<ShimLink>> Effects::take_shim(const std::string& id) {
    auto link = std::move(idle_);
    if (!link) link = TRY(spawn_shim());
    link->adopt(id);
    return link;
}

void Effects::refill_later() {
    if (idle_ || refill_timer_ != 0) return;
    refill_timer_ = after(kRefillDelayNs, [this] {
        refill_timer_ = 0;
        (void)compile_seccomp();  // a start tells what went wrong
        cgroups_->make_spare();
        if (idle_) return;
        if (auto spawned = spawn_shim())
            idle_ = std::move(*spawned);
        else
            host_.warn(spawned.error().message);
    });
}

void Effects::launch(Live& live) {
    const Container* container = state_.get(live.id);
    CHECK(container != nullptr && live.start_wanted != 0 && !live.link);
    live.over = false;
    live.release_tag = 0;
    if (const auto launched = launch_now(live, *container); !launched) {
        if (live.link) live.link->stop();
        if (live.link) reap_when_ended(live.link->take_pidfd());
        live.link.reset();
        propose_start_failed(live, 125, launched.error().message);
    }
}

/// Needs nothing of the rootfs: usually done while RootfsPrepared is on its way to the disk.
Status Effects::make_places(Live& live) {
    if (live.places) return {};
    live.traces = true;
    TRY(sys_->make_folder(runtime_folder(live)));
    TRY(sys_->make_folder(state_folder(live.id)));
    TRY_STATUS(cgroups_->create(live.id));
    live.places = true;
    return {};
}

Status Effects::launch_now(Live& live, const Container& container) {
    TRY_STATUS(make_places(live));
    TRY_STATUS(compile_seccomp());
    // From here on reconcile takes it that a shim may have been told to start.
    TRY(sys_->make_folder(run_folder(live, live.start_wanted)));
    const Buffer spec = TRY(launch_encode(launch_spec(live, container)));
    live.link = TRY(take_shim(live.id));
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

LaunchSpec Effects::launch_spec(const Live& live, const Container& container) {
    const Spec& from = container.spec;
    LaunchSpec spec;
    spec.id = container.id;
    spec.arguments = from.argv;
    spec.environment = from.env;
    spec.cwd = from.working_dir;
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
    spec.hostname = from.hostname;
    spec.capabilities = default_capabilities();
    spec.seccomp = seccomp_;
    spec.masked_paths = default_masked_paths();
    spec.read_only_paths = default_read_only_paths();
    spec.namespaces = default_namespaces();
    if (!cgroups_->restricts_devices()) {
        // cgroup v2 has no device list: nothing but /dev may hold devices then.
        spec.nodev_rootfs = true;
        spec.capabilities &= ~(uint64_t{1} << CAP_MKNOD);
    }
    if (from.network == "host") spec.namespaces &= ~uint32_t(CLONE_NEWNET);
    for (const Hierarchy& hierarchy : cgroups_->hierarchies()) {
        std::string folder = cgroups_->folder(hierarchy, container.id);
        if (hierarchy.name.empty())
            spec.cgroup_v2 = std::move(folder);
        else
            spec.cgroups_v1.push_back({std::move(folder), hierarchy.name});
    }
    spec.log_path = state_folder(container.id) + "/log";
    spec.runtime_dir = run_folder(live, live.start_wanted);
    spec.stop_signal = uint32_t(from.stop_signal);
    return spec;
}

}  // namespace noded::container
