// The list of all containers, page by page, as `nodectl ps` asks for it: one call after another
// over the node's socket. What it takes is the time inside noded, and two wake-ups.
#include <cstdio>

#include "bench/node/harness.h"
#include "schemas/container.capnp.h"

namespace noded::bench {
namespace {

constexpr int kWarmUps = 10;
constexpr int kLists = 200;

/// How many containers there are.
uint64_t list_once(rpc::Client& client, schema::Container::Client& container) {
    uint64_t count = 0;
    std::string after;
    do {
        auto request = container.listRequest();
        request.setAfter(after);
        const auto page = client.wait(request.send());
        CHECK_MSG(page.has_value(), page ? "" : page.error().message.c_str());
        count += page->getContainers().size();
        after = page->getNext().cStr();
    } while (!after.empty());
    return count;
}

}  // namespace

Status list_containers(const Arguments& arguments) {
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    auto plugin = node.pluginRequest();
    plugin.setName("container");
    auto container = plugin.send().getInterface().castAs<schema::Container>();
    for (int i = 0; i < kWarmUps; ++i) list_once(*client, container);
    std::vector<double> latencies;
    uint64_t count = 0;
    for (int i = 0; i < kLists; ++i) {
        const double begin = now_us();
        count = list_once(*client, container);
        latencies.push_back(now_us() - begin);
    }
    std::sort(latencies.begin(), latencies.end());
    printf("{\"containers\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           static_cast<unsigned long long>(count), latencies[kLists / 2] / 1e3,
           latencies[kLists * 99 / 100] / 1e3);
    return {};
}

}  // namespace noded::bench
