// See remote.h.
#include "tools/nodectl/remote.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ipc/remote/tunnel.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/tls.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kSsh = "ssh://";
constexpr std::chrono::seconds kAnswerSeconds{20};

remote::Deadline soon() { return std::chrono::steady_clock::now() + kAnswerSeconds; }

/// In a session of its own, as docker starts it: the keys that end nodectl, or a container, are not
/// for ssh. So it cannot ask for a password.
Result<std::unique_ptr<remote::Link>> dial_ssh(const std::string& host) {
    const std::vector<std::string> words = TRY(ssh_command(host));
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return fail_errno(errno, "fork");
    if (pid == 0) {
        setsid();
        dup2(theirs.get(), STDIN_FILENO);
        dup2(theirs.get(), STDOUT_FILENO);
        execvp(argv[0], argv.data());
        const std::string text = "nodectl: cannot run ssh: " + std::string(strerror(errno)) + "\n";
        (void)!write(STDERR_FILENO, text.data(), text.size());
        _exit(127);
    }
    Fd again(fcntl(ours.get(), F_DUPFD_CLOEXEC, 0));
    return remote::plain_link(std::move(ours), std::move(again));
}

/// Without who asks there, and without a password that somebody wrote although it is refused.
std::string shown(const std::string& host) {
    const size_t at = host.rfind('@');
    if (!host.starts_with(kSsh) || at == std::string::npos) return host;
    return std::string(kSsh) + host.substr(at + 1);
}

bool hung_up(const Error& error) { return error.code == ECONNRESET || error.code == EPIPE; }

/// Through to the node's side, which has said that it is ready.
Result<std::unique_ptr<remote::Link>> dial(const std::string& host, const remote::TlsFiles& files,
                                           const remote::Hello& hello) {
    auto dialled = [&]() -> Result<std::unique_ptr<remote::Link>> {
        auto link = TRY(host.starts_with(kTcp) ? dial_tls(host, files, soon()) : dial_ssh(host));
        const NoSigpipe no_sigpipe;
        auto answered = remote::say_hello(*link, hello, soon());
        // Who is not let in may notice before all is said; why is still to be heard.
        if (answered || hung_up(answered.error())) answered = remote::hear_answer(*link, soon());
        if (!answered && hung_up(answered.error()))
            answered = fail(host.starts_with(kTcp)
                                ? "the node hung up: is this certificate signed by the authority "
                                  "that it knows?"
                                : "ssh ended: does 'ssh HOST nodectl version' work there, without "
                                  "a password?");
        if (!answered) return std::unexpected(answered.error());
        return link;
    }();
    if (!dialled) return context(dialled.error(), "connect to " + shown(host));
    return dialled;
}

/// Of the process that carries: it holds nothing open that is nodectl's, and ends by itself.
void keep_only(std::vector<int> kept) {
    const Fd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (std::ranges::find(kept, fd) == kept.end()) dup2(nothing.get(), fd);
    kept.push_back(STDERR_FILENO);
    std::ranges::sort(kept);
    for (size_t i = 0; i < kept.size(); ++i) {
        const auto first = static_cast<unsigned>(kept[i] + 1);
        const unsigned last = i + 1 < kept.size() ? static_cast<unsigned>(kept[i + 1]) - 1 : ~0u;
        if (first <= last) close_range(first, last, 0);
    }
}

std::string environment(const char* name) {
    const char* value = getenv(name);
    return value != nullptr ? value : "";
}

remote::TlsFiles files_in(const std::string& folder) {
    return {folder + "/ca.pem", folder + "/cert.pem", folder + "/key.pem"};
}

}  // namespace

bool is_remote(const std::string& host) { return host.starts_with(kTcp) || host.starts_with(kSsh); }

std::string default_host() {
    const std::string said = environment("NODECTL_HOST");
    return said.empty() ? kHostDefault : said;
}

remote::TlsFiles user_tls_files() {
    const std::string folder = environment("NODECTL_CERT_PATH");
    return files_in(folder.empty() ? environment("HOME") + "/.nodectl" : folder);
}

remote::TlsFiles node_tls_files() { return files_in("/etc/noded/tls"); }

Result<std::vector<std::string>> ssh_command(const std::string& host) {
    std::string rest = host.substr(kSsh.size());
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string path = rest.substr(slash);
    rest.resize(slash);
    std::vector<std::string> words = {"ssh", "-T", "-o", "ConnectTimeout=15"};
    if (const size_t at = rest.rfind('@'); at != std::string::npos) {
        if (rest.find(':') < at)
            return fail("no password is written here: ssh takes it from its keys");
        words.insert(words.end(), {"-l", rest.substr(0, at)});
        rest = rest.substr(at + 1);
    }
    const size_t colon = rest.starts_with('[') ? rest.find(':', rest.find(']')) : rest.find(':');
    if (colon != std::string::npos) words.insert(words.end(), {"-p", rest.substr(colon + 1)});
    rest.resize(std::min(colon, rest.size()));
    if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
    if (rest.empty()) return fail("ssh:// needs the name of a machine");
    // What a shell there reads.
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789/._-";
    if (path.find_first_not_of(kPlain) != std::string::npos)
        return fail("the path of the socket has more in it than letters, digits, '/', '.', '_' "
                    "and '-'");
    words.insert(words.end(), {"--", rest, "nodectl"});
    if (path.size() > 1) words.insert(words.end(), {"--host", "unix:" + path});
    words.insert(words.end(), {"system", "dial-stdio"});
    return words;
}

Result<Fd> connect_remote(const std::string& host, const remote::TlsFiles& files) {
    const auto link = TRY(dial(host, files, {}));
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    Fd ours(ends[0]);
    Fd theirs(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return fail_errno(errno, "fork");
    if (pid != 0) return ours;
    setsid();
    signal(SIGPIPE, SIG_IGN);
    std::vector<int> kept = link->descriptors();
    kept.push_back(theirs.get());
    keep_only(std::move(kept));
    (void)ours.release();
    remote::Tunnel tunnel(*link, remote::Tunnel::Side::client, std::move(theirs));
    if (tunnel.run() && !tunnel.link_ended()) remote::hang_up(*link, soon());
    _exit(0);
}

int run_there(Invocation& call, const std::vector<std::string>& words, Fd input) {
    remote::Hello hello{true, {}};
    for (size_t at = 0; at < call.spelling.size();) {
        const size_t end = std::min(call.spelling.find(' ', at), call.spelling.size());
        hello.words.push_back(call.spelling.substr(at, end - at));
        at = end + 1;
    }
    hello.words.insert(hello.words.end(), words.begin(), words.end());
    const auto link = OR_FAIL(call, dial(call.session.host(), call.session.tls_files(), hello));
    signal(SIGPIPE, SIG_IGN);
    const auto ended = remote::show_program(*link, STDOUT_FILENO, STDERR_FILENO, std::move(input));
    if (ended) return *ended;
    if (ended.error().code == EPIPE) die_of_sigpipe();
    return call.failed(context(ended.error(), "connection to " + call.session.host()).error());
}

}  // namespace noded::nodectl
