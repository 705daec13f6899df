// Limits in the words of an OCI configuration (config-linux.md, "Control groups"): what is written
// to which file of v1 or v2. A limit that this host cannot set is refused with a sentence. See
// cgroups.h.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "plugins/container/noci/cgroups.h"
#include "plugins/container/noci/device_rules.h"
#include "plugins/container/noci/id_helpers.h"
#include "plugins/container/weights.h"

namespace noded::noci {

using container::weight_of_block;
using container::weight_of_shares;

namespace {

std::string number_or_max(int64_t value) { return value < 0 ? "max" : std::to_string(value); }

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// Of v2.
bool has_controller(const CgroupPlace& place, const std::string& name) {
    std::istringstream names(read_whole(place.folder + "/cgroup.controllers", 4096).value_or(""));
    for (std::string one; names >> one;)
        if (one == name) return true;
    return false;
}

}  // namespace

Status Cgroups::set(const std::string& controller, const std::string& v1_file,
                    const std::string& v2_file, const std::string& v1_value,
                    const std::string& v2_value) const {
    const CgroupPlace* place = place_of(controller);
    const bool v2 = place != nullptr && place->name.empty();
    const std::string& file = v2 ? v2_file : v1_file;
    if (places_.empty())
        return fail("cannot set " + controller +
                    " limit: container could not join or create cgroup");
    if (place == nullptr || file.empty() || !exists(place->folder + "/" + file))
        return fail("this host cannot limit " + controller + " so: it has no file " +
                    (v2_file.empty() ? v1_file : v2_file) + " in a cgroup hierarchy");
    return write_file(place->folder + "/" + file, v2 ? v2_value : v1_value);
}

/// Memory and swap bound each other on v1, so the order depends on which way they go.
Status Cgroups::set_memory_limit(int64_t limit, int64_t both) const {
    // Memory without a limit is memory and swap without one.
    const CgroupPlace* place = place_of("memory");
    if (limit == -1 && both == 0 && place != nullptr &&
        exists(place->folder + "/" +
               (place->name.empty() ? "memory.swap.max" : "memory.memsw.limit_in_bytes")))
        both = -1;
    const auto set_limit = [&] {
        return set("memory", "memory.limit_in_bytes", "memory.max", std::to_string(limit),
                   number_or_max(limit));
    };
    Status first;
    if (limit != 0) first = set_limit();
    if (both != 0) {
        // v2 counts swap alone.
        if (place != nullptr && place->name.empty() && both > 0) {
            if (limit <= 0) return fail("unable to set swap limit without memory limit");
            if (both < limit) return fail("memory+swap limit should be >= memory limit");
        }
        const int64_t swap = both < 0 ? -1 : both - limit;
        TRY_STATUS(set("memory", "memory.memsw.limit_in_bytes", "memory.swap.max",
                       std::to_string(both), number_or_max(swap)));
    }
    if (!first) first = set_limit();
    if (first || first.error().code != EBUSY) return first;
    return fail("unable to set memory limit to " + std::to_string(limit) + " (current usage: " +
                std::to_string(strtoull(
                    read_file("memory", "memory.usage_in_bytes", "memory.current").c_str(), nullptr,
                    10)) +
                ", peak usage: " +
                std::to_string(strtoull(
                    read_file("memory", "memory.max_usage_in_bytes", "memory.peak").c_str(),
                    nullptr, 10)) +
                ")");
}

Status Cgroups::check_memory(const JsonView& in) const {
    if (!in["checkBeforeUpdate"].flag()) return {};
    const auto usage = strtoll(
        read_file("memory", "memory.usage_in_bytes", "memory.current").c_str(), nullptr, 10);
    for (const auto& [name, value] : {std::pair("memory+swap", in["swap"].integer()),
                                      std::pair("memory", in["limit"].integer())})
        if (value > 0 && value <= usage)
            return fail(std::string("rejecting ") + name + " limit " + std::to_string(value) +
                        ": current usage is " + std::to_string(usage));
    return {};
}

Status Cgroups::limit_memory(const JsonView& in) const {
    if (!in) return {};
    const int64_t limit = in["limit"].integer();
    const int64_t both = in["swap"].integer();
    TRY_STATUS(check_memory(in));
    TRY_STATUS(set_memory_limit(limit, both));
    if (const int64_t low = in["reservation"].integer(); low != 0)
        TRY_STATUS(set("memory", "memory.soft_limit_in_bytes", "memory.low", std::to_string(low),
                       number_or_max(low)));
    if (const int64_t tcp = in["kernelTCP"].integer(); tcp != 0)
        TRY_STATUS(set("memory", "memory.kmem.tcp.limit_in_bytes", "", std::to_string(tcp)));
    if (in["swappiness"]) {
        const uint64_t value = in["swappiness"].u64();
        if (value > 100)
            return fail("invalid memory swappiness value: " + std::to_string(value) +
                        " (valid range is 0-100)");
        TRY_STATUS(set("memory", "memory.swappiness", "", std::to_string(value)));
    }
    if (in["disableOOMKiller"].flag())
        TRY_STATUS(set("memory", "memory.oom_control", "", "1"));
    return {};
}

void Cgroups::complete_bandwidth(Json& resources) const {
    std::string error;
    const JsonView in = JsonView(&resources, "linux.resources", &error)["cpu"];
    const int64_t quota = in["quota"].integer();
    const uint64_t period = in["period"].u64();
    if (!error.empty() || (quota == 0) == (period == 0)) return;
    std::istringstream both(
        read_file("cpu", "cpu.cfs_quota_us", "cpu.max") + " " +
        (pure_v2() ? "" : read_file("cpu", "cpu.cfs_period_us", "cpu.max")));
    std::string quota_now, period_now;
    both >> quota_now >> period_now;
    if (quota == 0)
        resources["cpu"]["quota"] =
            quota_now == "max" ? -1 : strtoll(quota_now.c_str(), nullptr, 10);
    else if (const uint64_t now = strtoull(period_now.c_str(), nullptr, 10); now != 0)
        resources["cpu"]["period"] = now;
}

/// Quota and period bound each other, too.
Status Cgroups::limit_bandwidth(const JsonView& in) const {
    const int64_t quota = in["quota"].integer();
    const uint64_t period = in["period"].u64();
    const CgroupPlace* place = place_of("cpu");
    if (quota == 0 && period == 0 && !in["burst"]) return {};
    if (place != nullptr && place->name.empty()) {
        std::string now = read_file("cpu", "", "cpu.max");
        std::string most = quota == 0 ? now.substr(0, now.find(' ')) : number_or_max(quota);
        if (period != 0) most += " " + std::to_string(period);
        if (quota != 0 || period != 0) TRY_STATUS(set("cpu", "", "cpu.max", most));
    } else {
        Status first;
        const auto set_period = [&] {
            return set("cpu", "cpu.cfs_period_us", "", std::to_string(period));
        };
        if (period != 0) first = set_period();
        if (quota != 0) TRY_STATUS(set("cpu", "cpu.cfs_quota_us", "", std::to_string(quota)));
        if (!first) first = set_period();
        TRY_STATUS(first);
    }
    if (in["burst"])
        return set("cpu", "cpu.cfs_burst_us", "cpu.max.burst", std::to_string(in["burst"].u64()));
    return {};
}

Status Cgroups::limit_realtime(const JsonView& in) const {
    const uint64_t period = in["realtimePeriod"].u64();
    const int64_t runtime = in["realtimeRuntime"].integer();
    const auto set_period = [&] {
        return set("cpu", "cpu.rt_period_us", "", std::to_string(period));
    };
    Status first;
    if (period != 0) first = set_period();
    if (runtime != 0)
        TRY_STATUS(set("cpu", "cpu.rt_runtime_us", "", std::to_string(runtime)));
    return first ? first : set_period();
}

/// What idles has no shares to set, until it idles no more.
Status Cgroups::limit_shares(const JsonView& in) const {
    const auto set_idle = [&] {
        return set("cpu", "cpu.idle", "cpu.idle", std::to_string(in["idle"].integer()));
    };
    const bool idles = in["idle"].integer() == 1;
    if (in["idle"] && !idles) TRY_STATUS(set_idle());
    if (const uint64_t shares = in["shares"].u64(); shares != 0) {
        const Status done = set("cpu", "cpu.shares", "cpu.weight", std::to_string(shares),
                                std::to_string(weight_of_shares(shares)));
        const bool idles_already = idles && !done && done.error().code == EINVAL;
        if (!idles_already) TRY_STATUS(done);
    }
    return idles ? set_idle() : Status();
}

Status Cgroups::limit_cpu(const JsonView& in) const {
    if (!in) return {};
    TRY_STATUS(limit_shares(in));
    TRY_STATUS(limit_bandwidth(in));
    TRY_STATUS(limit_realtime(in));
    if (const std::string cpus = in["cpus"].text(); !cpus.empty())
        TRY_STATUS(set("cpuset", "cpuset.cpus", "cpuset.cpus", cpus));
    if (const std::string mems = in["mems"].text(); !mems.empty())
        TRY_STATUS(set("cpuset", "cpuset.mems", "cpuset.mems", mems));
    return {};
}

/// The weight's file is another one with each scheduler: that of BFQ takes weights as they are, and
/// is the one that matters where it is there.
Status Cgroups::set_weight(const std::string& device, uint64_t weight) const {
    if (weight == 0) return {};
    const std::string suffix = device.empty() ? "" : "_device";
    const std::string as_is = device + std::to_string(weight);
    const CgroupPlace* place = place_of("blkio");
    if (place == nullptr || place->name.empty()) {
        if (place != nullptr && exists(place->folder + "/io.bfq.weight"))
            return set("blkio", "", "io.bfq.weight", as_is);
        return set("blkio", "", "io.weight", device + std::to_string(weight_of_block(weight)));
    }
    if (set("blkio", "blkio.weight" + suffix, "", as_is)) return {};
    return set("blkio", "blkio.bfq.weight" + suffix, "", as_is);
}

Status Cgroups::limit_block(const JsonView& in) const {
    if (!in) return {};
    TRY_STATUS(set_weight("", in["weight"].u64()));
    if (const uint64_t weight = in["leafWeight"].u64(); weight != 0)
        TRY_STATUS(set("blkio", "blkio.leaf_weight", "", std::to_string(weight)));
    const auto device = [](const JsonView& item) {
        return std::to_string(item["major"].integer()) + ":" +
               std::to_string(item["minor"].integer()) + " ";
    };
    for (const JsonView& item : in["weightDevice"].items()) {
        TRY_STATUS(set_weight(device(item), item["weight"].u64()));
        if (const uint64_t weight = item["leafWeight"].u64(); weight != 0)
            TRY_STATUS(set("blkio", "blkio.leaf_weight_device", "",
                           device(item) + std::to_string(weight)));
    }
    struct Rate {
        const char* key;
        const char* v1;
        const char* v2;
    };
    constexpr Rate rates[] = {
        {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps="},
        {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps="},
        {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops="},
        {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops="}};
    for (const Rate& rate : rates)
        for (const JsonView& item : in[rate.key].items()) {
            const std::string value = std::to_string(item["rate"].u64());
            TRY_STATUS(set("blkio", rate.v1, "io.max", device(item) + value,
                           device(item) + rate.v2 + value));
        }
    return {};
}

Status Cgroups::limit_unified(const JsonView& in) const {
    const CgroupPlace* v2 = unified();
    for (const auto& [file, value] : in.members()) {
        if (file.find('/') != std::string::npos)
            return fail("unified resource \"" + file + "\" must be a file name (no slashes)");
        if (v2 == nullptr || (!pure_v2() && !exists(v2->folder + "/" + file)))
            return fail("invalid configuration: cannot use unified on cgroup v1");
        const std::string controller = file.substr(0, file.find('.'));
        if (!exists(v2->folder + "/" + file) && !has_controller(*v2, controller))
            return fail("unified resource \"" + file + "\" can't be set: controller \"" +
                        controller + "\" not available");
        if (!exists(v2->folder + "/" + file))
            return fail("unable to set unified resource \"" + file +
                        "\": no such file or directory");
        const std::string text = value.text();
        for (size_t at = 0; at < text.size();) {
            const size_t end = std::min(text.find('\n', at), text.size());
            TRY_STATUS(write_file(v2->folder + "/" + file, text.substr(at, end - at)));
            at = end + 1;
        }
    }
    return {};
}

Status Cgroups::limit_rest(const JsonView& in) const {
    // No process at all would be no container: none but the first.
    if (const JsonView limit = in["pids"]["limit"]; limit) {
        const int64_t pids = limit.integer();
        TRY_STATUS(set("pids", "pids.max", "pids.max",
                       pids < 0 ? "max" : std::to_string(std::max<int64_t>(pids, 1))));
    }
    for (const JsonView& item : in["hugepageLimits"].items()) {
        const std::string size = item["pageSize"].text();
        const std::string limit = std::to_string(item["limit"].u64());
        // What is reserved counts, too, where the kernel tells it apart.
        const CgroupPlace* place = place_of("hugetlb");
        for (const std::string& name : {"hugetlb." + size, "hugetlb." + size + ".rsvd"}) {
            const bool v2 = place != nullptr && place->name.empty();
            const std::string file = name + (v2 ? ".max" : ".limit_in_bytes");
            if (name.ends_with(".rsvd") && !exists(place->folder + "/" + file)) continue;
            TRY_STATUS(set("hugetlb", file, file, limit));
        }
    }
    if (const JsonView network = in["network"]; network) {
        if (const uint32_t id = network["classID"].u32(); id != 0)
            TRY_STATUS(set("net_cls", "net_cls.classid", "", std::to_string(id)));
        for (const JsonView& item : network["priorities"].items())
            TRY_STATUS(set("net_prio", "net_prio.ifpriomap", "",
                           item["name"].text() + " " + std::to_string(item["priority"].u32())));
    }
    for (const auto& [device, limit] : in["rdma"].members()) {
        std::string line = device;
        if (limit["hcaHandles"])
            line += " hca_handle=" + std::to_string(limit["hcaHandles"].u32());
        if (limit["hcaObjects"])
            line += " hca_object=" + std::to_string(limit["hcaObjects"].u32());
        TRY_STATUS(set("rdma", "rdma.max", "rdma.max", line));
    }
    return limit_unified(in["unified"]);
}

Status Cgroups::limit(const Json& resources) const {
    std::string error;
    const JsonView in(&resources, "linux.resources", &error);
    if (!in) return {};
    TRY_STATUS(limit_memory(in["memory"]));
    TRY_STATUS(limit_cpu(in["cpu"]));
    TRY_STATUS(limit_block(in["blockIO"]));
    TRY_STATUS(limit_rest(in));
    if (!error.empty()) return fail(error);
    return {};
}

/// A new group may do nothing but what its rules and the harmless ones say.
Status Cgroups::limit_devices(const JsonView& rules) const {
    const std::vector<DeviceLine> lines = TRY(device_lines(rules));
    const CgroupPlace* place = place_of("devices");
    // Rules of devices are the host's root's to set.
    if (place == nullptr || !is_host_root()) return {};
    // systemd may have attached a program of its own to the group.
    if (place->name.empty())
        return attach_device_program(place->folder, device_rules(lines), DeviceAttach::beside);
    for (const DeviceLine& line : lines)
        TRY_STATUS(write_file(place->folder + (line.allow ? "/devices.allow" : "/devices.deny"),
                              line.text));
    return {};
}

}  // namespace noded::noci
