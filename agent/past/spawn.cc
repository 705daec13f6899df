// See spawn.h.
#include "agent/past/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "agent/base/check.h"
#include "agent/past/child.h"
#include "agent/past/replica.h"

namespace noded::past {

namespace {

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
    std::vector<std::string> arguments = {"noded", kReplicaVerb, std::to_string(seq),
                                          std::to_string(getpid()), plugins};
    for (std::string& setting : settings_.arguments()) arguments.push_back(std::move(setting));
    arguments.push_back("--log-bytes-max=" + std::to_string(bytes_max));
    auto child = TRY(start_child(std::move(arguments), input.get(), -1));
    pid_ = child.pid;
    watch_ = new Watch;
    watch_->owner = this;
    watch_->pidfd = std::move(child.pidfd);
    reactor_.poll(watch_->pidfd.get(), POLLIN, false, *watch_);
    return {};
}

void SnapshotReplica::Watch::complete(int32_t result, bool) {
    if (owner != nullptr) {
        owner->watch_ = nullptr;
        if (result >= 0) owner->ended();
    }
    delete this;
}

void SnapshotReplica::ended() {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) status = -1;
    pid_ = 0;
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
    if (watch_ != nullptr) {
        watch_->owner = nullptr;
        reactor_.cancel(*std::exchange(watch_, nullptr));
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
    remove_scratch(config_);
    output_.reset();
}

}  // namespace noded::past
