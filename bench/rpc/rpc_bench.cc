// A small call over a unix socket: noded's transport (server on the reactor, client as in nodectl)
// against stock KJ on epoll at both ends, everything pinned to one CPU. Prints one JSON object of
// medians; bench/compare/run reads it.
//
// The sides take turns, block by block, so that whatever else the machine does hits both.
// "ours_stock_client" is our server with KJ's own client, which shows what the server alone gains.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "agent/reactor/uring_reactor.h"
#include "ipc/rpc/client.h"
#include "ipc/rpc/echo.h"
#include "ipc/rpc/plain_calls.h"
#include "ipc/rpc/server.h"

namespace noded::rpc {
namespace {

using test::Echo;

constexpr int rounds = 9;
constexpr int single_calls = 2000;
constexpr int many_calls = 20000;
constexpr int outstanding = 64;
constexpr int connections = 300;
constexpr size_t payload_bytes = 32;

double now_us() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

double median(std::vector<double> values) {
    CHECK(!values.empty());
    std::ranges::sort(values);
    return values[values.size() / 2];
}

void pin_to_one_cpu() {
    cpu_set_t allowed;
    CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        CPU_ZERO(&allowed);
        CPU_SET(cpu, &allowed);
        break;
    }
    CHECK(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
}

// Where it is allowed, other programs do not get this CPU meanwhile.
void come_first() {
    const sched_param parameters{.sched_priority = 10};
    [[maybe_unused]] const int refused = sched_setscheduler(0, SCHED_FIFO, &parameters);
}

void serve_ours(Fd listening) {
    auto reactor = reactor::UringReactor::create();
    CHECK(reactor.has_value());
    const PlainMethods plain(capnp::Schema::from<Echo>());
    RpcServer server(**reactor, std::move(listening), [&plain](const PeerCredentials& peer) {
        return rpc::serve(kj::heap<test::EchoServer>(peer), plain);
    });
    kj::Promise<void>(kj::NEVER_DONE).wait((*reactor)->wait_scope());
}

void serve_stock(Fd listening) {
    auto io = kj::setupAsyncIo();
    auto receiver = io.lowLevelProvider->wrapListenSocketFd(
        listening.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
    capnp::TwoPartyServer server(kj::heap<test::EchoServer>());
    server.listenCapStreamReceiver(*receiver, limits::rpc_fds_per_message_max).wait(io.waitScope);
}

// A server process that ends with this one.
pid_t start(const std::string& path, void (*serve)(Fd)) {
    auto listening = listen_unix(path, 0600, 512);
    CHECK(listening.has_value());
    const pid_t parent = getpid();
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        serve(std::move(*listening));
        _exit(0);
    }
    return child;
}

// Runs `body` with a connection of the named kind.
using Body = std::function<void(Echo::Client, kj::WaitScope&)>;
using Connect = void (*)(const std::string& path, const Body& body);

void with_our_client(const std::string& path, const Body& body) {
    auto client = Client::connect("unix:" + path);
    CHECK(client.has_value());
    body((*client)->bootstrap().castAs<Echo>(), (*client)->wait_scope());
}

void with_stock_client(const std::string& path, const Body& body) {
    auto io = kj::setupAsyncIo();
    auto fd = connect_unix(path);
    CHECK(fd.has_value());
    auto stream = io.lowLevelProvider->wrapUnixSocketFd(
        fd->release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
    capnp::TwoPartyClient client(*stream, limits::rpc_fds_per_message_max);
    body(client.bootstrap().castAs<Echo>(), io.waitScope);
}

kj::Promise<void> call(Echo::Client& server) {
    static const kj::byte payload[payload_bytes] = {};
    auto request = server.echoRequest();
    request.setData(kj::arrayPtr(payload, payload_bytes));
    return request.send().then([](capnp::Response<Echo::EchoResults>&& response) {
        CHECK(response.getData().size() == payload_bytes);
    });
}

double single_us(Echo::Client server, kj::WaitScope& scope) {
    for (int i = 0; i < 100; ++i) call(server).wait(scope);
    std::vector<double> times;
    for (int i = 0; i < single_calls; ++i) {
        const double begin = now_us();
        call(server).wait(scope);
        times.push_back(now_us() - begin);
    }
    return median(std::move(times));
}

// One of the callers that together keep so many calls under way.
kj::Promise<void> caller(Echo::Client& server, int& left) {
    if (left <= 0) return kj::READY_NOW;
    --left;
    return call(server).then([&server, &left] { return caller(server, left); });
}

double many_per_second(Echo::Client server, kj::WaitScope& scope) {
    auto run = [&](int calls) {
        kj::Vector<kj::Promise<void>> callers;
        for (int i = 0; i < outstanding; ++i) callers.add(caller(server, calls));
        kj::joinPromises(callers.releaseAsArray()).wait(scope);
    };
    run(10 * outstanding);
    const double begin = now_us();
    run(many_calls);
    return many_calls / (now_us() - begin) * 1e6;
}

double connect_us(const std::string& path, Connect connect) {
    std::vector<double> times;
    for (int i = 0; i < connections; ++i) {
        const double begin = now_us();
        connect(path, [](Echo::Client server, kj::WaitScope& scope) { call(server).wait(scope); });
        times.push_back(now_us() - begin);
    }
    return median(std::move(times));
}

struct Side {
    const char* name;
    std::string path;
    Connect connect;
    std::vector<double> single, many, fresh;
};

void measure(Side& side) {
    side.connect(side.path, [&](Echo::Client server, kj::WaitScope& scope) {
        side.single.push_back(single_us(server, scope));
        side.many.push_back(many_per_second(server, scope));
    });
    side.fresh.push_back(connect_us(side.path, side.connect));
}

void print(const char* name, std::span<const Side> sides, std::vector<double> Side::*values,
           bool last) {
    printf("\"%s\":{", name);
    for (size_t i = 0; i < sides.size(); ++i) {
        printf("%s\"%s\":%.1f", i == 0 ? "" : ",", sides[i].name, median(sides[i].*values));
    }
    printf("}%s", last ? "" : ",");
}

int main() {
    pin_to_one_cpu();
    come_first();
    std::string pattern = "/tmp/rpc-bench-XXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    const std::string ours = folder + "/ours", stock = folder + "/stock";
    const std::array children{start(ours, serve_ours), start(stock, serve_stock)};
    std::array sides{Side{"ours", ours, with_our_client}, Side{"peer", stock, with_stock_client},
                     Side{"ours_stock_client", ours, with_stock_client}};
    for (int round = 0; round < rounds; ++round) {
        for (Side& side : sides) measure(side);
    }
    printf("{");
    print("rpc_1_us", sides, &Side::single, false);
    print("rpc_64_calls_per_s", sides, &Side::many, false);
    print("rpc_connect_us", sides, &Side::fresh, true);
    printf("}\n");
    for (const pid_t child : children) {
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
    }
    for (const std::string& path : {ours, stock}) unlink(path.c_str());
    rmdir(folder.c_str());
    return 0;
}

}  // namespace
}  // namespace noded::rpc

int main() { return noded::rpc::main(); }
