// Places and processes of cgroups, see cgroups.h. Formats: proc(5), cgroups(7) and the kernel's
// admin-guide.
#include "plugins/container/noci/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "agent/base/proc_text.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/limits.h"

namespace noded::noci {
namespace {

/// By the word of /proc/PID/cgroup for a hierarchy: "memory", "cpu,cpuacct", "name=systemd", "".
std::map<std::string, std::string, std::less<>> paths_of(const std::string& pid) {
    std::map<std::string, std::string, std::less<>> paths;
    const auto text = read_whole("/proc/" + pid + "/cgroup", 64 << 10);
    if (!text) return paths;
    for (const std::string_view line : split(*text, '\n'))
        if (const auto found = parse_cgroup_line(line))
            paths.emplace(found->controllers, found->path);
    return paths;
}

/// A mount of a hierarchy; `key` is its word in /proc/PID/cgroup.
bool read_mount(const MountLine& mount, CgroupPlace* place, std::string* key) {
    if (mount.type != "cgroup" && mount.type != "cgroup2") return false;
    place->mount = unescape_mount(mount.place);
    if (mount.type == "cgroup2") return true;
    constexpr std::string_view not_controllers[] = {"rw", "ro", "noprefix", "clone_children",
                                                    "xattr", "nodelegate", "memory_recursiveprot"};
    for (const std::string_view option : split(mount.super_options, ',')) {
        if (std::ranges::count(not_controllers, option) > 0 ||
            option.starts_with("release_agent="))
            continue;
        if (option.starts_with("name=")) {
            place->name = option.substr(5);
            *key = option;
        } else {
            place->controllers.emplace_back(option);
            place->name += (place->name.empty() ? "" : ",") + std::string(option);
            *key = place->name;
        }
    }
    return !place->name.empty();
}

bool is_folder(const std::string& path) {
    struct stat info;
    return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::vector<std::string> folders_in(const std::string& path) {
    std::vector<std::string> names;
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) return names;
    while (const dirent* entry = readdir(folder))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    closedir(folder);
    return names;
}

/// A new group of cpuset has no CPUs until somebody writes them.
Status inherit_cpuset(const std::string& folder) {
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
        const std::string now = TRY(read_whole(folder + file, 4096));
        if (now.find_first_not_of('\n') != std::string::npos) continue;
        const std::string parent = folder.substr(0, folder.rfind('/'));
        TRY_STATUS(write_file(folder + file, TRY(read_whole(parent + file, 4096))));
    }
    return {};
}

/// One by one, as one that is refused is missed only by who wants a limit of it.
void delegate(const std::string& folder) {
    const auto has = read_whole(folder + "/cgroup.controllers", 4096);
    if (!has) return;
    const std::string_view names = std::string_view(*has).substr(0, has->find('\n'));
    for (const std::string_view controller : split(names, ' '))
        if (!controller.empty())
            (void)write_file(folder + "/cgroup.subtree_control", "+" + std::string(controller));
}

Status create_place(const CgroupPlace& place) {
    const bool cpuset = std::ranges::count(place.controllers, "cpuset") > 0;
    size_t depth = 0;
    for (size_t at = place.mount.size(); at != std::string::npos;) {
        if (place.name.empty()) delegate(place.folder.substr(0, at));
        at = place.folder.find('/', at + 1);
        const std::string folder = place.folder.substr(0, at);
        if (++depth > limits::cgroup_depth_max)
            return fail("the cgroup path " + place.folder + " is deeper than 32 groups");
        if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
            return fail_errno(errno, "make the cgroup " + folder);
        if (cpuset) TRY_STATUS(inherit_cpuset(folder));
    }
    return {};
}

void collect(const std::string& folder, std::set<int>& pids, size_t depth = 0) {
    const auto text = read_whole(folder + "/cgroup.procs", 16 << 20);
    if (text) {
        std::istringstream lines(*text);
        for (int pid = 0; lines >> pid && pids.size() < limits::processes_max;)
            if (pid > 0) pids.insert(pid);
    }
    if (depth > limits::cgroup_depth_max) return;
    for (const std::string& name : folders_in(folder))
        collect(folder + "/" + name, pids, depth + 1);
}

/// 0 or an errno. Children first; a container may have made groups of its own.
int remove_folder(const std::string& folder, size_t depth = 0) {
    if (rmdir(folder.c_str()) == 0 || errno == ENOENT) return 0;
    int error = errno;
    if (depth <= limits::cgroup_depth_max)
        for (const std::string& name : folders_in(folder))
            if (const int below = remove_folder(folder + "/" + name, depth + 1)) error = below;
    return rmdir(folder.c_str()) == 0 || errno == ENOENT ? 0 : error;
}

}  // namespace

