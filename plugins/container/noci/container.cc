// See container.h.
#include "plugins/container/noci/container.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "agent/base/proc_text.h"
#include "plugins/container/noci/limits.h"

namespace noded::noci {
namespace {

constexpr const char* kState = "/state.json";
constexpr const char* kConfig = "/config.json";
constexpr const char* kSocket = "start.sock";

/// Complete or absent, never torn.
Status write_new(const std::string& path, const std::string& text) {
    const std::string draft = path + ".tmp";
    const Fd file(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno(errno, "make " + draft);
    for (size_t at = 0; at < text.size();) {
        const ssize_t count = write(file.get(), text.data() + at, text.size() - at);
        if (count < 0 && errno != EINTR) return fail_errno(errno, "write " + draft);
        if (count > 0) at += size_t(count);
    }
    if (rename(draft.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename " + draft);
    return {};
}

/// Names of sockets are short, paths of folders are not: through a descriptor of the folder.
sockaddr_un socket_address(const Fd& folder) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder.get(),
             kSocket);
    return address;
}

bool is_same_folder(const std::string& path, int fd) {
    struct stat named, held;
    return stat(path.c_str(), &named) == 0 && fstat(fd, &held) == 0 &&
           named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

std::string name_of(uid_t uid) {
    // Without the C library's own look-up, which a static program has no part of.
    const std::string passwd = read_whole("/etc/passwd", 1 << 20).value_or("");
    const std::string wanted = ":" + std::to_string(uid) + ":";
    for (size_t at = 0; at < passwd.size();) {
        const size_t end = std::min(passwd.find('\n', at), passwd.size());
        const std::string line = passwd.substr(at, end - at);
        at = end + 1;
        const size_t name = line.find(':');
        const size_t password = name == std::string::npos ? name : line.find(':', name + 1);
        if (password != std::string::npos && line.compare(password, wanted.size(), wanted) == 0)
            return line.substr(0, name);
    }
    return "#" + std::to_string(uid);
}

}  // namespace

const char* status_name(ContainerStatus status) {
    switch (status) {
        case ContainerStatus::creating: return "creating";
        case ContainerStatus::created: return "created";
        case ContainerStatus::running: return "running";
        case ContainerStatus::paused: return "paused";
        case ContainerStatus::stopped: return "stopped";
    }
    return "?";
}

Status check_id(const std::string& id) {
    if (id.empty()) return fail("container id cannot be empty");
    constexpr const char* allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    const std::string wrong = "invalid container ID format";
    if (id.size() > limits::id_bytes_max) return fail(wrong + ": it is longer than 1024 bytes");
    if (id == "." || id == "..") return fail(wrong);
    if (id.find_first_not_of(allowed) != std::string::npos)
        return fail(wrong +
                    ": invalid character, a container ID has letters, digits and _+-. only");
    return {};
}

uint64_t process_start_time(int pid) {
    if (pid <= 0) return 0;
    const auto text = read_whole("/proc/" + std::to_string(pid) + "/stat", 4096);
    if (!text) return 0;
    // The name may hold anything, parentheses, too.
    const size_t state = text->rfind(')') + 2;
    if (state < text->size() && ((*text)[state] == 'Z' || (*text)[state] == 'X')) return 0;
    return start_time_of(*text);
}

std::string now_text() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    char text[64];
    const size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + size, sizeof text - size, ".%09ldZ", now.tv_nsec);
    return text;
}

int count_mounts_on(const std::string& path) {
    const std::string text = read_whole("/proc/self/mountinfo", 16 << 20).value_or("");
    int count = 0;
    for (const std::string_view line : split(text, '\n'))
        if (const auto mount = parse_mount_line(line);
            mount && unescape_mount(mount->place) == path)
            ++count;
    return count;
}

Json namespace_paths(int pid) {
    constexpr const char* kinds[][2] = {{"NEWCGROUP", "cgroup"}, {"NEWIPC", "ipc"},
                                        {"NEWNET", "net"},       {"NEWNS", "mnt"},
                                        {"NEWPID", "pid"},       {"NEWUSER", "user"},
                                        {"NEWUTS", "uts"}};
    Json paths;
    for (const auto& [kind, file] : kinds)
        paths[kind] = "/proc/" + std::to_string(pid) + "/ns/" + file;
    return paths;
}

Result<Container> Container::create(const std::string& root, const std::string& id) {
    TRY_STATUS(check_id(id));
    for (size_t at = root.find('/', 1);; at = root.find('/', at + 1)) {
        const std::string part = root.substr(0, at);
        if (mkdir(part.c_str(), at == std::string::npos ? 0700 : 0711) != 0 && errno != EEXIST)
            return fail_errno(errno, "make " + part);
        if (at == std::string::npos) break;
    }
    Container container;
    container.id = id;
    container.folder_ = root + "/" + id;
    if (mkdir(container.folder_.c_str(), 0711) != 0)
        return errno == EEXIST ? fail("container with given ID already exists")
                               : fail_errno(errno, "make " + container.folder_);
    TRY_STATUS(container.lock(limits::lock_wait_ms));
    container.owner = name_of(geteuid());
    container.created = now_text();
    return container;
}

Result<Container> Container::load(const std::string& root, const std::string& id) {
    TRY_STATUS(check_id(id));
    auto found = read(root + "/" + id, id);
    if (found && found->pid == 0) return fail("container does not exist");
    return found;
}

Result<Container> Container::read(const std::string& folder, const std::string& id) {
    const auto text = read_whole(folder + kState, limits::state_bytes_max);
    if (!text) return text.error().code == ENOENT ? fail("container does not exist")
                                                  : context(text.error(), "read the state");
    const Json json = TRY(parse_json(*text, folder + kState));
    std::string error;
    const JsonView in(&json, "state.json:", &error);
    Container out;
    out.folder_ = folder;
    out.id = id;
    out.pid = int(in["init_process_pid"].integer());
    out.start_time = in["init_process_start"].u64();
    out.created = in["created"].text();
    out.version = in["version"].text();
    out.bundle = in["bundle"].text();
    out.rootfs = in["rootfs"].text();
    out.own_pids = in["own_pids"].flag();
    out.systemd_unit = in["systemd_unit"].text();
    const JsonView rdt = in["intel_rdt"];
    out.rdt = {rdt["top"].text(), rdt["folder"].text(), rdt["monitor"].text(),
               rdt["is_own"].flag()};
    if (in["root_mounts"]) out.root_mounts = int(in["root_mounts"].integer());
    for (const auto& [key, value] : in["annotations"].members())
        out.annotations.emplace_back(key, value.text());
    out.cgroups = Cgroups::read(in["cgroups"]);
    if (!error.empty()) return fail(error);
    struct stat info;
    out.owner = name_of(stat(folder.c_str(), &info) == 0 ? info.st_uid : 0);
    return out;
}

Result<Container> Container::salvage(const std::string& root, const std::string& id) {
    TRY_STATUS(check_id(id));
    if (auto found = read(root + "/" + id, id)) return found;
    Container out;
    out.folder_ = root + "/" + id;
    out.id = id;
    if (access(out.folder_.c_str(), F_OK) != 0) return fail("container does not exist");
    const auto config = out.config();
    if (!config || access((out.folder_ + kState).c_str(), F_OK) != 0) return out;
    // A path of systemd's has colons, and noci made its folder by systemd's rules.
    const bool of_systemd = std::ranges::count(config->cgroups_path, ':') == 2;
    const auto path = of_systemd ? systemd_cgroup_path(config->cgroups_path, id)
                                 : Result<std::string>(config->cgroups_path);
    if (!path) return out;
    if (auto cgroups = Cgroups::of(*path, id)) out.cgroups = std::move(*cgroups);
    return out;
}

Result<std::vector<std::string>> Container::ids(const std::string& root) {
    std::vector<std::string> names;
    DIR* folder = opendir(root.c_str());
    if (folder == nullptr) return fail_errno(errno, "open " + root);
    while (const dirent* entry = readdir(folder)) {
        struct stat info;
        if (!check_id(entry->d_name)) continue;
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(info.st_mode))
            names.emplace_back(entry->d_name);
    }
    closedir(folder);
    std::ranges::sort(names);
    return names;
}

