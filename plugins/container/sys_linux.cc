// The kernel behind Sys, see sys.h. Stateless, so that the offload lane may use it at the same
// time.
#include "plugins/container/sys_linux.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <system_error>

#include "agent/base/proc_text.h"
#include "plugins/container/files/job.h"

namespace noded::container {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;  ///< /proc and cgroup files

class LinuxSys final : public Sys {
public:
    Result<SpawnedShim> spawn_shim(const std::string& program, const SpareGroups& groups) override {
        const std::lock_guard one(spawning_);
        return shims_.spawn(program, groups);
    }
    Result<SpawnedFiles> spawn_files(const std::string& program, const std::string& job,
                                     Fd stream) override;
    void reap(int pidfd) override;
    void await_end(int pidfd, int64_t nanoseconds) override {
        pollfd process = {pidfd, POLLIN, 0};
        poll(&process, 1, int(nanoseconds / 1'000'000));
    }
    std::string stamp(const std::string& path) override;
    Result<Fd> connect_shim(const std::string& folder) override {
        return noded::connect_shim(folder);
    }
    uint32_t peer_pid(int socket) override;
    Result<bool> make_folder(const std::string& path, uint32_t mode) override;
    Status remove_tree(const std::string& path) override;
    Status move(const std::string& from, const std::string& to) override;
    Status remove_folder(const std::string& path) override;
    bool exists(const std::string& path) override { return access(path.c_str(), F_OK) == 0; }
    std::vector<std::string> folders_in(const std::string& path) override;
    Result<std::string> read_file(const std::string& path) override;
    Status write_file(const std::string& path, std::string_view text) override;
    Status attach_device_program(const std::string& folder,
                                 const std::vector<DeviceRule>& rules) override {
        return noded::attach_device_program(folder, rules);
    }
    Status make_file(const std::string& path) override {
        const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
        if (!file.valid() || fchmod(file.get(), 0644) != 0)
            return fail_errno(errno, "make the file " + path);
        return {};
    }
    Status make_link(const std::string& path, const std::string& target) override {
        if (symlink(target.c_str(), path.c_str()) == 0 || errno == EEXIST) return {};
        return fail_errno(errno, "make the link " + path);
    }
    Result<Fd> open_read(const std::string& path) override;
    Result<Fd> make_memfd(Bytes content) override;
    Result<std::string> mount_line(const std::string& path) override;
    Result<DeviceNumber> device_number(const std::string& path) override;
    std::vector<std::string> host_devices() override;
    Status kill_process(uint32_t pid, int signal) override;

private:
    std::mutex spawning_;  ///< the lane makes the next shim; a start without one makes its own
    ShimSpawner shims_;
};

/// Runs in the parent's memory: system calls only. `fds` are above those that they become.
[[noreturn]] void become_files(int program, const int (&fds)[3], int& error) {
    char name[] = "noded-files";
    char* argv[] = {name, nullptr};
    char* environment[] = {nullptr};
    bool placed = true;
    for (int i = 0; i < 3; ++i) {
        const int place = files::job_fd + i;
        placed = placed && (fds[i] < 0 || dup2(fds[i], place) == place);
    }
    if (placed) syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
    error = errno;
    _exit(127);
}

/// A function of its own: nothing that lives in the caller's registers may be changed by the child.
[[gnu::noinline]] pid_t fork_files(int program, const int (&fds)[3], int& error) {
    const pid_t pid = vfork();
    if (pid == 0) become_files(program, fds, error);
    return pid;
}

/// The same descriptor, with a number above those that a helper has.
Fd above_places(const Fd& fd) {
    return Fd(fd.valid() ? fcntl(fd.get(), F_DUPFD_CLOEXEC, files::stream_fd + 1) : -1);
}

Result<SpawnedFiles> LinuxSys::spawn_files(const std::string& path, const std::string& job,
                                           Fd stream) {
    const Fd program(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!program.valid()) return fail_errno(errno, "open " + path);
    const Fd text = TRY(make_memfd(as_bytes(job)));
    lseek(text.get(), 0, SEEK_SET);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    SpawnedFiles spawned;
    spawned.outcome.reset(ends[0]);
    const Fd answer(ends[1]);
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "set up a pipe");
    const Fd moved[] = {above_places(text), above_places(answer), above_places(stream)};
    const Fd moved_program = above_places(program);
    if (!moved[0].valid() || !moved[1].valid() || !moved_program.valid() ||
        (stream.valid() && !moved[2].valid()))
        return fail_errno(errno, "duplicate a descriptor");
    int error = 0;
    const pid_t pid =
        fork_files(moved_program.get(), {moved[0].get(), moved[1].get(), moved[2].get()}, error);
    if (pid < 0) return fail_errno(errno, "fork a files helper");
    if (error != 0) {
        waitpid(pid, nullptr, 0);
        return fail_errno(error, "execute " + path);
    }
    spawned.pid = uint32_t(pid);
    spawned.pidfd.reset(int(syscall(SYS_pidfd_open, pid, 0)));
    if (spawned.pidfd.valid()) return spawned;
    error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return fail_errno(error, "open a pidfd of the files helper");
}

std::string LinuxSys::stamp(const std::string& path) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return "";
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) + ":" +
           std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
}

void LinuxSys::reap(int pidfd) {
    siginfo_t info{};
    while (waitid(P_PIDFD, id_t(pidfd), &info, WEXITED | WNOHANG) != 0 && errno == EINTR) {
    }
}

uint32_t LinuxSys::peer_pid(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
    return peer.pid > 0 ? uint32_t(peer.pid) : 0;
}

