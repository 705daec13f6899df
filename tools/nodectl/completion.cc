// Which words may come next, see completion.h. Knows docker's grammar as options.cc reads it.
#include "tools/nodectl/completion.h"

#include <algorithm>
#include <cstring>

#include "tools/nodectl/remote.h"

namespace noded::nodectl {
namespace {

/// Options whose values are words of a list, for one verb or whichever has them.
struct Values {
    std::string_view verb;   ///< its main spelling; empty: any
    std::string_view option;
    std::string_view words;
};
constexpr std::string_view kSignals =
    "SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM SIGSTOP SIGCONT SIGWINCH";
constexpr Values kValues[] = {
    {"ps", "filter",
     "ancestor= before= exited= health= id= label= name= network= since= status= volume="},
    {"images", "filter", "before= dangling= label= reference= since="},
    {"events", "filter", "container= daemon= event= image= label= plugin= scope= type="},
    {"image prune", "filter", "dangling= label= until="},
    {"", "filter", "label= until="},
    {"export", "output", ""},   // a file
    {"", "output", "json text"},
    {"", "attach", "stderr stdin stdout"},
    {"", "cgroupns", "host private"},
    {"", "format", "json table"},
    {"", "health-on-failure", "kill none restart stop"},
    {"", "ipc", "container: host none private shareable"},
    {"", "network", "host none"},
    {"", "pid", "container: host private"},
    {"", "restart", "always no on-failure on-failure: unless-stopped"},
    {"", "security-opt",
     "no-new-privileges seccomp= seccomp=unconfined systempaths=unconfined"},
    {"", "server", "tcp://"},
    {"", "signal", kSignals},
    {"", "stop-signal", kSignals},
    {"", "type", "container image"},
    {"", "userns", "host remap"},
    {"", "uts", "host private"},
};
/// What may stand behind the "=" of a filter.
constexpr std::pair<std::string_view, std::string_view> kFilters[] = {
    {"dangling", "false true"},
    {"health", "healthy none starting unhealthy"},
    {"network", "host none"},
    {"scope", "local"},
    {"status", "created exited paused restarting running"},
    {"type", "container image"},
};
constexpr std::string_view kTopics =
    "event/ json/event/ json/log/ json/stats/ log/ stats/ stats/node";
constexpr std::string_view kPaths[] = {"cidfile", "device",     "env-file", "input", "label-file",
                                       "mount",   "volume"};
constexpr std::string_view kShells = "bash fish zsh";
constexpr std::string_view kOfRunning[] = {"attach", "exec", "kill", "pause", "stats",
                                           "stop",   "top"};

bool is_in(std::string_view word, std::span<const std::string_view> list) {
    return std::ranges::find(list, word) != list.end();
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const size_t space = std::min(text.find(' '), text.size());
        words.emplace_back(text.substr(0, space));
        text.remove_prefix(std::min(space + 1, text.size()));
    }
    return words;
}

/// The option that this word names, perhaps a hidden one, of which the next word is the value;
/// nullptr if there is none.
const OptionText* awaits_value(std::span<const OptionText> options, const std::string& word) {
    if (word.starts_with("--")) {
        const auto found = std::ranges::find(options, word.substr(2), &OptionText::name);
        return found != options.end() && !found->value_name.empty() ? &*found : nullptr;
    }
    for (size_t i = 1; i < word.size(); ++i) {
        const auto found = std::ranges::find(options, word[i], &OptionText::letter);
        if (found == options.end()) return nullptr;
        if (found->value_name.empty()) continue;
        return i + 1 == word.size() ? &*found : nullptr;   // else the value follows in the word
    }
    return nullptr;
}

/// The usages of a verb, which has one a line.
std::vector<std::string_view> usages_of(const Verb& verb) {
    std::vector<std::string_view> lines;
    for (std::string_view rest = verb.usage;;) {
        const size_t end = rest.find('\n');
        lines.push_back(rest.substr(0, end));
        if (end == std::string_view::npos) return lines;
        rest.remove_prefix(end + 1);
        const std::string command = "nodectl " + verb.main_spelling();
        if (const size_t at = rest.find(command); at != std::string_view::npos)
            rest.remove_prefix(at + command.size());
    }
}

/// "[OPTIONS] CONTAINER [CONTAINER...]": what stands at a place, as the usage names it.
std::string noun_at(std::string_view usage, size_t place) {
    std::vector<std::string> nouns = split(usage);
    std::erase(nouns, "");
    std::erase(nouns, "[OPTIONS]");
    std::erase(nouns, "--");
    if (nouns.empty()) return "";
    const bool repeats = nouns.back().find("...") != std::string::npos;
    if (place >= nouns.size() && !repeats) return "";
    std::string noun = nouns[std::min(place, nouns.size() - 1)];
    std::erase_if(noun, [](char c) { return c == '[' || c == ']'; });
    return noun;
}

class Line {
public:
    Line(std::span<const std::string> words, std::span<const Option> globals, Names& names)
        : words_(words.first(words.size() - 1)),
          current_(words.back()),
          globals_(option_texts(globals)),
          names_(names) {
        globals_.push_back({0, "help", "", "Print usage"});
    }

