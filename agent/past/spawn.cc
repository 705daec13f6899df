// See spawn.h. posix_spawn(3) shares the memory until exec, so a large node does not pause for it.
#include "agent/past/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "agent/base/check.h"
#include "agent/past/replica.h"

namespace noded::past {

namespace {

/// Starts the program that this process is, with nothing but the pipe; 0 or an errno.
int spawn(std::vector<std::string> arguments, int output, pid_t& pid) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
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

void remove_scratch(const Config& config) {
    std::error_code ignored;
    std::filesystem::remove_all(scratch_directory(config), ignored);
}

/// What it said last, without the end of the line.
std::string last_line(int output) {
    std::string text;
    char part[4096];
    for (ssize_t size; (size = read(output, part, sizeof part)) > 0;)
        text.append(part, static_cast<size_t>(size));
    while (text.ends_with('\n')) text.pop_back();
    return text.substr(text.rfind('\n') + 1);
}

}  // namespace

Status SnapshotReplica::start(uint64_t seq, const std::string& plugins, uint64_t bytes_max) {
    CHECK(!running());
    remove_scratch(config_);   // of a predecessor that was killed
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno(errno, "make a pipe");
    output_.reset(ends[0]);
    const Fd input(ends[1]);
    const std::vector<std::string> arguments = {
        "noded", kReplicaVerb, std::to_string(seq), std::to_string(getpid()), plugins,
        "--state-dir", config_.state_dir, "--runtime-dir", config_.runtime_dir, "--plugin-dir",
        config_.plugin_dir, "--libexec-dir", config_.libexec_dir, "--log-bytes-max",
        std::to_string(bytes_max)};
    if (const int error = spawn(arguments, input.get(), pid_); error != 0) {
        pid_ = 0;
        return fail_errno(error, "start a replica");
    }
    pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_.valid()) {
        const int error = errno;
        end();
        return fail_errno(error, "watch the replica");
    }
    reactor_.poll(pidfd_.get(), POLLIN, false, *this);
    return {};
}

void SnapshotReplica::complete(int32_t result, bool) {
    if (!running() || result < 0) return;
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) status = -1;
    pid_ = 0;
    pidfd_.reset();
    remove_scratch(config_);
    const std::string said = last_line(output_.get());
    output_.reset();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return done_(strtoull(said.c_str(), nullptr, 10));
    if (WIFSIGNALED(status))
        return done_(fail("it was ended by signal " + std::to_string(WTERMSIG(status))));
    done_(fail(said.empty() ? "it said nothing" : said));
}

void SnapshotReplica::end() {
    if (!running()) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
    remove_scratch(config_);
    output_.reset();
}

}  // namespace noded::past