Result<std::vector<std::string>> Container::ids_like(const std::string& root,
                                                     const std::string& expression) {
    if (expression.size() > limits::id_bytes_max)
        return fail("the regular expression is longer than 1024 bytes");
    regex_t compiled;
    if (regcomp(&compiled, expression.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
        return fail("invalid regular expression \"" + expression + "\"");
    auto found = ids(root);
    if (found)
        std::erase_if(*found, [&](const std::string& id) {
            return regexec(&compiled, id.c_str(), 0, nullptr, 0) != 0;
        });
    regfree(&compiled);
    return found;
}

Status Container::save() const {
    Json paths = Json::object();
    for (const CgroupPlace& place : cgroups.places()) {
        for (const std::string& controller : place.controllers) paths[controller] = place.folder;
        if (place.controllers.empty())
            paths[place.name.empty() ? "" : "name=" + place.name] = place.folder;
    }
    Json labels = Json::object();
    for (const auto& [key, value] : annotations) labels[key] = value;
    Json json = {{"id", id},
                 {"init_process_pid", pid},
                 {"init_process_start", start_time},
                 {"created", created},
                 {"version", version},
                 {"bundle", bundle},
                 {"rootfs", rootfs},
                 {"annotations", labels},
                 {"own_pids", own_pids},
                 {"cgroup_paths", paths},
                 {"cgroups", cgroups.write()},
                 {"namespace_paths", namespace_paths(pid)}};
    if (root_mounts >= 0) json["root_mounts"] = root_mounts;
    if (!systemd_unit.empty()) json["systemd_unit"] = systemd_unit;
    if (!rdt.folder.empty())
        json["intel_rdt"] = {{"top", rdt.top},
                             {"folder", rdt.folder},
                             {"monitor", rdt.monitor},
                             {"is_own", rdt.is_own}};
    return write_new(folder_ + kState, json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Status Container::save_config(const std::string& text) const {
    return write_new(folder_ + kConfig, text);
}

Result<Config> Container::config() const {
    return parse_config(TRY(read_whole(folder_ + kConfig, limits::config_bytes_max)), bundle);
}

bool Container::alive() const {
    return pid > 0 && start_time != 0 && process_start_time(pid) == start_time;
}

bool Container::is_locked() const {
    const Fd folder(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.valid() && flock(folder.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

ContainerStatus Container::status() const {
    if (pid == 0 && is_locked()) return ContainerStatus::creating;
    if (!alive()) return ContainerStatus::stopped;
    if (cgroups.frozen()) return ContainerStatus::paused;
    return access((folder_ + "/" + kSocket).c_str(), F_OK) == 0 ? ContainerStatus::created
                                                                : ContainerStatus::running;
}

Status Container::lock(int milliseconds) {
    const auto gone = std::unexpected(Error{ENOENT, "container does not exist"});
    Fd folder(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() && errno == ENOENT) return gone;
    if (!folder.valid()) return fail_errno(errno, "open " + folder_);
    constexpr int step_ms = 5;
    for (int waited = 0; flock(folder.get(), LOCK_EX | LOCK_NB) != 0; waited += step_ms) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno(errno, "lock " + folder_);
        if (waited >= milliseconds)
            return fail("container " + id + " is being made or removed by another process");
        usleep(step_ms * 1000);
    }
    if (!is_same_folder(folder_, folder.get())) return gone;
    if (auto now = read(folder_, id)) *this = std::move(*now);
    lock_ = std::move(folder);
    return {};
}

Json Container::state(const std::string& status) const {
    Json out = {{"ociVersion", version},
                {"id", id},
                {"pid", status == "stopped" ? 0 : pid},
                {"status", status},
                {"bundle", bundle}};
    if (annotations.empty()) return out;
    Json labels = Json::object();
    for (const auto& [key, value] : annotations) labels[key] = value;
    out["annotations"] = labels;
    return out;
}

Json Container::full_state() const {
    Json out = state(status_name(status()));
    const Json labels = out.contains("annotations") ? out["annotations"] : Json();
    out.erase("annotations");
    out["rootfs"] = rootfs;
    out["created"] = created;
    if (!labels.is_null()) out["annotations"] = labels;
    return out;
}

Result<Fd> Container::state_file(const std::string& status) const {
    const std::string text = state(status).dump(-1, ' ', false, Json::error_handler_t::replace);
    Fd file(memfd_create("state", MFD_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "make a memfd for the state");
    if (write(file.get(), text.data(), text.size()) != ssize_t(text.size()))
        return fail_errno(errno, "write the state");
    return file;
}

Result<Fd> Container::listen() const {
    const Fd folder(open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const sockaddr_un address = socket_address(folder);
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket.valid() ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), 4) != 0)
        return fail_errno(errno, "listen on " + folder_ + "/" + kSocket);
    // Who may start the container is who may look into the folder.
    (void)chmod((folder_ + "/" + kSocket).c_str(), 0600);
    return socket;
}

Result<Fd> Container::connect() const {
    const Fd folder(open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const sockaddr_un address = socket_address(folder);
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket.valid() ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(errno, "connect to the container that waits for its start");
    return socket;
}

void Container::forget_socket() const { (void)unlink((folder_ + "/" + kSocket).c_str()); }

Status Container::remove() const {
    // Whatever somebody has put there; no link in it is followed.
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
    if (error) return fail_errno(error.value(), "remove " + folder_);
    return {};
}

Status Container::signal(int number) const {
    // By a descriptor: the number may be somebody else's a moment later.
    const Fd process(int(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid() || !alive()) return fail("container not running");
    if (syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0) != 0)
        return errno == ESRCH ? fail("container not running") : fail_errno(errno, "signal " + id);
    return {};
}

void Container::thaw() const {
    if (alive()) cgroups.thaw(pid);
}

std::string Container::annotation(const std::string& name) const {
    for (const auto& [key, value] : annotations)
        if (key == name) return value;
    return {};
}

bool Container::wait_until_gone(int milliseconds) const {
    const Fd process(int(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid() || !alive()) return true;
    pollfd gone = {process.get(), POLLIN, 0};
    while (poll(&gone, 1, milliseconds) < 0 && errno == EINTR) {
    }
    return !alive();
}

}  // namespace noded::noci