    Candidates run() {
        if (!take_globals()) return std::move(out_);
        const FoundVerb found = find_verb(words_);
        if (found.verb != nullptr) {
            if (words_.size() == 1) add_verbs_of(words_[0]);
            words_ = words_.subspan(found.words);
            of_verb(*found.verb);
        } else if (words_.empty()) {
            if (current_.starts_with('-')) add_options_or_values("", globals_);
            else add_verbs();
        } else if (words_.size() == 1 && is_group(words_[0])) {
            add_verbs_of(words_[0]);
        }
        return std::move(out_);
    }

private:
    void add(const std::string& word, const std::string& description) {
        const bool known = std::ranges::find(out_.words, word, &Candidate::word) !=
                           out_.words.end();
        if (word.starts_with(current_) && !known) out_.words.push_back({word, description});
    }
    void add_all(const std::vector<std::string>& words, const std::string& before = "") {
        for (const std::string& word : words) add(before + word, "");
    }
    void add_options(const std::vector<OptionText>& options) {
        for (const OptionText& option : options)
            if (!option.help.empty()) add("--" + option.name, option.help);
    }

    void add_verbs() {
        for (const Verb& verb : verbs()) {
            if (verb.description == nullptr) continue;
            for (const std::string& spelling : verb.all_spellings()) {
                const size_t space = spelling.find(' ');
                if (space == std::string::npos) add(spelling, verb.description);
                else add(spelling.substr(0, space), "More commands");
            }
        }
        add("help", "Print the usage of a command");
    }
    void add_verbs_of(const std::string& group) {
        for (const Verb& verb : verbs())
            for (const std::string& spelling : verb.all_spellings())
                if (verb.description != nullptr && spelling.starts_with(group + " "))
                    add(spelling.substr(group.size() + 1), verb.description);
    }

    /// False if the current word is the value of one of them.
    bool take_globals() {
        while (!words_.empty() && words_[0].starts_with('-')) {
            const std::string word = words_[0];
            words_ = words_.subspan(1);
            const OptionText* option = awaits_value(globals_, word);
            if (const size_t equals = word.find('='); word.starts_with("--"))
                if (equals != std::string::npos)
                    take_global(word.substr(2, equals - 2), word.substr(equals + 1));
            if (option == nullptr) continue;
            if (words_.empty()) return add_values("", *option, ""), false;
            take_global(option->name, words_[0]);
            words_ = words_.subspan(1);
        }
        if (asks_) names_.ask(host_, files_);
        if (!words_.empty() && words_[0] == "help") words_ = words_.subspan(1);
        return true;
    }

    void take_global(const std::string& name, const std::string& value) {
        if (name == "host") host_ = value;
        else if (name == "tlscacert") files_.authority = value;
        else if (name == "tlscert") files_.certificate = value;
        else if (name == "tlskey") files_.key = value;
        else return;
        asks_ = true;
    }