Result<Cgroups> Cgroups::of(const std::string& path, const std::string& id) {
    const std::string text = TRY(read_whole("/proc/self/mountinfo", 16 << 20));
    const auto own = paths_of("self");
    Cgroups found;
    for (const std::string_view line : split(text, '\n')) {
        CgroupPlace place;
        std::string key;
        const auto mount = parse_mount_line(line);
        if (!mount || !read_mount(*mount, &place, &key)) continue;
        const auto same = [&](const CgroupPlace& other) { return other.name == place.name; };
        if (std::ranges::any_of(found.places_, same)) continue;
        const auto at = own.find(key);
        place.folder = at == own.end() ? "/" : at->second;
        // A container sees its own group as the top of the hierarchy.
        const std::string root = unescape_mount(mount->root);
        if (root != "/" && place.folder.starts_with(root)) place.folder.erase(0, root.size());
        found.places_.push_back(std::move(place));
    }
    const bool pure_v2 = found.pure_v2();
    for (CgroupPlace& place : found.places_) {
        // Where processes are no controller can be handed to groups below, so on v2 the group comes
        // beside noci's own.
        const std::string beside = pure_v2 && place.name.empty() ? "/../" : "/";
        const bool is_absolute = path.starts_with('/');
        const std::string below =
            is_absolute ? path : place.folder + beside + (path.empty() ? id : path);
        place.folder = place.mount + clean_path(below);
        if (place.folder.size() <= place.mount.size() + 1)
            return fail("the cgroup path " + path + " is the top of the hierarchy");
    }
    return found;
}

Result<std::string> systemd_cgroup_path(const std::string& path, const std::string& id) {
    std::vector<std::string> parts = {"system.slice", "noci", id};
    if (!path.empty()) {
        if (std::ranges::count(path, ':') != 2)
            return fail("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
                        "cgroups, got \"" + path + "\" instead");
        const size_t first = path.find(':'), second = path.rfind(':');
        parts = {path.substr(0, first), path.substr(first + 1, second - first - 1),
                 path.substr(second + 1)};
        if (parts[0].empty()) parts[0] = "system.slice";
    }
    const std::string& slice = parts[0];
    const std::string end = ".slice";
    const std::string name = slice.substr(0, slice.size() - std::min(slice.size(), end.size()));
    const bool is_top = slice == "-.slice";
    if (!slice.ends_with(end) || slice.find('/') != std::string::npos || name.empty() ||
        (!is_top && (name.front() == '-' || name.back() == '-' ||
                     name.find("--") != std::string::npos)))
        return fail("invalid slice name: " + slice);
    std::string folder;
    for (size_t at = 0; !is_top && at != std::string::npos;) {
        at = name.find('-', at + 1);
        folder += "/" + name.substr(0, at) + end;
    }
    if (parts[1].find('/') != std::string::npos) return fail("invalid unit name: " + parts[1]);
    if (parts[2].empty() || parts[2].find('/') != std::string::npos)
        return fail("invalid unit name: " + parts[2]);
    if (parts[2].ends_with(end)) return folder + "/" + parts[2];
    return folder + "/" + (parts[1].empty() ? "" : parts[1] + "-") + parts[2] + ".scope";
}

Cgroups Cgroups::read(const JsonView& in) {
    Cgroups found;
    for (const JsonView& item : in.items())
        found.places_.push_back({item["name"].text(), item["controllers"].texts(),
                                 item["mount"].text(), item["folder"].text()});
    return found;
}

Json Cgroups::write() const {
    Json list = Json::array();
    for (const CgroupPlace& place : places_)
        list.push_back({{"name", place.name},
                        {"controllers", place.controllers},
                        {"mount", place.mount},
                        {"folder", place.folder}});
    return list;
}

const CgroupPlace* Cgroups::unified() const {
    const auto found = std::ranges::find(places_, "", &CgroupPlace::name);
    return found == places_.end() ? nullptr : &*found;
}

bool Cgroups::pure_v2() const {
    return std::ranges::none_of(places_,
                                [](const CgroupPlace& at) { return !at.controllers.empty(); });
}

