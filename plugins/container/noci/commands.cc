// The table of commands and the reading of command lines. See command.h.
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "plugins/container/noci/command.h"

namespace noded::noci {
namespace {

constexpr Command kCommands[] = {
    {"checkpoint", "<container-id>", "checkpoint a running container: not by noci",
     checkpoint_command, 0, SIZE_MAX, true},
    {"completion", "bash|zsh", "print the completion script of a shell", completion_command, 1, 1},
    {"create", "<container-id>", "create a container", create_command, 1, 1},
    {"delete", "<container-id>", "delete any resources held by the container often used with "
     "detached container", delete_command, 1, 1},
    {"events", "<container-id>", "display container events such as OOM notifications, cpu, memory, "
     "and IO usage statistics", events_command, 1, 1},
    {"exec", "<container-id> <command> [command options]  || -p process.json <container-id>",
     "execute new process inside the container", exec_command, 1, SIZE_MAX, true, 255},
    {"features", "", "show the enabled features", features_command, 0, 0},
    {"kill", "<container-id> [signal]",
     "kill sends the specified signal (default: SIGTERM) to the container's init process",
     kill_command, 1, 2},
    {"list", "", "lists containers started by noci with the given root", list_command, 0, 0},
    {"pause", "<container-id>", "pause suspends all processes inside the container", pause_command,
     1, 1},
    {"ps", "<container-id> [ps options]", "ps displays the processes running inside a container",
     ps_command, 1, SIZE_MAX, true},
    {"restore", "<container-id>", "restore a container from a previous checkpoint: not by noci",
     restore_command, 0, SIZE_MAX, true},
    {"resume", "<container-id>", "resumes all processes that have been previously paused",
     resume_command, 1, 1},
    {"run", "<container-id>", "create and run a container", run_command, 1, 1},
    {"spec", "", "create a new specification file", spec_command, 0, 0},
    {"start", "<container-id>", "executes the user defined process in a created container",
     start_command, 1, 1},
    {"state", "<container-id>", "output the state of a container", state_command, 1, 1},
    {"update", "<container-id>", "update container resource constraints", update_command, 1, 1},
};

std::vector<std::string> names_of(const Flag& flag) {
    std::vector<std::string> names;
    const std::string all = flag.names;
    for (size_t at = 0; at < all.size();) {
        const size_t end = std::min(all.find(',', at), all.size());
        names.push_back(all.substr(at, end - at));
        at = end + 1;
    }
    return names;
}

Status set_flag(const Flag& flag, const std::string& name, const std::string& value) {
    const auto wrong = [&](const char* kind) {
        return fail("invalid value \"" + value + "\" for flag -" + name + ": " + kind);
    };
    if (const auto* flag_bool = std::get_if<bool*>(&flag.target)) {
        if (value != "true" && value != "false" && value != "1" && value != "0")
            return fail("invalid boolean value \"" + value + "\" for -" + name + ": parse error");
        **flag_bool = value == "true" || value == "1";
    } else if (const auto* text = std::get_if<std::string*>(&flag.target)) {
        **text = value;
    } else if (const auto* list = std::get_if<std::vector<std::string>*>(&flag.target)) {
        (*list)->push_back(value);
    } else {
        int64_t number = 0;
        const auto [end, error] =
            std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc() || end != value.data() + value.size() || value.empty())
            return wrong("parse error");
        **std::get_if<std::optional<int64_t>*>(&flag.target) = number;
    }
    return {};
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

void print(const std::string& text) {
    for (size_t at = 0; at < text.size();) {
        const ssize_t count = write(STDOUT_FILENO, text.data() + at, text.size() - at);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        at += size_t(count);
    }
}

Status parse_flags(std::span<const Flag> flags, std::span<const std::string> words,
                   bool stops_early, std::vector<std::string>* out, bool* help) {
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--") {
            out->insert(out->end(), words.begin() + ptrdiff_t(i) + 1, words.end());
            return {};
        }
        if (word.size() < 2 || word[0] != '-') {
            out->push_back(word);
            if (!stops_early) continue;
            out->insert(out->end(), words.begin() + ptrdiff_t(i) + 1, words.end());
            return {};
        }
        const size_t dashes = word[1] == '-' ? 2 : 1;
        const size_t equals = word.find('=');
        const std::string name = word.substr(dashes, equals - dashes);
        if (name == "help" || name == "h") {
            *help = true;
            continue;
        }
        const auto found = std::ranges::find_if(flags, [&](const Flag& flag) {
            return std::ranges::count(names_of(flag), name) > 0;
        });
        if (found == flags.end()) return fail("flag provided but not defined: -" + name);
        const bool is_bool = std::holds_alternative<bool*>(found->target);
        if (equals == std::string::npos && !is_bool && i + 1 == words.size())
            return fail("flag needs an argument: -" + name);
        const std::string value = equals != std::string::npos ? word.substr(equals + 1)
                                  : is_bool                    ? "true"
                                                               : words[++i];
        TRY_STATUS(set_flag(*found, name, value));
    }
    return {};
}

std::string describe_flags(std::span<const Flag> flags) {
    std::string text;
    size_t width = 0;
    const auto spelled = [](const Flag& flag) {
        std::string line = "   ";
        for (const std::string& name : names_of(flag))
            line += (line.size() > 3 ? ", -" : name.size() > 1 ? "--" : "-") + name;
        return line + (std::holds_alternative<bool*>(flag.target) ? "  " : " value  ");
    };
    for (const Flag& flag : flags) width = std::max(width, spelled(flag).size());
    for (const Flag& flag : flags) {
        std::string line = spelled(flag);
        line.resize(width, ' ');
        text += line + flag.help + "\n";
    }
    return text;
}

Result<std::optional<int>> Call::parse(std::span<const Flag> flags) {
    std::vector<std::string> rest;
    bool help = false;
    TRY_STATUS(parse_flags(flags, words, command.stops_early, &rest, &help));
    const std::string name = command.name;
    const std::string usage = "NAME:\n   noci " + name + " - " + command.description +
                              "\n\nUSAGE:\n   noci " + name + " [command options] " +
                              command.usage + "\n" +
                              (flags.empty() ? "" : "\nOPTIONS:\n" + describe_flags(flags));
    if (help) {
        print(usage);
        return std::optional(0);
    }
    const auto wrong = [&](const std::string& how) {
        print("Incorrect Usage.\n\n" + usage);
        return fail("noci: \"" + name + "\" requires " + how + " argument(s)");
    };
    if (command.arguments_min == command.arguments_max && rest.size() != command.arguments_min)
        return wrong("exactly " + std::to_string(command.arguments_min));
    if (rest.size() < command.arguments_min)
        return wrong("a minimum of " + std::to_string(command.arguments_min));
    if (rest.size() > command.arguments_max)
        return wrong("a maximum of " + std::to_string(command.arguments_max));
    words = std::move(rest);
    return std::optional<int>();
}

}  // namespace noded::noci
