// nodectl serve: the door of a node for nodectl on other machines, over TLS; nodectl system
// dial-stdio: the same for one that came through ssh. Clients of noded like others; each connection
// has a process of its own.
//
// Who has a certificate of the node's authority may do whatever root may do on the node.
#include <netdb.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "ipc/remote/tls.h"
#include "ipc/remote/tunnel.h"
#include "ipc/rpc/unix_socket.h"
#include "tools/nodectl/remote.h"

namespace noded::nodectl {
namespace {

constexpr const char* kListenDefault = "tcp://0.0.0.0:9482";
constexpr size_t kConnectionsMax = 256;
constexpr std::chrono::seconds kHandshakeSeconds{10};

/// What may be run here for a client: what reads the node's files, or writes images.
constexpr std::string_view kRuns[] = {"logs",         "container logs", "top",  "container top",
                                      "image import", "import",         "load", "image load",
                                      "sub",          "system sub",     "stats",
                                      "container stats"};

remote::Deadline soon() { return std::chrono::steady_clock::now() + kHandshakeSeconds; }

volatile sig_atomic_t ends = 0;

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

/// One connection, from its hello to its end.
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

std::string address_of(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char host[NI_MAXHOST] = "?";
    char port[NI_MAXSERV] = "?";
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
        getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    return std::string(host) + " port " + port;
}

void say(const std::string& text) { write_all(STDERR_FILENO, "nodectl serve: " + text + "\n"); }

/// In the process of the connection.
void serve_client(const remote::TlsContext& context, Fd fd, const std::string& host) {
    const std::string from = address_of(fd.get());
    const auto link = context.begin(std::move(fd), "", soon());
    if (!link) return say("refused " + from + ": " + link.error().message);
    const std::string name = remote::peer_name(**link);
    say("\"" + name + "\" from " + from);
    if (const Status served = serve_link(**link, host); !served)
        say("\"" + name + "\" from " + from + ": " + served.error().message);
}

void reap(std::set<pid_t>& clients) {
    for (pid_t pid = 0; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;) clients.erase(pid);
}

void on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { ends = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    action.sa_handler = [](int) {};   // interrupts accept
    sigaction(SIGCHLD, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

/// Until a signal ends it; its connections end with it.
int accept_clients(const Fd& listening, const remote::TlsContext& context,
                   const std::string& host) {
    std::set<pid_t> clients;
    while (ends == 0) {
        reap(clients);
        pollfd ready{listening.get(), POLLIN, 0};
        if (poll(&ready, 1, 1000) <= 0) continue;
        Fd fd(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd.valid()) {
            if (errno == EMFILE || errno == ENFILE) usleep(100'000);
            continue;
        }
        if (clients.size() >= kConnectionsMax) {
            say("refused " + address_of(fd.get()) + ": there are " +
                std::to_string(kConnectionsMax) + " connections, which is the limit");
            continue;
        }
        const pid_t pid = fork();
        if (pid < 0) say(std::string("fork: ") + strerror(errno));
        if (pid > 0) clients.insert(pid);
        if (pid != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        close(listening.get());
        serve_client(context, std::move(fd), host);
        _exit(0);
    }
    for (const pid_t pid : clients) kill(pid, SIGTERM);
    return 0;
}

}  // namespace

int serve(Invocation& call) {
    remote::TlsFiles files = node_tls_files();
    const Option options[] = {
        {0, "tlscacert", &files.authority, "file",
         "Certificate of the authority of clients (default /etc/noded/tls/ca.pem)"},
        {0, "tlscert", &files.certificate, "file",
         "The node's certificate (default /etc/noded/tls/cert.pem)"},
        {0, "tlskey", &files.key, "file", "Its secret key (default /etc/noded/tls/key.pem)"},
    };
    if (const auto status = call.parse(options, {.max = 1})) return *status;
    const std::string where = call.arguments.empty() ? kListenDefault : call.arguments[0];
    if (call.session.elsewhere())
        return call.failed(Error{0, "serve is for the noded of this machine: leave --host away"});
    const auto address = OR_FAIL(call, remote::parse_tcp(where, "9482"));
    const auto context =
        OR_FAIL(call, remote::TlsContext::make(remote::TlsContext::Side::node, files));
    const Fd listening = OR_FAIL(call, remote::listen_tcp(address, 128));
    on_signals();
    say("listening on " + where + " for " + call.session.host());
    return accept_clients(listening, context, call.session.host());
}

int dial_stdio(Invocation& call) {
    if (const auto status = call.parse({}, {.max = 0})) return *status;
    signal(SIGPIPE, SIG_IGN);
    const auto link = remote::plain_link(Fd(STDIN_FILENO), Fd(STDOUT_FILENO));
    OR_FAIL_STATUS(call, serve_link(*link, call.session.host()));
    return 0;
}

}  // namespace noded::nodectl
