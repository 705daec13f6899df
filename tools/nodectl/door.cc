// See door.h. Also nodectl system dial-stdio, for a client that came through ssh.
#include "tools/nodectl/door.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ipc/remote/tunnel.h"
#include "ipc/rpc/unix_socket.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// What may be run here for a client: what reads the node's files, or reads or writes images.
constexpr std::string_view kRuns[] = {"logs",         "container logs", "top",   "container top",
                                      "image import", "import",         "load",  "image load",
                                      "image save",   "save",           "stats", "container stats",
                                      "sub",          "system sub"};

remote::Deadline soon() { return std::chrono::steady_clock::now() + handshake_seconds; }

bool may_run(const std::vector<std::string>& words) {
    const FoundVerb found = find_verb(words);
    return found.verb != nullptr &&
           std::ranges::find(kRuns, found.spelling) != std::end(kRuns);
}

struct Program {
    pid_t pid = -1;
    Fd input, output, errors;
};

/// This program with the client's words, its streams in our hands.
Result<Program> start_program(const std::string& host, const std::vector<std::string>& words) {
    Program program;
    Fd theirs[3];
    Fd* const ours[3] = {&program.input, &program.output, &program.errors};
    for (int i = 0; i < 3; ++i) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            return fail_errno(errno, "make a socket pair");
        ours[i]->reset(pair[0]);
        theirs[i].reset(pair[1]);
    }
    std::vector<std::string> all = {"nodectl", "--host", host};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<char*> argv;
    for (const std::string& word : all) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    program.pid = fork();
    if (program.pid < 0) return fail_errno(errno, "fork");
    if (program.pid > 0) return program;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; ++i) dup2(theirs[i].get(), i);
    execv("/proc/self/exe", argv.data());
    _exit(127);
}

int exit_status(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Status serve_program(remote::Link& link, const std::string& host,
                     const std::vector<std::string>& words) {
    if (!may_run(words)) {
        const std::string trouble = "this node does not run that for others";
        TRY_STATUS(remote::answer_hello(link, trouble, soon()));
        return fail(trouble);
    }
    Program program = TRY(start_program(host, words));
    TRY_STATUS(remote::answer_hello(link, "", soon()));
    remote::Tunnel tunnel(link, remote::Tunnel::Side::node, Fd());
    tunnel.add_stream(remote::channel_input, std::move(program.input));
    tunnel.add_stream(remote::channel_output, std::move(program.output));
    tunnel.add_stream(remote::channel_errors, std::move(program.errors));
    const Status carried = tunnel.run();
    if (!carried || tunnel.link_ended()) {
        kill(program.pid, SIGTERM);
        exit_status(program.pid);
        return carried;
    }
    TRY_STATUS(remote::say_exit(link, exit_status(program.pid), soon()));
    remote::hang_up(link, soon());
    return {};
}

}  // namespace

Status serve_link(remote::Link& link, const std::string& host) {
    const auto hello = TRY(remote::hear_hello(link, soon()));
    if (hello.run) return serve_program(link, host, hello.words);
    constexpr std::string_view kUnix = "unix:";
    std::string path = host.starts_with(kUnix) ? host.substr(kUnix.size()) : host;
    if (path.starts_with("//")) path.erase(0, 2);
    auto rpc = rpc::connect_unix(path);
    TRY_STATUS(remote::answer_hello(link, rpc ? "" : rpc.error().message, soon()));
    if (!rpc) return std::unexpected(rpc.error());
    remote::Tunnel tunnel(link, remote::Tunnel::Side::node, std::move(*rpc));
    TRY_STATUS(tunnel.run());
    if (!tunnel.link_ended()) remote::hang_up(link, soon());
    return {};
}

int dial_stdio(Invocation& call) {
    if (const auto status = call.parse({}, {.max = 0})) return *status;
    signal(SIGPIPE, SIG_IGN);
    const auto link = remote::plain_link(Fd(STDIN_FILENO), Fd(STDOUT_FILENO));
    OR_FAIL_STATUS(call, serve_link(*link, call.session.host()));
    return 0;
}

}  // namespace noded::nodectl
