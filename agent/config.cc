// Command line and configuration file become one Config; called once by main.
#include "agent/config.h"

#include <unistd.h>

#include <climits>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/limits.h"

namespace noded {

const char kUsage[] = R"(usage: noded [--state-dir DIR] [--runtime-dir DIR] [--plugin-dir DIR]
             [--libexec-dir DIR]
             [--config FILE] [--log-level LEVEL] [--version] [--help]

The node agent. Runs in the foreground and tells by sd_notify(3) when it is ready. SIGTERM stops it,
containers go on.

  --state-dir DIR     log, images, containers; survives a reboot       (/var/lib/noded)
  --runtime-dir DIR   sockets and what a reboot forgets                (/run/noded)
  --plugin-dir DIR    *.so in it are loaded, now and when they appear  (../lib/noded/plugins)
  --libexec-dir DIR   where the shim is                                (../libexec/noded)
  --log-level LEVEL   error, warning, info or debug                    (info)
  --config FILE       JSON object with these settings in camelCase, and socketGroup (a group that
                      may use the socket besides root), logSegmentBytes, logSegmentsMax,
                      snapshotEveryEvents; the command line wins
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
};

static constexpr Setting kSettings[] = {
    {"--state-dir", "stateDir", &Config::state_dir, nullptr},
    {"--runtime-dir", "runtimeDir", &Config::runtime_dir, nullptr},
    {"--plugin-dir", "pluginDir", &Config::plugin_dir, nullptr},
    {"--libexec-dir", "libexecDir", &Config::libexec_dir, nullptr},
    {"--log-level", "logLevel", &Config::log_level, nullptr},
    {nullptr, "socketGroup", &Config::socket_group, nullptr},
    {nullptr, "logSegmentBytes", nullptr, &Config::log_segment_bytes},
    {nullptr, "logSegmentsMax", nullptr, &Config::log_segments_max},
    {nullptr, "snapshotEveryEvents", nullptr, &Config::snapshot_every_events},
};

static Status read_file(const std::string& path, Config& config) {
    std::ifstream file(path);
    if (!file) return fail_errno(errno, "open the configuration " + path);
    const auto json = nlohmann::json::parse(file, nullptr, false);
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
        } else {
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

std::optional<Severity> severity_of(const std::string& level) {
    if (level == "error") return Severity::error;
    if (level == "warning") return Severity::warning;
    if (level == "info") return Severity::info;
    if (level == "debug") return Severity::debug;
    return std::nullopt;
}

static Status check(Config& config) {
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
    if (config.log_segments_max != 0 &&
        (config.log_segments_max < 4 || config.log_segments_max > 65536)) {
        return fail("logSegmentsMax must be from 4 to 65536");
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
            config.*setting.text = *value;
            known = true;
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

}  // namespace noded
