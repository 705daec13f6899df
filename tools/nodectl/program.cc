// See program.h.
#include "tools/nodectl/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/base/fd.h"

namespace noded::nodectl {
namespace {

struct Pipe {
    Fd in;
    Fd out;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

/// Both to their ends, so that neither blocks the other.
void read_both(const Fd& first, std::string& into_first, const Fd& second,
               std::string& into_second) {
    pollfd fds[2] = {{first.get(), POLLIN, 0}, {second.get(), POLLIN, 0}};
    char buffer[16 << 10];
    for (int open = 2; open > 0;) {
        if (poll(fds, 2, -1) < 0) continue;
        for (int i = 0; i < 2; ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            const ssize_t size = read(fds[i].fd, buffer, sizeof buffer);
            if (size > 0) {
                (i == 0 ? into_first : into_second).append(buffer, static_cast<size_t>(size));
            } else {
                fds[i].fd = -1;
                --open;
            }
        }
    }
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& argv) {
    Pipe out = TRY(make_pipe());
    Pipe err = TRY(make_pipe());
    std::vector<char*> pointers;
    for (const std::string& argument : argv)
        pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out.out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.out.get(), STDERR_FILENO);
    pid_t pid = 0;
    const int error =
        posix_spawnp(&pid, pointers[0], &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return fail_errno(error, "run " + argv[0]);
    out.out.reset();
    err.out.reset();
    std::string text;
    std::string complaint;
    read_both(out.in, text, err.in, complaint);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    // The first line says what is wrong, what follows is about the program's usage.
    complaint.resize(std::min(complaint.find('\n'), complaint.size()));
    if (complaint.empty() && WIFEXITED(status))
        complaint = "exit status " + std::to_string(WEXITSTATUS(status));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(argv[0] + ": " + complaint);
    return text;
}

}  // namespace noded::nodectl
