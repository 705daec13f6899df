// Cgroups, see cgroup.h. The formats are those of the kernel's admin-guide, cgroup-v1/ and
// cgroup-v2.rst.
#include "plugins/container/cgroup.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <set>
#include <sstream>

#include "agent/base/crc32c.h"
#include "agent/base/proc_text.h"

namespace noded::container {
namespace {

constexpr std::string_view kGroup = "noded";
constexpr int kDepthMax = 32;  ///< of groups that a container made
/// cpuset is left out: a new group there has no CPUs until somebody writes them. See cpuset.
constexpr std::string_view kControllers[] = {"cpu",     "cpuacct", "memory", "pids",
                                             "devices", "freezer", "blkio"};
/// Controllers that a v2 tree shall hand down.
constexpr std::string_view kDelegated[] = {"+cpu", "+memory", "+pids", "+io", "+cpuset"};

bool is_ours(std::string_view controller) {
    return std::ranges::count(kControllers, controller) > 0;
}

void add_hierarchy(const MountLine& mount, std::vector<Hierarchy>& out) {
    const std::string place = unescape_mount(mount.place);
    if (mount.type == "cgroup2") return out.push_back({"", place});
    if (mount.type != "cgroup") return;
    // A hierarchy is shown by its first controller that is ours, co-mounted ones with it:
    // "cpu,cpuacct".
    std::string name;
    for (const std::string_view option : split(mount.super_options, ','))
        if (is_ours(option)) (name += name.empty() ? "" : ",") += option;
    if (!name.empty()) out.push_back({name, place});
    if (name.empty() && has_word(mount.super_options, "cpuset"))
        out.push_back({"cpuset", place, "-cpuset"});
}

/// A container may have made groups of its own below, as an init system does.
Status remove_group(Sys& sys, const std::string& folder, int depth) {
    auto removed = sys.remove_folder(folder);
    if (removed || depth == 0) return removed;
    const std::vector<std::string> children = sys.folders_in(folder);
    for (const std::string& child : children)
        (void)remove_group(sys, folder + "/" + child, depth - 1);
    return children.empty() ? removed : sys.remove_folder(folder);
}

std::string node_name(std::string_view state_dir) {
    char digits[9];
    snprintf(digits, sizeof digits, "%08x", crc32c(as_bytes(state_dir)));
    return digits;
}

}  // namespace

bool Hierarchy::has(std::string_view controller) const {
    return has_word(name, controller);
}

std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo) {
    std::vector<Hierarchy> found;
    for (const std::string_view line : split(mountinfo, '\n'))
        if (const auto mount = parse_mount_line(line)) add_hierarchy(*mount, found);
    // The same hierarchy mounted twice would be joined twice.
    std::vector<Hierarchy> once;
    for (const Hierarchy& hierarchy : found)
        if (std::ranges::find(once, hierarchy.name, &Hierarchy::name) == once.end())
            once.push_back(hierarchy);
    return once;
}

Cgroups::Cgroups(std::shared_ptr<Sys> sys, std::string_view state_dir,
                 std::vector<std::string>& warnings)
    : sys_(std::move(sys)), node_(node_name(state_dir)) {
    const auto mounts = sys_->read_file("/proc/self/mountinfo");
    if (!mounts) warnings.push_back("no cgroups are used: " + mounts.error().message);
    if (!mounts) return;
    for (const Hierarchy& hierarchy : parse_hierarchies(*mounts)) {
        if (!hierarchy.on_demand.empty())
            hierarchies_.push_back(hierarchy);
        else if (const auto prepared = prepare(hierarchy); prepared)
            hierarchies_.push_back(hierarchy);
        else if (hierarchy.has("devices"))
            devices_ = prepared;
        else
            warnings.push_back("the cgroup hierarchy " + hierarchy.mount +
                               " is not used: " + prepared.error().message);
        if (hierarchy.on_demand.empty() && hierarchy.has("devices"))
            hierarchies_.push_back({hierarchy.name, hierarchy.mount, "-devices"});
    }
    list_devices(warnings);
}

std::string Cgroups::parent(const Hierarchy& hierarchy) const {
    return hierarchy.mount + "/" + std::string(kGroup) + "/" + node_ +
           hierarchy.on_demand;
}

std::string Cgroups::folder(const Hierarchy& hierarchy, std::string_view id) const {
    if (id.starts_with('/')) return hierarchy.mount + std::string(id);
    return parent(hierarchy) + "/" + std::string(id);
}

