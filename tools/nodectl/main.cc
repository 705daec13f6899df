// nodectl: the operators' command line for one noded. Reads the global options, finds the verb,
// runs it.
//
// Start-up is part of every latency that a user sees: one static program, no streams, no locale,
// nothing before main.
#include <unistd.h>

#include <algorithm>

#include <kj/exception.h>

#include "tools/nodectl/remote.h"
#include "tools/nodectl/verb.h"
#include "agent/base/version.h"

namespace noded::nodectl {
namespace {

/// One line per verb; only those spelled "GROUP …" if a group is given.
std::string verb_list(std::string_view group) {
    std::vector<std::pair<std::string, const char*>> lines;
    for (const Verb& verb : verbs()) {
        if (verb.description == nullptr) continue;
        if (group.empty()) {
            lines.emplace_back(verb.main_spelling(), verb.description);
            continue;
        }
        const std::string_view all = verb.spellings;
        const size_t at = all.find(std::string(group) + " ");
        if (at == std::string_view::npos) continue;
        const std::string_view name = all.substr(at + group.size() + 1);
        lines.emplace_back(name.substr(0, name.find(',')), verb.description);
    }
    std::string out;
    for (const auto& [name, description] : lines) {
        out += "  " + name + std::string(name.size() < 18 ? 18 - name.size() : 1, ' ') +
               description + "\n";
    }
    return out;
}

std::string usage(std::span<const Option> globals) {
    return "Usage:  nodectl [OPTIONS] COMMAND\n\nThe command line of noded, the node "
           "agent\n\nCommands:\n" +
           verb_list("") + "\nGlobal options:\n" + describe_options(globals) +
           "\nRun 'nodectl COMMAND --help' for more about a command. NODECTL_HOST is used where "
           "--host is not given, and the folder NODECTL_CERT_PATH for ~/.nodectl.\n";
}

int unknown(std::span<const std::string> words) {
    const std::string name =
        words.size() > 1 && is_group(words[0]) ? words[0] + " " + words[1] : words[0];
    write_all(STDERR_FILENO,
              "nodectl: '" + name + "' is not a nodectl command.\nSee 'nodectl --help'\n");
    return kFailed;
}

/// Why a verb cannot be used with --at; nothing if it can.
std::optional<std::string> not_in_the_past(const FoundVerb& found) {
    const std::string name = "'nodectl " + found.spelling + "' ";
    switch (found.verb->past()) {
        case Past::answers: return std::nullopt;
        case Past::changes:
            return name + "may change the node, and the past cannot be changed: leave --at away";
        case Past::live:
            return name + "shows what is not in the log of events, so only what is there now: "
                          "leave --at away";
    }
    return std::nullopt;
}

/// Where the node is to be asked. An empty one is no way to say now: a variable of a script may
/// have been empty.
Result<Bound> parse_at(const std::optional<std::string>& at) {
    if (!at) return Bound{};
    if (at->empty()) return fail("\"--at\" is empty: give a seq, a time, or leave it away");
    return parse_bound("--at", *at);
}

struct Globals {
    std::string host = default_host();
    std::optional<std::string> at;
    remote::TlsFiles tls = user_tls_files();
};

int dispatch(std::vector<std::string> words, const Globals& chosen,
             std::span<const Option> globals) {
    const FoundVerb found = find_verb(words);
    if (found.verb == nullptr) {
        const bool help = words.size() == 1 || words[1] == "--help" || words[1] == "-h";
        if (!is_group(words[0]) || !help) return unknown(words);
        print("Usage:  nodectl " + words[0] + " COMMAND\n\nCommands:\n" + verb_list(words[0]) +
              "\nRun 'nodectl " + words[0] +
              " COMMAND --help' for more information on a command.\n");
        return 0;
    }
    words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(found.words));
    const auto bound = parse_at(chosen.at);
    if (!bound || (bound->given() && not_in_the_past(found))) {
        print_error(bound ? *not_in_the_past(found) : bound.error().message);
        return found.verb->failure;
    }
    // Never taken apart: the program ends with it, and the kernel is faster.
    Session& session = *new Session(chosen.host, *bound, "nodectl " + found.spelling);
    session.set_tls_files(chosen.tls);
    Invocation call(*found.verb, found.spelling, std::move(words), session);
    call.globals = globals;
    return found.verb->function(call);
}

int run_main(std::vector<std::string> words) {
    Globals chosen;
    bool version_wanted = false;
    bool taken = false;     // these two are taken for docker's sake: other machines need TLS anyway
    std::string log_level;
    const Option globals[] = {
        {0, "at", &chosen.at, "string",
         "Ask the node as it was after this event (42) or at this time (RFC 3339, @1700000000, or "
         "10m for ten minutes ago); for verbs that only read"},
        {'D', "debug", &taken, "", nullptr},
        {'l', "log-level", &log_level, "string", nullptr},
        {'H', "host", &chosen.host, "string",
         "The noded to talk to: unix:PATH, tcp://HOST[:PORT] by TLS, or ssh://[USER@]HOST (default "
         "\"unix:/run/noded/noded.sock\")"},
        {0, "tls", &taken, "", nullptr},
        {0, "tlscacert", &chosen.tls.authority, "file",
         "Certificate of the authority of nodes (default \"~/.nodectl/ca.pem\")"},
        {0, "tlscert", &chosen.tls.certificate, "file",
         "Certificate of this user (default \"~/.nodectl/cert.pem\")"},
        {0, "tlskey", &chosen.tls.key, "file",
         "Secret key of this user (default \"~/.nodectl/key.pem\")"},
        {0, "tlsverify", &taken, "", nullptr},
        {'v', "version", &version_wanted, "", "Print the version and quit"},
    };
    auto parsed = parse_options(globals, words, Order::stops_early);
    if (!parsed) {
        write_all(STDERR_FILENO, parsed.error().message + "\nSee 'nodectl --help'.\n");
        return kWrongFlag;
    }
    if (version_wanted) {
        print(std::string("nodectl version ") + kVersion + "\n");
        return 0;
    }
    words = std::move(parsed->positional);
    if (!words.empty() && words[0] == "help") {
        words.erase(words.begin());
        if (!words.empty()) words.push_back("--help");
    }
    if (words.empty() || parsed->help) {
        print(usage(globals));
        return 0;
    }
    return dispatch(std::move(words), chosen, globals);
}

}  // namespace
}  // namespace noded::nodectl

int main(int argc, char** argv) {
    int status = noded::nodectl::kFailed;
    // Session::wait translates what a call can throw; this is for what KJ throws elsewhere.
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&] {
        status = noded::nodectl::run_main({argv + 1, argv + argc});
    })) {
        noded::nodectl::print_error(exception->getDescription().cStr());
    }
    return status;
}
