// Command line and configuration file become one Config; called once by main.
#include "agent/config.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/base/number.h"
#include "agent/limits.h"

namespace noded {

const char kUsage[] = R"(usage: noded [--state-dir DIR] [--runtime-dir DIR] [--plugin-dir DIR]
             [--libexec-dir DIR]
             [--config FILE] [--log-level LEVEL] [--log-bytes-max N] [--version] [--help]

The node agent. Runs in the foreground and tells by sd_notify(3) when it is ready. SIGTERM stops it,
containers go on.

  --state-dir DIR     log, images, containers; survives a reboot       (/var/lib/noded)
  --runtime-dir DIR   sockets and what a reboot forgets                (/run/noded)
  --plugin-dir DIR    *.so in it are loaded, now and when they appear  (../lib/noded/plugins)
  --libexec-dir DIR   where shim and files are                         (../libexec/noded)
  --log-level LEVEL   error, warning, info or debug                    (info)
  --log-bytes-max N   log and snapshots together, in bytes             (4294967296)
  --config FILE       JSON object with these settings in camelCase, and socketGroup (a group that
                      may use the socket besides root), logAgeMax (older events go: seconds, or
                      "30d", "12h"), logSegmentBytes, snapshotEveryEvents, archive (true: segments
                      are compressed into STATE/log/archive before they go), archiveBytesMax
                      (4294967296; the oldest archives go first), publishTcp ("tcp://ADDRESS:PORT":
                      samples, events and output are published there, too, encrypted),
                      publishKeyFile (from 'nodectl keygen'), publishClients (a list of the public
                      keys that are let in there) and plugins (an object of settings
                      for each, by the plugin's id); the command line wins
)";

/// `sub` below the folder above the one that this program is in: bin/noded → lib/noded/plugins.
static std::string beside_program(const char* sub) {
    char path[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0) return std::string("/usr/local/") + sub;
    std::string folder(path, static_cast<size_t>(size));
    folder.resize(folder.rfind('/'));
    folder.resize(folder.rfind('/') + 1);
    return folder + sub;
}

struct Setting {
    const char* flag;
    const char* key;
    std::string Config::* text;
    uint64_t Config::* number;
    /// of a value that is neither; false if it is not one
    bool (*read)(const nlohmann::json& value, Config& config) = nullptr;
};

/// Seconds, or a number with a unit: 90, "90s", "30m", "12h", "7d".
static bool read_age(const nlohmann::json& value, Config& config) {
    constexpr std::pair<char, int64_t> kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    constexpr int64_t kSecondsMax = INT64_MAX / 1'000'000'000;
    int64_t count = 0, unit = 0;
    if (value.is_number_unsigned()) {
        count = value.get<int64_t>();
        unit = 1;
    } else if (value.is_string()) {
        const auto text = value.get<std::string>();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
        for (const auto& [letter, seconds] : kUnits)
            if (error == std::errc() && std::string_view(end) == std::string_view(&letter, 1))
                unit = seconds;
    }
    if (unit == 0 || count < 0 || count > kSecondsMax / unit) return false;
    config.log_age_max_ns = count * unit * 1'000'000'000;
    return true;
}

static bool read_archive(const nlohmann::json& value, Config& config) {
    if (!value.is_boolean()) return false;
    config.archive = value.get<bool>();
    return true;
}

/// {"storage": {"entriesMax": 1000}}: each plugin's settings are flat, and text to it.
static bool read_plugins(const nlohmann::json& value, Config& config) {
    if (!value.is_object()) return false;
    for (const auto& [plugin, settings] : value.items()) {
        if (!settings.is_object()) return false;
        for (const auto& [key, setting] : settings.items()) {
            if (setting.is_object() || setting.is_array() || setting.is_null()) return false;
            config.plugins[plugin][key] =
                setting.is_string() ? setting.get<std::string>() : setting.dump();
        }
    }
    return true;
}

static bool read_clients(const nlohmann::json& value, Config& config) {
    if (!value.is_array()) return false;
    for (const auto& key : value) {
        if (!key.is_string()) return false;
        config.publish_clients.push_back(key.get<std::string>());
    }
    return true;
}

static constexpr Setting kSettings[] = {
    {"--state-dir", "stateDir", &Config::state_dir, nullptr},
    {"--runtime-dir", "runtimeDir", &Config::runtime_dir, nullptr},
    {"--plugin-dir", "pluginDir", &Config::plugin_dir, nullptr},
    {"--libexec-dir", "libexecDir", &Config::libexec_dir, nullptr},
    {"--log-level", "logLevel", &Config::log_level, nullptr},
    {nullptr, "socketGroup", &Config::socket_group, nullptr},
    {nullptr, "logSegmentBytes", nullptr, &Config::log_segment_bytes},
    {"--log-bytes-max", "logBytesMax", nullptr, &Config::log_bytes_max},
    {nullptr, "logAgeMax", nullptr, nullptr, read_age},
    {nullptr, "archive", nullptr, nullptr, read_archive},
    {nullptr, "archiveBytesMax", nullptr, &Config::archive_bytes_max},
    {nullptr, "publishTcp", &Config::publish_tcp, nullptr},
    {nullptr, "publishKeyFile", &Config::publish_key_file, nullptr},
    {nullptr, "publishClients", nullptr, nullptr, read_clients},
    {nullptr, "plugins", nullptr, nullptr, read_plugins},
    {nullptr, "snapshotEveryEvents", nullptr, &Config::snapshot_every_events},
};

static Status read_file(const std::string& path, Config& config) {
    std::ifstream file(path);
    if (!file) return fail_errno(errno, "open the configuration " + path);
    nlohmann::json json;
    try {
        json = nlohmann::json::parse(file);
    } catch (const nlohmann::json::parse_error& error) {
        return fail("the configuration " + path + " is not a JSON object: byte " +
                    std::to_string(error.byte) + " is wrong");
    }
    if (!json.is_object()) return fail("the configuration " + path + " is not a JSON object");
    for (const auto& [key, value] : json.items()) {
        const Setting* found = nullptr;
        for (const Setting& setting : kSettings) {
            if (key == setting.key) found = &setting;
        }
        if (found == nullptr)
            return fail("the configuration " + path + " has an unknown key: " + key);
        if (found->text != nullptr && value.is_string()) {
            config.*found->text = value.get<std::string>();
        } else if (found->number != nullptr && value.is_number_unsigned()) {
            config.*found->number = value.get<uint64_t>();
        } else if (found->read == nullptr || !found->read(value, config)) {
            return fail("the configuration " + path + " has a value of the wrong type for " + key);
        }
    }
    return {};
}

/// The value of `flag` if argument `i` is it, as "--flag value" or "--flag=value".
static Result<std::optional<std::string>> value_of(const char* flag, int argc, char** argv,
                                                   int& i) {
    const size_t length = strlen(flag);
    if (strncmp(argv[i], flag, length) != 0) return std::nullopt;
    if (argv[i][length] == '=') return argv[i] + length + 1;
    if (argv[i][length] != '\0') return std::nullopt;
    if (i + 1 == argc) return fail(std::string("flag needs an argument: ") + flag);
    return argv[++i];
}

static Result<uint64_t> number_of(const char* flag, const std::string& text) {
    uint64_t number = 0;
    if (to_number(text, number)) return number;
    return fail(std::string(flag) + " takes a number, not \"" + text + "\"");
}

std::optional<Severity> severity_of(const std::string& level) {
    if (level == "error") return Severity::error;
    if (level == "warning") return Severity::warning;
    if (level == "info") return Severity::info;
    if (level == "debug") return Severity::debug;
    return std::nullopt;
}

/// All three or none; what the keys are worth the socket says.
static Status check_publish(const Config& config) {
    constexpr size_t kKeyBytes = 40;
    if (config.publish_tcp.empty()) {
        if (config.publish_key_file.empty() && config.publish_clients.empty()) return {};
        return fail("publishKeyFile and publishClients are for publishTcp, which is not set");
    }
    if (!config.publish_tcp.starts_with("tcp://"))
        return fail("publishTcp is written as tcp://ADDRESS:PORT, not \"" + config.publish_tcp +
                    "\"");
    if (config.publish_key_file.empty())
        return fail("publishTcp needs publishKeyFile: make one with 'nodectl keygen FILE'");
    if (config.publish_clients.empty())
        return fail("publishTcp needs publishClients, the public keys of those who are let in");
    if (config.publish_clients.size() > limits::publish_clients_max)
        return fail("publishClients has more than " +
                    std::to_string(limits::publish_clients_max) + " keys");
    for (const std::string& key : config.publish_clients)
        if (key.size() != kKeyBytes)
            return fail("publishClients has \"" + key + "\", which is no public key: those have " +
                        std::to_string(kKeyBytes) + " characters");
    return {};
}

static Status check(Config& config) {
    TRY_STATUS(check_publish(config));
    for (std::string* dir :
         {&config.state_dir, &config.runtime_dir, &config.plugin_dir, &config.libexec_dir}) {
        if (dir->empty() || dir->front() != '/')
            return fail("\"" + *dir + "\" is not an absolute path");
        while (dir->size() > 1 && dir->back() == '/') dir->pop_back();
    }
    // The longest socket below the runtime directory must fit into sockaddr_un (unix(7)).
    constexpr size_t runtime_dir_max = 108 - 1 - sizeof "/plugins/container/" - 24;
    if (config.runtime_dir.size() > runtime_dir_max) {
        return fail("the runtime directory's path is longer than " +
                    std::to_string(runtime_dir_max) + " bytes, which sockets in it do not allow");
    }
    if (!severity_of(config.log_level)) {
        return fail("\"" + config.log_level +
                    "\" is not a log level: error, warning, info or debug");
    }
    if (config.log_bytes_max < limits::log_bytes_max_min) {
        return fail("logBytesMax must be at least " + std::to_string(limits::log_bytes_max_min));
    }
    if (config.log_age_max_ns != 0 && config.log_age_max_ns < limits::log_age_max_min_ns) {
        return fail("logAgeMax must be at least a minute, or 0 for no limit");
    }
    const uint64_t archive_min =
        std::max<uint64_t>(limits::archive_bytes_max_min, 2 * segment_bytes(config));
    if (config.archive && config.archive_bytes_max < archive_min) {
        return fail("archiveBytesMax must be at least " + std::to_string(archive_min) +
                    ": two segments of the log");
    }
    const uint64_t segment = config.log_segment_bytes;
    if (segment != 0 &&
        (segment % limits::log_block_bytes != 0 || segment < limits::log_batch_bytes_max * 2)) {
        return fail("logSegmentBytes must be a multiple of " +
                    std::to_string(limits::log_block_bytes) + " and at least " +
                    std::to_string(limits::log_batch_bytes_max * 2));
    }
    return {};
}

uint64_t segment_bytes(const Config& config) {
    const uint64_t wanted =
        config.log_segment_bytes != 0 ? config.log_segment_bytes : limits::log_segment_bytes;
    const uint64_t part = config.log_bytes_max / limits::log_segments_in_bytes_max;
    return std::min(wanted, part / limits::log_block_bytes * limits::log_block_bytes);
}

static Status read_arguments(int argc, char** argv, Config& config, std::string* file) {
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            config.show_help = true;
            continue;
        }
        if (strcmp(argv[i], "--version") == 0) {
            config.show_version = true;
            continue;
        }
        bool known = false;
        if (auto value = TRY(value_of("--config", argc, argv, i))) {
            *file = *value;
            continue;
        }
        for (const Setting& setting : kSettings) {
            if (setting.flag == nullptr || known) continue;
            const auto value = TRY(value_of(setting.flag, argc, argv, i));
            if (!value) continue;
            known = true;
            if (setting.text != nullptr) config.*setting.text = *value;
            else config.*setting.number = TRY(number_of(setting.flag, *value));
        }
        if (!known) return fail(std::string("unknown argument: ") + argv[i]);
    }
    return {};
}

Result<Config> read_config(int argc, char** argv) {
    Config config;
    config.plugin_dir = beside_program("lib/noded/plugins");
    config.libexec_dir = beside_program("libexec/noded");
    std::string file;
    Config only_for_file_name;
    TRY_STATUS(read_arguments(argc, argv, only_for_file_name, &file));
    if (!file.empty()) TRY_STATUS(read_file(file, config));
    TRY_STATUS(read_arguments(argc, argv, config, &file));
    TRY_STATUS(check(config));
    return config;
}

std::string file_of_plugins(const Config& config) {
    return nlohmann::json{{"plugins", config.plugins}}.dump();
}

}  // namespace noded
