// completion: scripts for shells. They ask noci itself for its commands, flags and containers, so
// they know no more of it than its name.
#include "plugins/container/noci/command.h"

namespace noded::noci {
namespace {

constexpr const char* kBash = R"(# bash completion of noci
_noci() {
    local i word command="" root=()
    for ((i = 1; i < COMP_CWORD; ++i)); do
        word=${COMP_WORDS[i]}
        case $word in
        --root) root=(--root "${COMP_WORDS[i + 1]}"); ((++i)) ;;
        --log | --log-format | --cgroup-manager | --criu | --rootless) ((++i)) ;;
        -*) ;;
        *) command=$word; break ;;
        esac
    done
    local now=${COMP_WORDS[COMP_CWORD]} words
    if [[ $now == -* ]]; then
        words=$(noci $command --help 2>/dev/null |
            grep -oE -- '(^ +|, )--?[a-z][a-z-]*' | grep -oE -- '-.*')
    elif [[ -z $command ]]; then
        words=$(noci --help 2>/dev/null | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p')
    else
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        --bundle | -b | --config | --pid-file | --*-socket | --process | -p | --resources | -r)
            COMPREPLY=($(compgen -f -- "$now")); return ;;
        esac
        words=$(noci "${root[@]}" list -q 2>/dev/null)
    fi
    COMPREPLY=($(compgen -W "$words" -- "$now"))
}
complete -F _noci noci
)";

constexpr const char* kZsh = R"(#compdef noci
autoload -U +X bashcompinit && bashcompinit
)";

}  // namespace

Result<int> completion_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    const std::string& shell = call.words[0];
    if (shell != "bash" && shell != "zsh")
        return fail("there is no completion for \"" + shell + "\": it is written for bash and zsh");
    print((shell == "zsh" ? std::string(kZsh) : std::string()) + kBash);
    return 0;
}

}  // namespace noded::noci
