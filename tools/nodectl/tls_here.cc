// See tls.h: in the program that has TLS, nodectl-tls.
//
// Who has a certificate of the node's authority may do whatever root may do on the node.
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "ipc/remote/tcp.h"
#include "ipc/remote/tls.h"
#include "tools/nodectl/door.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/tls.h"

namespace noded::nodectl {
namespace {

constexpr size_t kConnectionsMax = 256;

volatile sig_atomic_t ends = 0;

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
    const auto deadline = std::chrono::steady_clock::now() + handshake_seconds;
    const auto link = context.begin(std::move(fd), "", deadline);
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

Result<std::unique_ptr<remote::Link>> dial_tls(const std::string& host,
                                               const remote::TlsFiles& files,
                                               remote::Deadline deadline) {
    const auto address = TRY(remote::parse_tcp(host, tcp_port));
    if (address.host.empty()) return fail("tcp:// needs the name of a machine");
    const auto context = TRY(remote::TlsContext::make(remote::TlsContext::Side::client, files));
    Fd socket = TRY(remote::connect_tcp(address, deadline));
    const NoSigpipe no_sigpipe;
    return context.begin(std::move(socket), address.host, deadline);
}

Result<int> serve_tls(const std::string& where, const remote::TlsFiles& files,
                      const std::string& host) {
    const auto address = TRY(remote::parse_tcp(where, tcp_port));
    const auto context = TRY(remote::TlsContext::make(remote::TlsContext::Side::node, files));
    const Fd listening = TRY(remote::listen_tcp(address, 128));
    on_signals();
    say("listening on " + where + " for " + host);
    return accept_clients(listening, context, host);
}

}  // namespace noded::nodectl