Result<bool> LinuxSys::make_folder(const std::string& path, uint32_t mode) {
    const bool made = mkdir(path.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return fail_errno(errno, "make the folder " + path);
    // mkdir alone would obey the umask, and one that is there may be of an earlier version.
    struct stat info {};
    const bool has_mode = stat(path.c_str(), &info) == 0 && (info.st_mode & 07777) == mode;
    if (mode != 0700 && !has_mode && chmod(path.c_str(), mode) != 0)
        return fail_errno(errno, "set the mode of the folder " + path);
    return made;
}

/// Line by line: a machine with many mounts has a long table. A file system that does not answer is
/// not asked.
Result<std::string> LinuxSys::mount_line(const std::string& path) {
    struct statx info {};
    std::string at = path;
    while (statx(AT_FDCWD, at.c_str(), AT_STATX_DONT_SYNC, STATX_MNT_ID, &info) != 0) {
        const size_t slash = at.rfind('/');
        if (errno != ENOENT || slash == std::string::npos || at == "/")
            return fail_errno(errno, "look at " + path);
        at.erase(std::max<size_t>(slash, 1));
    }
    const std::string id = std::to_string(info.stx_mnt_id) + " ";
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);)
        if (line.starts_with(id)) return line;
    return fail("the mount that holds " + path + " is not in noded's table of mounts");
}

Result<DeviceNumber> LinuxSys::device_number(const std::string& path) {
    struct statx info {};
    if (statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &info) != 0)
        return fail_errno(errno, "look at the device " + path);
    if (!S_ISCHR(info.stx_mode) && !S_ISBLK(info.stx_mode))
        return fail(path + " is not a device node");
    return DeviceNumber{S_ISBLK(info.stx_mode) ? 'b' : 'c', info.stx_rdev_major,
                        info.stx_rdev_minor};
}

Status LinuxSys::remove_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return fail_errno(error.value(), "remove " + path);
    return {};
}

Status LinuxSys::move(const std::string& from, const std::string& to) {
    if (rename(from.c_str(), to.c_str()) == 0) return {};
    return fail_errno(errno, "move " + from + " to " + to);
}

Status LinuxSys::remove_folder(const std::string& path) {
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail_errno(errno, "remove the folder " + path);
}

std::vector<std::string> LinuxSys::folders_in(const std::string& path) {
    std::vector<std::string> names;
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) return names;
    while (const dirent* item = readdir(directory)) {
        const std::string name = item->d_name;
        if (item->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
    }
    closedir(directory);
    return names;
}

Result<std::string> LinuxSys::read_file(const std::string& path) {
    const Fd file = TRY(open_read(path));
    std::string content;
    char buffer[4096];
    while (content.size() < kFileBytesMax) {
        const ssize_t got = read(file.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read " + path);
        if (got == 0) break;
        content.append(buffer, size_t(got));
    }
    return content;
}

Status LinuxSys::write_file(const std::string& path, std::string_view text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open " + path);
    if (write(file.get(), text.data(), text.size()) != ssize_t(text.size()))
        return fail_errno(errno, "write \"" + std::string(text) + "\" to " + path);
    return {};
}

Result<Fd> LinuxSys::open_read(const std::string& path) {
    Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open " + path);
    return file;
}

Result<Fd> LinuxSys::make_memfd(Bytes content) {
    Fd file(memfd_create("launch", MFD_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "make an anonymous file for a launch spec");
    for (size_t done = 0; done < content.size();) {
        const ssize_t wrote = write(file.get(), content.data() + done, content.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return fail_errno(errno, "write a launch spec");
        done += size_t(wrote);
    }
    return file;
}

namespace {

constexpr size_t kHostDevicesMax = 256;

/// What every container has of its own, and terminals of the host.
bool is_own_device(const std::string& path) {
    constexpr std::string_view kOwn[] = {"null", "zero", "full", "random", "urandom", "tty",
                                         "console", "ptmx"};
    constexpr std::string_view kFolders[] = {"pts/", "shm/", "mqueue/"};
    const std::string_view name = std::string_view(path).substr(5);
    return std::ranges::count(kOwn, name) > 0 ||
           std::ranges::any_of(kFolders, [&](auto folder) { return name.starts_with(folder); });
}

}  // namespace

std::vector<std::string> LinuxSys::host_devices() {
    namespace fs = std::filesystem;
    std::vector<std::string> paths;
    std::error_code error;
    fs::recursive_directory_iterator at("/dev", fs::directory_options::skip_permission_denied,
                                        error);
    for (; !error && at != fs::recursive_directory_iterator() && paths.size() < kHostDevicesMax;
         at.increment(error)) {
        std::error_code ignored;
        const fs::file_status status = at->symlink_status(ignored);
        const bool device = fs::is_character_file(status) || fs::is_block_file(status);
        if (device && !is_own_device(at->path())) paths.push_back(at->path());
    }
    std::ranges::sort(paths);
    return paths;
}

Status LinuxSys::kill_process(uint32_t pid, int signal) {
    if (kill(pid_t(pid), signal) == 0) return {};
    return fail_errno(
        errno, "send signal " + std::to_string(signal) + " to process " + std::to_string(pid));
}

}  // namespace

std::shared_ptr<Sys> linux_sys() { return std::make_shared<LinuxSys>(); }

uint64_t process_start_time(Sys& sys, uint32_t pid) {
    const auto stat = sys.read_file("/proc/" + std::to_string(pid) + "/stat");
    return stat ? start_time_of(*stat) : 0;
}

}  // namespace noded::container
