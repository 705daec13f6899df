// From exec of noded to its first answered call, by a client that tries to connect all the time.
// The node goes on; its pid is printed.
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "agent/base/fd.h"
#include "bench/node/harness.h"

namespace noded::bench {
namespace {

constexpr double kLongestUs = 60e6;
constexpr useconds_t kEveryUs = 200;

bool listens(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(path.size() < sizeof address.sun_path);
    memcpy(address.sun_path, path.c_str(), path.size());
    const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

bool answers(const std::string& host) {
    const auto client = rpc::Client::connect(host);
    if (!client) return false;
    auto node = (*client)->bootstrap().castAs<schema::Node>();
    return (*client)->wait(node.versionRequest().send()).has_value();
}

}  // namespace

Status first_answer(const Arguments& arguments) {
    constexpr std::string_view kUnix = "unix:";
    if (arguments.command.empty() || !arguments.host.starts_with(kUnix))
        return fail("first-answer needs --host=unix:PATH and the command line of noded");
    const std::string path = arguments.host.substr(kUnix.size());
    auto words = arguments.command;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    // Whoever reads what this prints waits for its end, and noded goes on.
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    pid_t pid = 0;
    const double begin = now_us();
    if (const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
        error != 0)
        return fail_errno(error, "start " + arguments.command[0]);
    // The socket of a node that was killed just now may accept for a moment more.
    while (!listens(path) || !answers(arguments.host)) {
        if (waitpid(pid, nullptr, WNOHANG) == pid) return fail("noded ended before it answered");
        if (now_us() > begin + kLongestUs) return fail("noded does not answer");
        usleep(kEveryUs);
    }
    printf("{\"answered_ms\":%.2f,\"pid\":%d}\n", (now_us() - begin) / 1e3, pid);
    return {};
}

}  // namespace noded::bench
