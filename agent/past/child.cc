// See child.h. posix_spawn(3) shares the memory until exec, so a large node does not pause for it.
#include "agent/past/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/logger.h"
#include "agent/base/time_slice.h"

namespace noded::past {

namespace {

constexpr int kNice = 10;
/// The longest there is: whoever wakes up goes before who asks for longer, also where a program
/// that is nice does not count, in another session or cgroup.
constexpr int64_t kTimeSliceNs = 100'000'000;

/// 0 or an errno.
int spawn(std::vector<std::string>& arguments, int output, int socket, pid_t& pid) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (output >= 0) {
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    }
    // Also where it has that number already, so that it is not closed on exec.
    if (socket >= 0) posix_spawn_file_actions_adddup2(&actions, socket, kChildSocket);
    posix_spawn_file_actions_addclosefrom_np(&actions,
                                             socket >= 0 ? kChildSocket + 1 : kChildSocket);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const int error =
        posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

}  // namespace

Result<Child> start_child(std::vector<std::string> arguments, int output, int socket) {
    Child child;
    if (const int error = spawn(arguments, output, socket, child.pid); error != 0)
        return fail_errno(error, "start a child of noded");
    child.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
    if (child.pidfd.valid()) return child;
    const int error = errno;
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return fail_errno(error, "watch a child of noded");
}

ChildSettings::ChildSettings(const Config& config) : config_(config) {
    if (config.plugins.empty()) return;
    const std::string text = file_of_plugins(config);
    plugins_.reset(memfd_create("noded-plugins", MFD_CLOEXEC));
    if (plugins_.valid() && write(plugins_.get(), text.data(), text.size()) == ssize_t(text.size()))
        return;
    log_line(
        Severity::warning, "past",
        "replicas and readers of the past are not told what the configuration tells plugins: " +
            std::string(strerror(errno)));
    plugins_.reset();
}

std::vector<std::string> ChildSettings::arguments() const {
    std::vector<std::string> all = {
        "--state-dir",     config_.state_dir,   "--runtime-dir", config_.runtime_dir,
        "--plugin-dir",    config_.plugin_dir,  "--libexec-dir", config_.libexec_dir,
        "--log-bytes-max", std::to_string(config_.log_bytes_max)};
    if (plugins_.valid()) {
        all.push_back("--config");
        all.push_back("/proc/" + std::to_string(getpid()) + "/fd/" +
                      std::to_string(plugins_.get()));
    }
    return all;
}

bool become_child(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) return false;   // it ended before that took hold
    setpriority(PRIO_PROCESS, 0, kNice);
    set_time_slice(kTimeSliceNs);
    set_log_threshold(Severity::error);
    return true;
}

}  // namespace noded::past
