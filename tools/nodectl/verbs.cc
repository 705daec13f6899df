// The table of verbs, and how their command lines are read. See verb.h.
#include "tools/nodectl/verb.h"

#include <unistd.h>

#include <algorithm>

namespace noded::nodectl {
namespace {

constexpr const char* kContainers = "[OPTIONS] CONTAINER [CONTAINER...]";

constexpr Verb kVerbs[] = {
    {"run,container run", "[OPTIONS] IMAGE [COMMAND] [ARG...]",
     "Create and run a new container from an image", run, kRunFailed, Order::stops_early},
    {"create,container create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container",
     create, kRunFailed, Order::stops_early},
    {"start,container start", kContainers, "Start one or more stopped containers", start},
    {"stop,container stop", kContainers, "Stop one or more running containers", stop},
    {"restart,container restart", kContainers, "Restart one or more containers", restart},
    {"pause,container pause", "CONTAINER [CONTAINER...]",
     "Pause all processes within one or more containers", pause_container},
    {"unpause,container unpause", "CONTAINER [CONTAINER...]",
     "Unpause all processes within one or more containers", unpause_container},
    {"rename,container rename", "CONTAINER NEW_NAME", "Rename a container", rename_container},
    {"update,container update", kContainers, "Update limits or restart policy of containers",
     update},
    {"kill,container kill", kContainers, "Kill one or more running containers", kill_container},
    {"rm,container rm,container remove", kContainers, "Remove one or more containers", rm},
    {"ps,container ls,container list,container ps", "[OPTIONS]", "List containers", ps},
    {"exec,container exec", "[OPTIONS] CONTAINER COMMAND [ARG...]",
     "Execute a command in a running container", exec, kFailed, Order::stops_early},
    {"attach,container attach", "[OPTIONS] CONTAINER",
     "Attach to the standard streams of a running container", attach},
    {"commit,container commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
     "Create a new image from a container's changes", commit},
    {"cp,container cp",
     "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n        nodectl cp [OPTIONS] SRC_PATH|- "
     "CONTAINER:DEST_PATH",
     "Copy files/folders between a container and the local filesystem", cp},
    {"diff,container diff", "CONTAINER",
     "Inspect changes to files or directories on a container's filesystem", diff},
    {"export,container export", "[OPTIONS] CONTAINER",
     "Export a container's filesystem as a tar archive", export_container},
    {"logs,container logs", "[OPTIONS] CONTAINER [CONTAINER...]",
     "Fetch the logs of one or more containers", logs},
    {"wait,container wait", "CONTAINER [CONTAINER...]",
     "Block until containers stop, then print their exit codes", wait_container},
    {"top,container top", "[CONTAINER [ps OPTIONS]]",
     "Display the running processes of a container; without one the node at a glance (h: help)",
     top, kFailed, Order::stops_early},
    {"stats,container stats", "[OPTIONS] [CONTAINER...]",
     "Display a live stream of what containers use", stats},
    {"port,container port", "CONTAINER [PRIVATE_PORT[/PROTO]]",
     "List port mappings or a specific mapping for the container", port},
    {"container prune", "[OPTIONS]", "Remove all stopped containers", container_prune},
    {"inspect", "[OPTIONS] NAME|ID [NAME|ID...]",
     "Show everything about containers and images, as JSON", inspect},
    {"container inspect", kContainers, "Show everything about containers, as JSON",
     inspect_container},
    {"image inspect", "[OPTIONS] IMAGE [IMAGE...]", "Show everything about images, as JSON",
     inspect_image},
    {"images,image ls,image list", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", images},
    {"history,image history", "[OPTIONS] IMAGE", "Show the history of an image", history},
    {"image import,import", "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
     "Make an image of a root file system archive", image_import},
    {"image load,load", "[OPTIONS]",
     "Load images from an archive made by docker save, or an OCI layout", image_load},
    {"save,image save", "[OPTIONS] IMAGE [IMAGE...]",
     "Save one or more images to a tar archive (streamed to STDOUT by default)", image_save},
    {"rmi,image rm,image remove", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", rmi},
    {"image prune", "[OPTIONS]", "Remove unused images", image_prune},
    {"tag,image tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Give an image another name", tag},
    {"events,system events", "[OPTIONS]",
     "Show the events of the node: its history, or as they happen", events},
    {"sub,system sub", "[OPTIONS] TOPIC [TOPIC...]",
     "Follow samples, events and output as the node publishes them", subscribe, kFailed,
     Order::anywhere, true},
    {"serve", "[OPTIONS] [tcp://ADDRESS[:PORT]]",
     "Let nodectl on other machines talk to this node, over TLS", serve, kFailed, Order::anywhere,
     true},
    {"system dial-stdio", "", nullptr, dial_stdio, kFailed, Order::anywhere, true},
    {"keygen", "FILE", "Make a pair of keys for streams over TCP: FILE and FILE.pub", keygen,
     kFailed, Order::anywhere, true},
    {"events diff", "--from SEQ|TIME [OPTIONS]",
     "Show what changed between two moments, and which commands caused it", events_diff},
    {"plugin ls,plugin list", "[OPTIONS]", "List plugins", plugin_ls},
    {"plugin inspect", "[OPTIONS] PLUGIN [PLUGIN...]", "Show everything about plugins, as JSON",
     plugin_inspect},
    {"system prune", "[OPTIONS]", "Remove unused data", system_prune},
    {"call", "PLUGIN METHOD [JSON|-]", "Call a method of a plugin", call_plugin},
    {"version", "[OPTIONS]", "Show the versions of nodectl and noded", version},
    {"info,system info", "[OPTIONS]", "Show information about the node", info},
    {"completion", "SHELL", "Print the completion script of a shell: bash, zsh or fish", completion,
     kFailed, Order::anywhere, true},
    {"man", "", "Print the manual page of nodectl", man, kFailed, Order::anywhere, true},
    {"__complete", "-- WORD [WORD...]", nullptr, complete, kFailed, Order::stops_early, true},
};

// By main spelling; all others may change something.

/// Answered from the log, so also as of then.
constexpr std::string_view kReads[] = {
    "ps",     "port",   "inspect",   "container inspect", "image inspect",
    "images", "history", "events",   "events diff",       "plugin ls",
    "plugin inspect",    "info",
};
/// What they show is in no log.
constexpr std::string_view kLive[] = {
    "logs",  "attach", "wait",   "top",        "version", "diff",       "export",
    "stats", "sub",    "keygen", "completion", "man",     "__complete", "save",
};

/// Whether it stands in the table as a main spelling.
constexpr bool is_verb(std::string_view name) {
    return std::ranges::any_of(kVerbs, [name](const Verb& verb) {
        const std::string_view all = verb.spellings;
        return all.substr(0, all.find(',')) == name;
    });
}
static_assert(std::ranges::all_of(kReads, is_verb) && std::ranges::all_of(kLive, is_verb));

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

Past Verb::past() const {
    const std::string name = main_spelling();
    if (std::ranges::find(kReads, name) != std::end(kReads)) return Past::answers;
    return std::ranges::find(kLive, name) != std::end(kLive) ? Past::live : Past::changes;
}

std::string Verb::main_spelling() const {
    const std::string_view all = spellings;
    return std::string(all.substr(0, all.find(',')));
}

/// Without a copy of each: every command looks here before it does anything.
static bool is_spelled(const Verb& verb, std::string_view wanted) {
    for (std::string_view rest = verb.spellings;;) {
        const size_t comma = rest.find(',');
        if (rest.substr(0, comma) == wanted) return true;
        if (comma == std::string_view::npos) return false;
        rest.remove_prefix(comma + 1);
    }
}

std::vector<std::string> Verb::all_spellings() const {
    std::vector<std::string> all;
    for (std::string_view rest = spellings; !rest.empty();) {
        const size_t comma = std::min(rest.find(','), rest.size());
        all.emplace_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return all;
}

FoundVerb find_verb(std::span<const std::string> words) {
    for (const size_t count : {size_t{2}, size_t{1}}) {
        if (words.size() < count) continue;
        const std::string wanted = count == 2 ? words[0] + " " + words[1] : words[0];
        for (const Verb& verb : verbs())
            if (is_spelled(verb, wanted)) return {&verb, wanted, count};
    }
    return {};
}

bool is_group(std::string_view word) {
    return word == "container" || word == "image" || word == "plugin" || word == "system";
}

std::vector<OptionText> option_texts(std::span<const Option> options) {
    std::vector<OptionText> texts;
    const auto add = [&](const Option& option) {
        const bool flag = std::holds_alternative<bool*>(option.target);
        texts.push_back({option.letter, option.name, flag ? "" : option.value_name,
                         option.help != nullptr ? option.help : ""});
    };
    for (const Option* option : shown_options(options)) add(*option);
    for (const Option& option : options)
        if (option.help == nullptr) add(option);
    return texts;
}

std::vector<OptionText> options_of(const Verb& verb) {
    std::vector<OptionText> texts;
    Session nobody("");
    Invocation call(verb, verb.main_spelling(), {}, nobody);
    call.described = &texts;
    verb.function(call);
    texts.push_back({0, "help", "", "Print usage"});
    return texts;
}

int Invocation::wrong(const std::string& message) const {
    const std::string name = "nodectl " + spelling;
    write_all(STDERR_FILENO, message + "\nSee '" + name + " --help'.\n");
    return kWrongFlag;
}

namespace {

/// What parse says of a value, and what a verb found out about one later.
bool is_of_a_flag(const Error& error) {
    return error.message.starts_with("invalid argument \"") &&
           error.message.find("\" flag: ") != std::string::npos;
}

std::string arity_message(const std::string& name, Arity arity) {
    const auto arguments = [](size_t count) {
        return std::to_string(count) + (count == 1 ? " argument." : " arguments.");
    };
    if (arity.max == 0) return "\"" + name + "\" accepts no arguments.";
    if (arity.min == arity.max) return "\"" + name + "\" requires exactly " + arguments(arity.min);
    if (arity.max == SIZE_MAX) return "\"" + name + "\" requires at least " + arguments(arity.min);
    return "\"" + name + "\" requires at least " + std::to_string(arity.min) + " and at most " +
           arguments(arity.max);
}

}  // namespace

int Invocation::failed(const Error& error) const {
    if (is_of_a_flag(error)) return wrong(error.message);
    print_error(error.message);
    return verb.failure;
}

std::optional<int> Invocation::parse(std::span<const Option> options, Arity arity) {
    if (described != nullptr) {
        *described = option_texts(options);
        return 0;
    }
    auto parsed = parse_options(options, arguments, verb.order);
    if (!parsed) return wrong(parsed.error().message);
    const std::string name = "nodectl " + spelling;
    const char* description = verb.description != nullptr ? verb.description : "";
    const std::string usage =
        "Usage:  " + name + " " + verb.usage + "\n\n" + description + "\n";
    if (parsed->help) {
        print(usage + "\nOptions:\n" + describe_options(options));
        return 0;
    }
    words = std::exchange(arguments, std::move(parsed->positional));
    if (arguments.size() < arity.min || arguments.size() > arity.max) {
        write_all(STDERR_FILENO,
                  arity_message(name, arity) + "\nSee '" + name + " --help'.\n\n" + usage);
        return kFailed;
    }
    if (verb.local) return std::nullopt;
    if (auto connected = session.connect(); !connected) return failed(connected.error());
    return std::nullopt;
}

}  // namespace noded::nodectl
