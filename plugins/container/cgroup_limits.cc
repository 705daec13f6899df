// Limits of a container, see cgroup.h: what is written to which file of v1 or v2, and the sentence
// when the host has no such file. Formats: the kernel's admin-guide, cgroup-v1/ and cgroup-v2.rst.
#include <algorithm>
#include <cerrno>

#include "plugins/container/cgroup.h"
#include "plugins/container/weights.h"

namespace noded::container {
namespace {

constexpr int64_t kPeriodUsDefault = 100'000;

std::string number_of(const DeviceNumber& device) {
    return std::to_string(device.major) + ":" + std::to_string(device.minor);
}

}  // namespace

bool Cgroups::has_v1(std::string_view controller) const {
    return std::ranges::any_of(hierarchies_,
                               [&](const Hierarchy& at) { return at.has(controller); });
}

/// `optional`: a host that lacks the file is good enough, nobody asked for this by name.
Status Cgroups::set(std::string_view id, const std::string& controller, const std::string& v1_file,
                    const std::string& v2_file, const std::string& value, bool optional) const {
    const auto absent = [&] {
        if (optional) return Status();
        return Status(fail("this host cannot limit " + controller + " so: it has no file " +
                           (v2_file.empty() ? v1_file : v2_file) +
                           " in a cgroup hierarchy that noded may use"));
    };
    for (const Hierarchy& hierarchy : hierarchies_) {
        const bool v2 = hierarchy.name.empty();
        if (!v2 && !hierarchy.has(controller)) continue;
        const std::string& file = v2 ? v2_file : v1_file;
        const std::string path = folder(hierarchy, id) + "/" + file;
        if (file.empty() || !sys_->exists(path)) continue;
        return sys_->write_file(path, value);
    }
    return absent();
}

/// v1 wants memory before memory and swap; v2 counts swap alone.
Status Cgroups::limit_memory(std::string_view id, const Resources& asked) const {
    const auto set_memory = [&] {
        return set(id, "memory", "memory.limit_in_bytes", "memory.max",
                   std::to_string(asked.memory_bytes));
    };
    Status memory;
    if (asked.memory_bytes > 0) memory = set_memory();
    const int64_t both =
        asked.memory_swap_bytes != 0 ? asked.memory_swap_bytes : 2 * asked.memory_bytes;
    if (both != 0) {
        const std::string swap =
            both < 0 ? "max" : std::to_string(std::max<int64_t>(both - asked.memory_bytes, 0));
        const bool v1 = has_v1("memory");
        TRY_STATUS(set(id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max",
                       v1 ? std::to_string(both) : swap, asked.memory_swap_bytes == 0));
    }
    // More than memory and swap had together before: now there is room for it.
    if (!memory) TRY_STATUS(set_memory());
    if (asked.memory_reservation_bytes > 0)
        TRY_STATUS(set(id, "memory", "memory.soft_limit_in_bytes", "memory.low",
                       std::to_string(asked.memory_reservation_bytes)));
    if (asked.oom_kill_disable) TRY_STATUS(set(id, "memory", "memory.oom_control", "", "1"));
    return {};
}

Status Cgroups::limit_cpu(std::string_view id, const Resources& asked) const {
    const int64_t period = asked.cpu_period_us != 0 ? asked.cpu_period_us : kPeriodUsDefault;
    int64_t quota = asked.cpu_quota_us;
    if (asked.nano_cpus > 0) quota = asked.nano_cpus * kPeriodUsDefault / 1'000'000'000;
    const bool v1 = has_v1("cpu");
    if (quota != 0 || asked.cpu_period_us != 0) {
        const std::string most = quota > 0 ? std::to_string(quota) : "max";
        if (v1)
            TRY_STATUS(set(id, "cpu", "cpu.cfs_period_us", "", std::to_string(period)));
        if (!v1 || quota != 0)
            TRY_STATUS(set(id, "cpu", "cpu.cfs_quota_us", "cpu.max",
                           v1 ? std::to_string(quota) : most + " " + std::to_string(period)));
    }
    const std::string shares = std::to_string(asked.cpu_shares);
    if (asked.cpu_shares != 0)
        TRY_STATUS(set(id, "cpu", "cpu.shares", "cpu.weight",
                       v1 ? shares : std::to_string(weight_of_shares(uint64_t(asked.cpu_shares)))));
    return {};
}

/// The weight's file is another one with each scheduler.
Status Cgroups::limit_io(std::string_view id, const Resources& asked) const {
    const bool v1 = has_v1("blkio");
    if (asked.blkio_weight != 0) {
        const std::string weight = std::to_string(asked.blkio_weight);
        if (!set(id, "blkio", "blkio.bfq.weight", "io.bfq.weight", weight))
            TRY_STATUS(set(id, "blkio", "blkio.weight", "io.weight",
                           v1 ? weight : std::to_string(weight_of_block(asked.blkio_weight))));
    }
    for (const DeviceRate& rate : asked.rates) {
        struct Names {
            const char* v1;
            const char* v2;
        };
        constexpr Names names[] = {{"blkio.throttle.read_bps_device", "rbps"},
                                   {"blkio.throttle.write_bps_device", "wbps"},
                                   {"blkio.throttle.read_iops_device", "riops"},
                                   {"blkio.throttle.write_iops_device", "wiops"}};
        const DeviceNumber device = TRY(sys_->device_number(rate.device));
        if (device.type != 'b') return fail(rate.device + " is not a block device");
        const Names& name = names[std::min<size_t>(size_t(rate.kind), std::size(names) - 1)];
        const std::string v2 = std::string(name.v2) + "=" + std::to_string(rate.rate);
        TRY_STATUS(set(id, "blkio", name.v1, "io.max",
                       number_of(device) + " " + (v1 ? std::to_string(rate.rate) : v2)));
    }
    return {};
}

Status Cgroups::limit(std::string_view id, const Resources& asked) const {
    TRY_STATUS(limit_memory(id, asked));
    TRY_STATUS(limit_cpu(id, asked));
    TRY_STATUS(limit_io(id, asked));
    if (asked.pids_limit != 0)
        TRY_STATUS(set(id, "pids", "pids.max", "pids.max",
                       asked.pids_limit > 0 ? std::to_string(asked.pids_limit) : "max",
                       asked.pids_limit < 0));
    if (!asked.wants_cpuset()) return {};
    TRY_STATUS(limit_cpuset(id, "CPUs", "cpuset.cpus", asked.cpuset_cpus));
    return limit_cpuset(id, "memory nodes", "cpuset.mems", asked.cpuset_mems);
}

/// Memory and swap go together, and so do quota and period.
Status Cgroups::update(std::string_view id, const Resources& now, const Resources& wanted) const {
    const bool v1_cpuset = std::ranges::any_of(
        hierarchies_, [](const Hierarchy& at) { return at.name == "cpuset"; });
    if (v1_cpuset && wanted.wants_cpuset() && !now.wants_cpuset())
        return fail("it was started without a CPU set and cannot be given one while it runs: stop "
                    "it first");
    Resources changed = wanted;
    if (now.memory_bytes == wanted.memory_bytes &&
        now.memory_swap_bytes == wanted.memory_swap_bytes)
        changed.memory_bytes = changed.memory_swap_bytes = 0;
    if (now.nano_cpus == wanted.nano_cpus && now.cpu_quota_us == wanted.cpu_quota_us &&
        now.cpu_period_us == wanted.cpu_period_us)
        changed.nano_cpus = changed.cpu_quota_us = changed.cpu_period_us = 0;
    if (now.memory_reservation_bytes == wanted.memory_reservation_bytes)
        changed.memory_reservation_bytes = 0;
    if (now.cpu_shares == wanted.cpu_shares) changed.cpu_shares = 0;
    if (now.pids_limit == wanted.pids_limit) changed.pids_limit = 0;
    if (now.blkio_weight == wanted.blkio_weight) changed.blkio_weight = 0;
    if (now.cpuset_cpus == wanted.cpuset_cpus && now.cpuset_mems == wanted.cpuset_mems)
        changed.cpuset_cpus = changed.cpuset_mems = {};
    changed.rates.clear();
    changed.oom_kill_disable = false;
    return limit(id, changed);
}

/// A v1 group has no CPUs and no memory until both are written: what was not asked for is all. v2
/// takes what the host does not have, and then lets the container have everything.
Status Cgroups::limit_cpuset(std::string_view id, const std::string& what, const std::string& file,
                             const std::string& asked) const {
    std::string all;
    bool v2 = false;
    for (const Hierarchy& hierarchy : hierarchies_) {
        const std::string path = hierarchy.mount + "/" + file;
        if (hierarchy.name == "cpuset") all = TRY(sys_->read_file(path));
        if (!hierarchy.name.empty() || !sys_->exists(path + ".effective")) continue;
        all = TRY(sys_->read_file(path + ".effective"));
        v2 = true;
    }
    while (all.ends_with('\n')) all.pop_back();
    const std::string& list = asked.empty() && !v2 ? all : asked;
    if (list.empty()) return {};
    Status written;
    if (v2 && !is_within(list, all)) written = fail_errno(ERANGE, "");
    else written = set(id, "cpuset", file, file, list);
    if (written || (written.error().code != ERANGE && written.error().code != EINVAL))
        return written;
    return fail("Requested " + what + " are not available - requested " + list +
                (all.empty() ? "" : ", available: " + all));
}

}  // namespace noded::container
