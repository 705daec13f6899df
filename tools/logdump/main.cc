// logdump: reads a log without noded. Finds the command, parses its options, runs it.
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "agent/base/logger.h"
#include "agent/base/version.h"
#include "agent/log/storage_file.h"
#include "tools/logdump/command.h"
#include "tools/nodectl/options.h"

namespace noded::logdump {

void say(const std::string& sentence) {
    fflush(stdout);
    fprintf(stderr, "logdump: %s\n", sentence.c_str());
}

int failed(const Error& error) {
    say(error.message);
    return kFailed;
}

void tell_damages(const History& history) {
    for (const Damage& damage : history.damages) say("damaged: " + damage.text);
}

Result<std::unique_ptr<log::Storage>> open_directory(Arguments& arguments) {
    std::error_code error;
    const std::string inner = arguments.directory + "/log";
    if (std::filesystem::is_directory(inner, error)) arguments.directory = inner;
    auto storage = TRY(log::open_file_storage_read_only(arguments.directory));
    for (const std::string& name : TRY(storage->list())) {
        if (name.starts_with("segment-")) return storage;
    }
    return fail("there is no log in " + arguments.directory +
                ": DIR is the state directory of a noded, or the log in it");
}

namespace {

using nodectl::Option;

struct Command {
    const char* name;
    int (*run)(Arguments&);
    const char* description;
    const char* options;  ///< the names of those that it takes, separated by spaces
};

constexpr Command kCommands[] = {
    {"print", print, "Print the events", "since until output no-trunc plugin-dir"},
    {"verify", verify, "Judge every byte of segments, archives and snapshots", ""},
    {"hash", hash, "Replay to the state and print a hash of it, per plugin and in all",
     "at no-snapshot plugin-dir"},
    {"export", export_events, "Print the events as JSON lines, nothing left out",
     "from to plugin-dir"},
    {"cut", cut, "Cut a damaged end off, and keep what is cut", "at"},
};

std::string usage() {
    std::string text =
        "Usage:  logdump COMMAND [OPTIONS] DIR\n\n"
        "Reads the event log of a noded, without it, beside it, or from a copy. DIR is the state\n"
        "directory or the log in it. Only cut changes anything, and only when told where.\n\n"
        "Commands:\n";
    for (const Command& command : kCommands) {
        text += "  " + std::string(command.name) + std::string(10 - strlen(command.name), ' ') +
                command.description + "\n";
    }
    return text +
           "\nThe exit code is 0 if all is well, 1 if it could not be done, 2 if the command line "
           "is wrong,\n3 if the log is damaged.\n"
           "Run 'logdump COMMAND --help' for more about a command.\n";
}

bool takes(const Command& command, const std::string& option) {
    return (" " + std::string(command.options) + " ").find(" " + option + " ") != std::string::npos;
}

std::vector<Option> options_of(const Command& command, Arguments& arguments) {
    const bool cuts = command.run == cut;
    const Option all[] = {
        {0, "since", &arguments.since, "string",
         "From this seq (42), time (RFC 3339, @1700000000) or duration ago (10m)"},
        {0, "until", &arguments.until, "string", "Up to and with this seq, time or duration ago"},
        {0, "from", &arguments.since, "string",
         "From this seq (42), time (RFC 3339, @1700000000) or duration ago (10m)"},
        {0, "to", &arguments.until, "string", "Up to and with this seq, time or duration ago"},
        {'o', "output", &arguments.output, "string", "text or json (one object per line)"},
        {0, "no-trunc", &arguments.no_trunc, "", "Don't truncate ids and long values"},
        {0, "at", &arguments.at, "string",
         cuts ? "Where to cut, as verify and cut without it name the place (SEGMENT:BYTE)"
              : "After this seq (default: the newest)"},
        {0, "no-snapshot", &arguments.no_snapshot, "", "Replay from the first event"},
        {0, "plugin-dir", &arguments.plugin_dir, "string",
         "Where the plugins are (default: ../lib/noded/plugins beside the program)"},
    };
    std::vector<Option> taken;
    for (const Option& option : all) {
        if (takes(command, option.name)) taken.push_back(option);
    }
    return taken;
}

std::string default_plugin_dir() {
    char program[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", program, sizeof program);
    const std::filesystem::path path(
        std::string(program, size > 0 ? static_cast<size_t>(size) : 0));
    return path.parent_path().parent_path() / "lib/noded/plugins";
}

int run(const Command& command, const std::vector<std::string>& words) {
    Arguments arguments;
    arguments.plugin_dir = default_plugin_dir();
    const auto options = options_of(command, arguments);
    const auto parsed = nodectl::parse_options(options, words, nodectl::Order::anywhere);
    const std::string see = "\nSee 'logdump " + std::string(command.name) + " --help'.";
    if (!parsed) return say(parsed.error().message + see), kUsage;
    if (parsed->help) {
        printf("Usage:  logdump %s%s DIR\n\n%s\n", command.name,
               options.empty() ? "" : " [OPTIONS]", command.description);
        if (!options.empty())
            printf("\nOptions:\n%s", nodectl::describe_options(options).c_str());
        return kDone;
    }
    if (parsed->positional.size() != 1) {
        say("\"" + std::string(command.name) + "\" requires exactly one directory." + see);
        return kUsage;
    }
    arguments.directory = parsed->positional[0];
    return command.run(arguments);
}

int main_of(const std::vector<std::string>& words) {
    if (words.empty() || words[0] == "--help" || words[0] == "-h") {
        fputs(usage().c_str(), words.empty() ? stderr : stdout);
        return words.empty() ? kUsage : kDone;
    }
    if (words[0] == "--version") return printf("logdump version %s\n", kVersion), kDone;
    for (const Command& command : kCommands) {
        if (words[0] == command.name) return run(command, {words.begin() + 1, words.end()});
    }
    say("'" + words[0] + "' is not a logdump command.\nSee 'logdump --help'.");
    return kUsage;
}

}  // namespace
}  // namespace noded::logdump

int main(int argc, char** argv) {
    noded::set_log_threshold(noded::Severity::error);
    return noded::logdump::main_of({argv + 1, argv + argc});
}