/// The devices list can be set only while a group has no children, and its children inherit it;
/// that of the group of all nodes is left alone.
Status Cgroups::prepare(const Hierarchy& hierarchy) const {
    const std::string group = hierarchy.mount + "/" + std::string(kGroup);
    TRY(sys_->make_folder(group));
    TRY(sys_->make_folder(parent(hierarchy)));
    if (hierarchy.name.empty()) {
        // In a hybrid tree the controllers are v1's and these writes are refused, each on its own.
        for (const std::string& folder : {hierarchy.mount, group, parent(hierarchy)})
            for (std::string_view controller : kDelegated)
                (void)sys_->write_file(folder + "/cgroup.subtree_control", controller);
    }
    const bool childless = sys_->folders_in(parent(hierarchy)).empty();
    if (!childless || !hierarchy.has("devices")) return {};
    return list_harmless_devices(parent(hierarchy));
}

std::vector<Hierarchy> Cgroups::of(const Wanted& wanted) const {
    std::vector<Hierarchy> found;
    for (const Hierarchy& hierarchy : hierarchies_) {
        const bool special = !hierarchy.on_demand.empty();
        if (hierarchy.has("devices") ? special == wanted.devices
                                                 : !special || wanted.cpuset)
            found.push_back(hierarchy);
    }
    return found;
}

/// A rename is several times cheaper than a new group; v2 knows none.
Result<bool> Cgroups::create(std::string_view id, const Wanted& wanted,
                             std::string_view spare) const {
    TRY_STATUS(devices_);
    bool all_spare = !spare.empty();
    for (const Hierarchy& hierarchy : of(wanted)) {
        const std::string folder = this->folder(hierarchy, id);
        const bool plain = !id.starts_with('/') && hierarchy.on_demand.empty();
        if (id.starts_with('/')) TRY_STATUS(prepare_parents(hierarchy, id));
        else if (!plain) TRY_STATUS(prepare_on_demand(hierarchy));
        const bool v1 = !hierarchy.name.empty();
        if (v1 && plain && !spare.empty() && sys_->move(this->folder(hierarchy, spare), folder))
            continue;
        all_spare = all_spare && !v1;
        TRY(sys_->make_folder(folder));
    }
    return all_spare;
}

/// The parent restricts nothing: a group can never have more than its parent.
Status Cgroups::prepare_on_demand(const Hierarchy& hierarchy) const {
    const std::string group = hierarchy.mount + "/" + std::string(kGroup);
    for (const std::string& folder : {group, parent(hierarchy)}) {
        TRY(sys_->make_folder(folder));
        TRY_STATUS(inherit_cpuset(hierarchy, folder, hierarchy.mount));
    }
    return {};
}

/// A new group of v1 has neither CPUs nor memory.
Status Cgroups::inherit_cpuset(const Hierarchy& hierarchy, const std::string& folder,
                               const std::string& from) const {
    if (!hierarchy.has("cpuset")) return {};
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
        const std::string now = TRY(sys_->read_file(folder + file));
        if (now.find_first_not_of('\n') != std::string::npos) continue;
        const std::string all = TRY(sys_->read_file(from + file));
        TRY_STATUS(sys_->write_file(folder + file, all));
    }
    return {};
}

/// The groups above one with a parent of its own. What a v2 group does not hand down, the limits
/// that need it will say.
Status Cgroups::prepare_parents(const Hierarchy& hierarchy, std::string_view name) const {
    std::string above = hierarchy.mount;
    for (size_t at = 0;;) {
        if (hierarchy.name.empty())
            for (std::string_view controller : kDelegated)
                (void)sys_->write_file(above + "/cgroup.subtree_control", controller);
        at = name.find('/', at + 1);
        if (at == std::string_view::npos) return {};
        const std::string folder = hierarchy.mount + std::string(name.substr(0, at));
        TRY(sys_->make_folder(folder));
        TRY_STATUS(inherit_cpuset(hierarchy, folder, above));
        above = folder;
    }
}

SpareGroups Cgroups::make_spare(std::string_view name) const {
    SpareGroups groups;
    bool v2 = false;
    for (const Hierarchy& hierarchy : hierarchies_) {
        if (hierarchy.name.empty()) v2 = true;
        else if (hierarchy.on_demand.empty() && sys_->make_folder(folder(hierarchy, name)))
            groups.push_back({folder(hierarchy, name), hierarchy.name});
    }
    if (v2 && !groups.empty()) groups.push_back({"", "unified"});
    return groups;
}