    void of_verb(const Verb& verb) {
        const std::vector<OptionText> options = options_of(verb);
        size_t place = 0;
        bool options_end = false;
        for (size_t i = 0; i < words_.size(); ++i) {
            const std::string& word = words_[i];
            if (!options_end && word.size() > 1 && word.starts_with('-')) {
                options_end = word == "--";
                const OptionText* option = awaits_value(options, word);
                if (option == nullptr) continue;
                if (++i == words_.size()) return add_values(verb.main_spelling(), *option, "");
                continue;
            }
            ++place;
            if (verb.order == Order::stops_early) options_end = true;
        }
        if (options_end || !current_.starts_with('-')) return add_arguments(verb, place);
        add_options_or_values(verb.main_spelling(), options);
    }
    /// "--fi", "--filter=st".
    void add_options_or_values(const std::string& verb, const std::vector<OptionText>& options) {
        const size_t equals = current_.find('=');
        if (equals == std::string::npos) return add_options(options);
        const OptionText* option = awaits_value(options, current_.substr(0, equals));
        if (option != nullptr) add_values(verb, *option, current_.substr(0, equals + 1));
    }

    /// `before` is what of the word stands before the value.
    void add_values(const std::string& verb, const OptionText& option, const std::string& before) {
        const auto known = std::ranges::find_if(kValues, [&](const Values& values) {
            return values.option == option.name && (values.verb.empty() || values.verb == verb);
        });
        const std::string value = current_.substr(before.size());
        if (option.name == "host") return add_hosts(value, before);
        if (option.name == "filter" && value.find('=') != std::string::npos)
            return add_filter(verb, value.substr(0, value.find('=')), before);
        if (value.starts_with("container:"))
            return add_all(names_.containers(Names::Which::running), before + "container:");
        if (known != std::end(kValues)) add_all(split(known->words), before);
        out_.files = is_in(option.name, kPaths) || option.value_name == "file" ||
                     (option.name == "output" && verb == "export");
    }
    void add_hosts(const std::string& value, const std::string& before) {
        constexpr std::string_view kUnix = "unix:";
        for (const std::string scheme : {"ssh://", "tcp://"})
            if (value.starts_with(scheme)) add_all(names_.machines(), before + scheme);
        out_.files = value.starts_with(kUnix) || value.starts_with('/');
        for (const std::string word : {"unix:/", "tcp://", "ssh://"})
            if (value != word) add(before + word, "");
    }
    void add_filter(const std::string& verb, const std::string& key, const std::string& before) {
        const std::string all = before + key + "=";
        for (const auto& [name, values] : kFilters)
            if (name == key) add_all(split(values), all);
        if (key == "plugin") add_all(names_.plugins(), all);
        if (key == "ancestor" || key == "image" || key == "reference" ||
            (verb == "images" && (key == "before" || key == "since")))
            add_all(names_.images(), all);
        if (key == "name" || key == "container" ||
            (verb == "ps" && (key == "before" || key == "since")))
            add_all(names_.containers(Names::Which::all), all);
    }

    void add_arguments(const Verb& verb, size_t place) {
        for (const std::string_view usage : usages_of(verb))
            add_nouns(verb.main_spelling(), noun_at(usage, place));
    }
    void add_nouns(const std::string& name, const std::string& noun) {
        if (noun.starts_with("CONTAINER") || noun.starts_with("NAME|ID")) {
            const auto which = is_in(name, kOfRunning) ? Names::Which::running
                               : name == "start"       ? Names::Which::stopped
                                                       : Names::Which::all;
            for (const std::string& container : names_.containers(which))
                add(container + (noun.starts_with("CONTAINER:") ? ":" : ""), "");
        }
        if (noun.find("IMAGE") != std::string::npos || noun.starts_with("REPOSITORY") ||
            noun.starts_with("NAME|ID"))
            add_all(names_.images());
        if (noun.starts_with("PLUGIN")) add_all(names_.plugins());
        if (noun == "SHELL") add_all(split(kShells));
        if (noun.starts_with("TOPIC")) add_all(split(kTopics));
        if (noun.starts_with("tcp://")) add("tcp://", "");
        out_.files |= noun.starts_with("FILE") || noun.starts_with("COMMAND") ||
                      noun.starts_with("ARG") || noun.find("PATH") != std::string::npos;
    }