const CgroupPlace* Cgroups::place_of(const std::string& controller) const {
    for (const CgroupPlace& place : places_)
        if (std::ranges::count(place.controllers, controller) > 0) return &place;
    return unified();
}

Status Cgroups::create() const {
    for (const CgroupPlace& place : places_) TRY_STATUS(create_place(place));
    return {};
}

Status Cgroups::give_to(uint32_t uid) const {
    const CgroupPlace* v2 = unified();
    if (v2 == nullptr) return {};
    // The kernel lists what may be given; older ones have no list.
    const std::string files = read_whole("/sys/kernel/cgroup/delegate", 4096)
                                  .value_or("cgroup.procs\ncgroup.subtree_control\n"
                                            "cgroup.threads\n");
    std::vector<std::string> paths = {v2->folder};
    for (const std::string_view file : split(files, '\n'))
        if (!file.empty()) paths.push_back(v2->folder + "/" + std::string(file));
    for (const std::string& path : paths)
        if (chown(path.c_str(), uid, gid_t(-1)) != 0 && errno != ENOENT)
            return fail_errno(errno, "give " + path + " to the user " + std::to_string(uid));
    return {};
}

void Cgroups::forget_forbidden(bool may_lack) {
    std::erase_if(places_, [&](const CgroupPlace& place) {
        const Status made = may_lack ? create_place(place) : Status();
        if (made) return false;
        const int error = made.error().code;
        return error == EACCES || error == EPERM || error == EROFS;
    });
}

bool Cgroups::exist() const {
    return std::ranges::any_of(places_,
                               [](const CgroupPlace& place) { return is_folder(place.folder); });
}