std::vector<std::string> Cgroups::spares() const {
    std::set<std::string> found;
    for (const Hierarchy& hierarchy : hierarchies_)
        for (std::string& name : sys_->folders_in(parent(hierarchy)))
            if (name.starts_with(spare_group_prefix)) found.insert(std::move(name));
    return {found.begin(), found.end()};
}

Status Cgroups::remove(std::string_view id) const {
    Status first;
    for (const Hierarchy& hierarchy : hierarchies_) {
        auto removed = remove_group(*sys_, folder(hierarchy, id), kDepthMax);
        if (!removed && first) first = std::move(removed);
    }
    return first;
}

std::vector<uint32_t> Cgroups::processes(std::string_view id) const {
    std::set<uint32_t> pids;
    for (const Hierarchy& hierarchy : hierarchies_) {
        const auto text = sys_->read_file(folder(hierarchy, id) + "/cgroup.procs");
        if (!text) continue;
        std::istringstream lines(*text);
        for (uint32_t pid = 0; lines >> pid;)
            if (pid > 0) pids.insert(pid);
        if (!pids.empty()) break;  // a container is in all of them or in none
    }
    return {pids.begin(), pids.end()};
}

void Cgroups::let_die(std::string_view id) const {
    for (const Hierarchy& hierarchy : hierarchies_) {
        if (!hierarchy.has("freezer")) continue;
        const std::string file = folder(hierarchy, id) + "/freezer.state";
        const auto state = sys_->read_file(file);
        if (state && !state->starts_with("THAWED")) (void)sys_->write_file(file, "THAWED");
    }
}

bool Cgroups::kill(std::string_view id) const {
    const std::vector<uint32_t> pids = processes(id);
    let_die(id);
    for (const Hierarchy& hierarchy : hierarchies_)
        if (hierarchy.name.empty())
            (void)sys_->write_file(folder(hierarchy, id) + "/cgroup.kill", "1");
    for (uint32_t pid : pids) (void)sys_->kill_process(pid, SIGKILL);
    return !pids.empty();
}

/// v2 where it is there, beside v1 too: what is frozen in v2 can still be killed.
Status Cgroups::freeze(std::string_view id, bool frozen) const {
    for (const Hierarchy& hierarchy : hierarchies_) {
        if (!hierarchy.name.empty()) continue;
        const auto written =
            sys_->write_file(folder(hierarchy, id) + "/cgroup.freeze", frozen ? "1" : "0");
        if (written || written.error().code != ENOENT) return written;
    }
    for (const Hierarchy& hierarchy : hierarchies_)
        if (hierarchy.has("freezer"))
            return sys_->write_file(folder(hierarchy, id) + "/freezer.state",
                                    frozen ? "FROZEN" : "THAWED");
    return fail("this host has no freezer in a cgroup hierarchy that noded may use");
}

bool Cgroups::frozen(std::string_view id) const {
    for (const Hierarchy& hierarchy : hierarchies_) {
        if (!hierarchy.name.empty() && !hierarchy.has("freezer")) continue;
        const auto v2 = sys_->read_file(folder(hierarchy, id) + "/cgroup.events");
        if (v2 && v2->find("frozen 1") != std::string::npos) return true;
        const auto v1 = sys_->read_file(folder(hierarchy, id) + "/freezer.state");
        if (v1 && v1->starts_with("FRO")) return true;
    }
    return false;
}

bool Cgroups::oom_killed(std::string_view id) const {
    for (const Hierarchy& hierarchy : hierarchies_) {
        for (const char* file : {"/memory.oom_control", "/memory.events"}) {
            const auto text = sys_->read_file(folder(hierarchy, id) + file);
            if (!text) continue;
            const size_t at = text->find("oom_kill ");
            if (at != std::string::npos && strtoull(text->c_str() + at + 9, nullptr, 10) > 0)
                return true;
        }
    }
    return false;
}

std::vector<std::string> Cgroups::ids() const {
    std::set<std::string> found;
    for (const Hierarchy& hierarchy : hierarchies_)
        for (std::string& id : sys_->folders_in(parent(hierarchy))) found.insert(std::move(id));
    std::erase_if(found, [](const std::string& id) { return id.starts_with(spare_group_prefix); });
    return {found.begin(), found.end()};
}

void Cgroups::remove_parents() const {
    for (const std::string& name : spares()) (void)remove(name);
    for (const Hierarchy& hierarchy : hierarchies_) (void)sys_->remove_folder(parent(hierarchy));
}

}  // namespace noded::container
