// What noded is told on its command line and in its configuration file; the command line wins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/logger.h"
#include "agent/base/result.h"
#include "agent/limits.h"

namespace noded {

struct Config {
    std::string state_dir = "/var/lib/noded";
    std::string runtime_dir = "/run/noded";
    std::string plugin_dir;            ///< default: ../lib/noded/plugins beside the program
    std::string libexec_dir;           ///< default: ../libexec/noded beside the program
    std::string socket_group;          ///< may use the socket besides root; empty: root alone
    std::string log_level = "info";    ///< error, warning, info, debug: of the diagnostics
    uint64_t log_segment_bytes = 0;    ///< of the event log; 0 is the built-in default
    uint64_t log_bytes_max = limits::log_bytes_max;   ///< log and snapshots together
    int64_t log_age_max_ns = 0;        ///< 0: events go by the limit of bytes alone
    bool archive = false;              ///< segments are compressed before they go
    uint64_t archive_bytes_max = limits::archive_bytes_max;   ///< all archives together
    uint64_t snapshot_every_events = 0;
    std::string publish_tcp;           ///< "tcp://ADDRESS:PORT"; empty: the publish socket is local
    std::string publish_key_file;      ///< secret key of this node there
    std::vector<std::string> publish_clients;  ///< public keys of those who are let in there
    /// Of plugins: id, key, value as text.
    std::map<std::string, std::map<std::string, std::string>> plugins;
    bool show_help = false;
    bool show_version = false;
};

extern const char kUsage[];

/// Of the event log: the one asked for, at most what the limit of bytes allows.
uint64_t segment_bytes(const Config& config);

/// What a log level names; nothing if it is none.
std::optional<Severity> severity_of(const std::string& level);

/// Reads arguments and, if one names it, the file. The error is a sentence for whoever typed them.
Result<Config> read_config(int argc, char** argv);

/// A file for read_config that has what plugins are told, and nothing else.
std::string file_of_plugins(const Config& config);

}  // namespace noded
