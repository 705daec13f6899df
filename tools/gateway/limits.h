// Bounds of the gateway.
#pragma once

#include <cstddef>
#include <cstdint>

namespace noded::gateway::limits {

constexpr size_t connections_max = 64;          ///< of HTTP clients; further ones are answered 503
constexpr size_t scrapes_max = 8;               ///< at the same time; further ones are answered 503
constexpr int64_t header_seconds_max = 10;      ///< until a request's head is there
constexpr int64_t idle_seconds_max = 120;       ///< between two requests of a connection
constexpr int64_t request_seconds_max = 30;     ///< until the client has taken its answer
/// Until noded has answered: less than the 10 s after which Prometheus gives up by itself.
constexpr int64_t noded_seconds_max = 8;
constexpr int64_t walk_period_seconds_max = 86'400;  ///< between two walks through all files
/// After a walk through all files so many times as long as it took nobody begins another one.
constexpr int64_t walk_rest = 20;
constexpr int64_t walk_seconds_max = 60;        ///< of one container
constexpr size_t containers_per_question = 256; ///< so that an answer fits into a message
constexpr size_t containers_max = 16'384;       ///< of further ones nothing is told
constexpr size_t label_name_bytes_max = 128;    ///< labels of containers; longer ones are left out
constexpr size_t label_value_bytes_max = 1024;
constexpr size_t labels_max = 64;               ///< of one container

}  // namespace noded::gateway::limits
