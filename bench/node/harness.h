// What the benchmarks of a whole node share. Each is one file and one function below;
// node_bench.cc chooses by the first argument.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/check.h"
#include "agent/base/result.h"
#include "bench/node/objects.h"
#include "ipc/rpc/client.h"
#include "schemas/node.capnp.h"

namespace noded::bench {

struct Arguments {
    std::string host;           ///< of the node; "HOST:PORT" or a socket's path of a peer
    std::string told;           ///< file of what was acknowledged
    uint64_t outstanding = 1;
    uint64_t connections = 1;
    uint64_t objects = 0;
    double seconds = 1;
    int kill = 0;               ///< pid to kill at full speed
    std::vector<std::string> command;   ///< after "--"
};

// Each prints one line of JSON.
Status put_load(const Arguments& arguments);
Status check_told(const Arguments& arguments);
Status fill(const Arguments& arguments);
Status snapshot_pause(const Arguments& arguments);
Status quiet_pause(const Arguments& arguments);
Status late_pause(const Arguments& arguments);
Status first_answer(const Arguments& arguments);
Status list_containers(const Arguments& arguments);
Status redis_load(const Arguments& arguments);
Status etcd_load(const Arguments& arguments);

/// One acknowledged command, as it stands in the file of them.
struct Told {
    uint64_t number;
    uint64_t seq;
};

inline double now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// Latencies in microseconds, of a load that lasted so long.
inline void print_load(std::vector<double> latencies, double seconds) {
    CHECK(!latencies.empty());
    std::sort(latencies.begin(), latencies.end());
    printf("{\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"answers\":%zu}\n",
           static_cast<double>(latencies.size()) / seconds, latencies[latencies.size() / 2],
           latencies[latencies.size() * 99 / 100], latencies.size());
}

/// Puts `count` objects from `number` on; the command's id is made of `id_number`.
inline kj::Promise<uint64_t> put(schema::Node::Client& node, uint64_t number, uint64_t count,
                                 uint64_t id_number) {
    struct put payload{};
    payload.number = number;
    payload.count = count;
    for (uint64_t& word : payload.words) word = number ^ 0x1234567812345678;
    uint8_t id[32] = {};
    memcpy(id, &id_number, sizeof id_number);
    id[31] = 1;   // all zero is no command: what a plugin found by itself has that
    // What is not hinted at is a message of 8 KiB, filled with zeros.
    auto request = node.submitRequest(capnp::MessageSize{sizeof payload / 8 + 32, 0});
    auto command = request.initCommand();
    command.setId(kj::arrayPtr(id, sizeof id));
    command.setType(PUT_OBJECTS);
    command.setPayload(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&payload), sizeof payload));
    return request.send().then([](capnp::Response<schema::Node::SubmitResults>&& response) {
        const auto outcome = response.getOutcome();
        CHECK_MSG(outcome.isAccepted(), "the node rejected a command");
        return outcome.getAccepted().getFirstSeq();
    });
}

}  // namespace noded::bench
