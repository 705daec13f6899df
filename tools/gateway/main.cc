// noded-gateway: what Prometheus scrapes. Asks noded over its socket at each scrape, holds nothing
// but what containers have on disk.
//
// A program of its own and a client of noded like others: it may end, be started anew and be more
// than one at any time. Page: ops/docs/metrics.md.
#include <getopt.h>
#include <kj/async-unix.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/base/version.h"
#include "tools/gateway/limits.h"
#include "tools/gateway/server.h"

namespace noded::gateway {
namespace {

constexpr const char* kUsage =
    R"(usage: noded-gateway [--listen ADDRESS[:PORT]] [--host unix:PATH] [--disk-usage SECONDS]
                     [--version] [--help]

Answers Prometheus with what noded knows: /metrics has containers under cAdvisor's names, the node
under node_exporter's, and noded itself; /healthz tells whether noded answers. It runs in the
foreground.

  --listen ADDRESS[:PORT] where scrapes come in; "[::]:9480" is everywhere   (127.0.0.1:9480)
  --host unix:PATH        noded's socket           ($NODECTL_HOST, or unix:/run/noded/noded.sock)
  --disk-usage SECONDS    at most so often noded is asked what containers have on disk, while
                          somebody scrapes; 0 is never                                       (60)
)";

constexpr unsigned kPort = 9480;

struct Options {
    std::string listen = "127.0.0.1";
    std::string host = "unix:/run/noded/noded.sock";
    int64_t disk_usage_s = 60;
};

bool parse_seconds(const char* text, int64_t& seconds) {
    const std::string_view all = text;
    const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), seconds);
    return error == std::errc{} && end == all.data() + all.size() && seconds >= 0 &&
           seconds <= limits::walk_period_seconds_max;
}

/// An exit status when the program is to end at once.
int parse(int argc, char** argv, Options& options) {
    constexpr option kLong[] = {{"listen", required_argument, nullptr, 'l'},
                                {"host", required_argument, nullptr, 'H'},
                                {"disk-usage", required_argument, nullptr, 'd'},
                                {"version", no_argument, nullptr, 'v'},
                                {"help", no_argument, nullptr, 'h'},
                                {nullptr, 0, nullptr, 0}};
    if (const char* host = getenv("NODECTL_HOST"); host != nullptr && *host != 0)
        options.host = host;
    for (;;) {
        const int letter = getopt_long(argc, argv, "l:H:d:vh", kLong, nullptr);
        if (letter < 0) break;
        if (letter == 'l') options.listen = optarg;
        if (letter == 'H') options.host = optarg;
        if (letter == 'd' && !parse_seconds(optarg, options.disk_usage_s)) {
            fprintf(stderr, "noded-gateway: --disk-usage takes 0 to %lld seconds, not \"%s\"\n",
                    static_cast<long long>(limits::walk_period_seconds_max), optarg);
            return 2;
        }
        if (letter == 'h') fputs(kUsage, stdout);
        if (letter == 'v') printf("noded-gateway version %s\n", kVersion);
        if (letter == 'h' || letter == 'v') return 0;
        if (letter == '?') {
            fputs("See 'noded-gateway --help'.\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "noded-gateway: there is no argument \"%s\"\nSee 'noded-gateway --help'.\n",
                argv[optind]);
        return 2;
    }
    return -1;
}

/// Of what KJ says about a system call the kernel's answer.
std::string answer_in(const kj::Exception& exception) {
    std::string text = exception.getDescription().cStr();
    const size_t call = text.find("): ");
    if (call != std::string::npos) text.erase(0, call + 3);
    return text.substr(0, text.find("; "));
}

int complain(const std::string& text, int status) {
    fprintf(stderr, "noded-gateway: %s\n", text.c_str());
    return status;
}

/// Of an address that is none KJ says what it tried last.
std::string explain(const kj::Exception& exception, const std::string& listen) {
    const std::string answer = answer_in(exception);
    if (!answer.starts_with("DNS lookup failed")) return "listen at " + listen + ": " + answer;
    return "--listen takes ADDRESS:PORT, such as 127.0.0.1:9480 or [::]:9480, and \"" + listen +
           "\" is neither an address nor a name that is known here";
}

int run(const Options& options) {
    constexpr std::string_view kScheme = "unix:";
    std::string path = options.host;
    if (!path.starts_with(kScheme))
        return complain("a host is written as unix:PATH, not \"" + path + "\"", 2);
    path.erase(0, kScheme.size());
    if (path.starts_with("//")) path.erase(0, 2);
    if (path.empty()) return complain("\"" + options.host + "\" has no path: unix:PATH", 2);
    // Before the loop begins: the signals are taken by it.
    kj::UnixEventPort::captureSignal(SIGTERM);
    kj::UnixEventPort::captureSignal(SIGINT);
    auto io = kj::setupAsyncIo();
    NodeLink link(io, path);
    DiskUsage disk_usage(io, link, options.disk_usage_s);
    Server server(io, link, disk_usage);
    int status = 0;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
        auto address = io.provider->getNetwork()
                           .parseAddress(kj::StringPtr(options.listen.c_str()), kPort)
                           .wait(io.waitScope);
        auto port = address->listen();
        // None was said perhaps, or 0, for one that the kernel chooses.
        std::string where = options.listen;
        const size_t colon = where.rfind(':');
        if (colon != std::string::npos && where.find(']', colon) == std::string::npos)
            where.resize(colon);
        where += ":" + std::to_string(port->getPort());
        printf("noded-gateway: http://%s/metrics\n", where.c_str());
        fflush(stdout);
        auto ended = io.unixEventPort.onSignal(SIGTERM)
                         .exclusiveJoin(io.unixEventPort.onSignal(SIGINT))
                         .ignoreResult();
        server.serve(*port).exclusiveJoin(kj::mv(ended)).wait(io.waitScope);
    }))
        status = complain(explain(*exception, options.listen), 1);
    return status;
}

}  // namespace
}  // namespace noded::gateway

int main(int argc, char** argv) {
    signal(SIGPIPE, SIG_IGN);
    noded::gateway::Options options;
    const int status = noded::gateway::parse(argc, argv, options);
    return status >= 0 ? status : noded::gateway::run(options);
}