    std::span<const std::string> words_;
    const std::string current_;
    std::vector<OptionText> globals_;
    Names& names_;
    std::string host_ = default_host();
    remote::TlsFiles files_ = user_tls_files();
    bool asks_ = false;
    Candidates out_;
};

constexpr std::string_view kBash = R"(# Completion of nodectl for bash.
_nodectl() {
    local line=${COMP_LINE:0:COMP_POINT} words current cut= found code candidate
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    # bash takes what stands behind the last = or : for the word.
    [[ $current == *[=:]* ]] && cut=${current%"${current##*[=:]}"}
    found=$("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    code=$?
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        [[ -n $candidate ]] && COMPREPLY+=("${candidate#"$cut"}")
    done <<< "$found"
    # More of the word is to come.
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:/] ]] && compopt -o nospace 2>/dev/null
    if ((code == 3)); then
        # It would quote the : of a container.
        ((${#COMPREPLY[@]})) || compopt -o filenames 2>/dev/null
        while read -r candidate; do
            [[ -n $candidate ]] && COMPREPLY+=("$candidate")
        done < <(compgen -f -- "${current#"$cut"}")
    fi
}
complete -F _nodectl nodectl
)";

constexpr std::string_view kZsh = R"(#compdef nodectl
# Completion of nodectl for zsh.
_nodectl() {
    local found code line word
    local -a described open
    found=$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    code=$?
    for line in "${(@f)found}"; do
        [[ -n $line ]] || continue
        word=${line%%$'\t'*}
        # More of the word is to come.
        if [[ $word == *[=:/] ]]; then
            open+=("${word//:/\\:}:${line#*$'\t'}")
        else
            described+=("${word//:/\\:}:${line#*$'\t'}")
        fi
    done
    (( ${#described} )) && _describe -t nodectl nodectl described
    (( ${#open} )) && _describe -t nodectl nodectl open -S ''
    if (( code == 3 )); then
        compset -P '*[=:]'
        _files
    fi
    return 0
}
if [[ ${funcstack[1]} == _nodectl ]]; then
    _nodectl "$@"
else
    compdef _nodectl nodectl
fi
)";

constexpr std::string_view kFish = R"(# Completion of nodectl for fish.
function __nodectl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] __complete -- $words[2..-1] "$current" 2>/dev/null
    if test $status -eq 3
        set -l before (string match -r '^.*[=:]' -- "$current")
        for path in (__fish_complete_path (string replace -r '^.*[=:]' '' -- "$current"))
            echo "$before$path"
        end
    end
end
complete -c nodectl -f -a '(__nodectl_complete)'
)";

}  // namespace

std::vector<std::string> machines_in(std::string_view ssh_config) {
    std::vector<std::string> names;
    while (!ssh_config.empty()) {
        const size_t end = std::min(ssh_config.find('\n'), ssh_config.size());
        std::string line(ssh_config.substr(0, end));
        ssh_config.remove_prefix(std::min(end + 1, ssh_config.size()));
        std::ranges::replace_if(line, [](char c) { return strchr("\t\r=\"", c) != nullptr; }, ' ');
        std::vector<std::string> words = split(line);
        std::erase(words, "");
        if (words.empty() || strcasecmp(words[0].c_str(), "host") != 0) continue;
        words.erase(words.begin());
        for (std::string& word : words)
            if (word.find_first_of("*?!") == std::string::npos) names.push_back(std::move(word));
    }
    return names;
}

Candidates complete_line(std::span<const std::string> words, std::span<const Option> globals,
                         Names& names) {
    return Line(words, globals, names).run();
}

Result<std::string> completion_script(const std::string& shell) {
    if (shell == "bash") return std::string(kBash);
    if (shell == "zsh") return std::string(kZsh);
    if (shell == "fish") return std::string(kFish);
    return fail("there is no completion for the shell '" + shell + "': give bash, zsh or fish");
}

}  // namespace noded::nodectl