Status Cgroups::remove() const {
    Status first;
    int tries = 0;  // of all of them: who stays in one stays in each
    for (const CgroupPlace& place : places_) {
        int error = remove_folder(place.folder);
        for (; tries < 200 && error == EBUSY; ++tries) {
            usleep(tries < 20 ? 500 : 10'000);
            error = remove_folder(place.folder);
        }
        if (error != 0 && first) first = fail_errno(error, "remove the cgroup " + place.folder);
    }
    return first;
}

std::vector<int> Cgroups::processes() const {
    std::set<int> pids;
    for (const CgroupPlace& place : places_) {
        collect(place.folder, pids);
        if (!pids.empty()) break;  // a process is in all of them or in none
    }
    return {pids.begin(), pids.end()};
}

void Cgroups::kill(int signal) const {
    const CgroupPlace* v2 = unified();
    if (signal == SIGKILL && v2 != nullptr) (void)write_file(v2->folder + "/cgroup.kill", "1");
    for (const int pid : processes()) ::kill(pid, signal);
}

Status Cgroups::freeze(bool frozen) const {
    const CgroupPlace* place = place_of("freezer");
    if (place == nullptr) return fail("this host has no freezer");
    if (place->name.empty()) {
        TRY_STATUS(write_file(place->folder + "/cgroup.freeze", frozen ? "1" : "0"));
    } else {
        TRY_STATUS(write_file(place->folder + "/freezer.state", frozen ? "FROZEN" : "THAWED"));
    }
    for (int i = 0; i < 1000 && this->frozen() != frozen; ++i) {
        // A process that is born while the kernel goes through the group may be missed.
        if (!place->name.empty() && i % 50 == 49)
            (void)write_file(place->folder + "/freezer.state", frozen ? "FROZEN" : "THAWED");
        usleep(1000);
    }
    if (this->frozen() != frozen)
        return fail(frozen ? "unable to freeze" : "unable to thaw the container");
    return {};
}

bool Cgroups::frozen() const {
    const CgroupPlace* place = place_of("freezer");
    if (place == nullptr) return false;
    if (!place->name.empty()) {
        const auto state = read_whole(place->folder + "/freezer.state", 64);
        return state && state->starts_with("FROZEN");
    }
    const auto events = read_whole(place->folder + "/cgroup.events", 4096);
    return events && events->find("frozen 1") != std::string::npos;
}

void Cgroups::thaw(int pid) const {
    const CgroupPlace* place = place_of("freezer");
    if (place == nullptr || place->name.empty()) return;
    const auto paths = paths_of(std::to_string(pid));
    const auto found = paths.find(place->name);
    if (found == paths.end() || found->second == "/") return;
    const std::string file = place->mount + found->second + "/freezer.state";
    if (read_whole(file, 64).value_or("").starts_with("FROZEN")) (void)write_file(file, "THAWED");
}

bool Cgroups::oom_killed() const {
    const std::string text = read_file("memory", "memory.oom_control", "memory.events");
    const size_t at = text.find("oom_kill ");
    return at != std::string::npos && strtoull(text.c_str() + at + 9, nullptr, 10) > 0;
}

std::string Cgroups::read_file(const std::string& controller, const char* v1_file,
                               const char* v2_file) const {
    const CgroupPlace* place = place_of(controller);
    if (place == nullptr) return {};
    const char* file = place->name.empty() ? v2_file : v1_file;
    return read_whole(place->folder + "/" + file, 1 << 20).value_or("");
}

namespace {

uint64_t number_in(const std::string& text) {
    return text.starts_with("max") ? UINT64_MAX : strtoull(text.c_str(), nullptr, 10);
}

/// "key value" lines.
Json fields(const std::string& text) {
    Json all = Json::object();
    std::istringstream lines(text);
    std::string key;
    for (uint64_t value = 0; lines >> key >> value;) all[key] = value;
    return all;
}

uint64_t field(const Json& all, const char* key, uint64_t times = 1) {
    const auto found = all.find(key);
    return found == all.end() ? 0 : found->get<uint64_t>() * times;
}

Json numbers(const std::string& text) {
    Json list = Json::array();
    std::istringstream in(text);
    for (uint64_t value = 0; in >> value;) list.push_back(value);
    return list;
}

/// "8:0 Read 4096" lines of v1, "8:0 rbytes=4096 wbytes=0 …" of v2.
Json block_entries(const std::string& text,
                   std::initializer_list<std::pair<const char*, const char*>> keys) {
    Json list = Json::array();
    for (const std::string_view view : split(text, '\n')) {
        const std::string line(view);
        unsigned major = 0, minor = 0;
        char op[32] = "";
        unsigned long long value = 0;
        const int count = sscanf(line.c_str(), "%u:%u %31s %llu", &major, &minor, op, &value);
        if (count == 4 && strchr(op, '=') == nullptr)
            list.push_back({{"major", major}, {"minor", minor}, {"op", op}, {"value", value}});
        if (count < 3 || strchr(op, '=') == nullptr) continue;
        for (const auto& [key, name] : keys) {
            const size_t at = line.find(key);
            if (at == std::string::npos) continue;
            const uint64_t bytes = strtoull(line.c_str() + at + strlen(key), nullptr, 10);
            list.push_back({{"major", major}, {"minor", minor}, {"op", name}, {"value", bytes}});
        }
    }
    return list;
}

/// "some avg10=0.12 avg60=0.03 avg300=0.00 total=4711", and "full".
Json pressure(const std::string& text) {
    Json all = Json::object();
    for (const std::string_view view : split(text, '\n')) {
        const std::string line(view);
        char kind[8] = "";
        double average[3] = {};
        unsigned long long total = 0;
        if (sscanf(line.c_str(), "%7s avg10=%lf avg60=%lf avg300=%lf total=%llu", kind, &average[0],
                   &average[1], &average[2], &total) != 5)
            continue;
        all[kind] = {{"avg10", average[0]}, {"avg60", average[1]}, {"avg300", average[2]},
                     {"total", total}};
    }
    return all;
}

}  // namespace

void Cgroups::add_pressure(Json& data) const {
    if (!pure_v2()) return;
    for (const auto& [name, file] :
         {std::pair("cpu", "cpu.pressure"), std::pair("memory", "memory.pressure"),
          std::pair("blkio", "io.pressure")})
        if (const Json found = pressure(read_file("cpu", "", file)); !found.empty())
            data[name]["psi"] = found;
}

/// By size: "2MB".
Json Cgroups::huge_pages() const {
    Json all = Json::object();
    const CgroupPlace* place = place_of("hugetlb");
    const bool v2 = place != nullptr && place->name.empty();
    if (place == nullptr || (v2 && !pure_v2())) return all;
    const std::string begin = "hugetlb.", end = v2 ? ".current" : ".usage_in_bytes";
    DIR* folder = opendir(place->folder.c_str());
    if (folder == nullptr) return all;
    while (const dirent* entry = readdir(folder)) {
        const std::string name = entry->d_name;
        if (!name.starts_with(begin) || !name.ends_with(end)) continue;
        const std::string page = name.substr(0, name.size() - end.size());
        if (page.ends_with(".rsvd")) continue;
        const auto number = [&](const char* file) {
            return number_in(read_whole(place->folder + "/" + page + file, 4096).value_or(""));
        };
        Json one = {{"usage", number(end.c_str())}};
        if (!v2) one["max"] = number(".max_usage_in_bytes");
        one["failcnt"] = v2 ? field(fields(read_file("hugetlb", "", (page + ".events").c_str())),
                                    "max")
                            : number(".failcnt");
        all[page.substr(begin.size())] = one;
    }
    closedir(folder);
    return all;
}

Json Cgroups::stats() const {
    const Json cpu = fields(read_file("cpu", "cpu.stat", "cpu.stat"));
    const Json split_times = fields(read_file("cpuacct", "cpuacct.stat", "cpu.stat"));
    const CgroupPlace* account = place_of("cpuacct");
    const bool v1 = account != nullptr && !account->name.empty();
    constexpr uint64_t tick_ns = 10'000'000;
    Json usage = {{"total", v1 ? number_in(read_file("cpuacct", "cpuacct.usage", ""))
                               : field(cpu, "usage_usec", 1000)}};
    if (v1) usage["percpu"] = numbers(read_file("cpuacct", "cpuacct.usage_percpu", ""));
    usage["kernel"] = v1 ? field(split_times, "system", tick_ns) : field(cpu, "system_usec", 1000);
    usage["user"] = v1 ? field(split_times, "user", tick_ns) : field(cpu, "user_usec", 1000);
    const auto memory = [&](const char* usage_v1, const char* usage_v2, const char* limit_v1,
                            const char* limit_v2, const char* max_v1, const char* failed_v1) {
        return Json{{"limit", number_in(read_file("memory", limit_v1, limit_v2))},
                    {"usage", number_in(read_file("memory", usage_v1, usage_v2))},
                    {"max", number_in(read_file("memory", max_v1, "memory.peak"))},
                    {"failcnt", number_in(read_file("memory", failed_v1, "-"))}};
    };
    const Json raw = fields(read_file("memory", "memory.stat", "memory.stat"));
    Json data;
    data["cpu"] = {{"usage", usage},
                   {"throttling",
                    {{"periods", field(cpu, "nr_periods")},
                     {"throttledPeriods", field(cpu, "nr_throttled")},
                     {"throttledTime", v1 ? field(cpu, "throttled_time")
                                          : field(cpu, "throttled_usec", 1000)}}}};
    data["cpuset"] = Json::object();
    data["memory"] = {
        {"cache", v1 ? field(raw, "cache") : field(raw, "file")},
        {"usage", memory("memory.usage_in_bytes", "memory.current", "memory.limit_in_bytes",
                         "memory.max", "memory.max_usage_in_bytes", "memory.failcnt")},
        {"swap", memory("memory.memsw.usage_in_bytes", "memory.swap.current",
                        "memory.memsw.limit_in_bytes", "memory.swap.max",
                        "memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt")},
        {"kernel", memory("memory.kmem.usage_in_bytes", "-", "memory.kmem.limit_in_bytes", "-",
                          "memory.kmem.max_usage_in_bytes", "memory.kmem.failcnt")},
        {"kernelTCP",
         memory("memory.kmem.tcp.usage_in_bytes", "-", "memory.kmem.tcp.limit_in_bytes", "-",
                "memory.kmem.tcp.max_usage_in_bytes", "memory.kmem.tcp.failcnt")},
        {"raw", raw}};
    const std::string limit = read_file("pids", "pids.max", "pids.max");
    data["pids"] = {{"current", number_in(read_file("pids", "pids.current", "pids.current"))}};
    if (!limit.starts_with("max")) data["pids"]["limit"] = number_in(limit);
    data["blkio"] = {
        {"ioServiceBytesRecursive",
         block_entries(read_file("blkio", "blkio.throttle.io_service_bytes_recursive", "io.stat"),
                       {{"rbytes=", "Read"}, {"wbytes=", "Write"}})},
        {"ioServicedRecursive",
         block_entries(read_file("blkio", "blkio.throttle.io_serviced_recursive", "io.stat"),
                       {{"rios=", "Read"}, {"wios=", "Write"}})}};
    data["hugetlb"] = huge_pages();
    data["intel_rdt"] = Json::object();
    data["network_interfaces"] = nullptr;
    add_pressure(data);
    return data;
}

}  // namespace noded::noci
