// Commands of noci: one line each in the table of commands.cc, one function each in the file of its
// subject. A function returns the exit status; an error is written and ends noci with 1.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/log.h"

namespace noded::noci {

using FlagTarget = std::variant<bool*, std::string*, std::vector<std::string>*,
                                std::optional<int64_t>*>;

struct Flag {
    const char* names;   ///< "bundle,b"
    FlagTarget target;
    const char* help;
};

struct Globals {
    std::string root = "/run/noci";
    bool root_is_given = false;
    bool systemd_cgroup = false;
    bool no_cgroups = false;  ///< processes stay in the groups of whoever calls noci
    Log log;
};

class Call;

struct Command {
    const char* name;
    const char* usage;        ///< "<container-id> [signal]"
    const char* description;
    Result<int> (*function)(Call&);
    size_t arguments_min;
    size_t arguments_max;
    bool stops_early = false;  ///< what follows the id is somebody else's command line
    int failure = 1;           ///< exit status of an error
};

std::span<const Command> commands();

/// One use of a command.
class Call {
public:
    Call(const Command& command, std::vector<std::string> words, Globals& globals)
        : command(command), words(std::move(words)), globals(globals) {}

    /// Reads the flags; `words` keeps what is none. A status: help was printed. An error: the
    /// command line is wrong.
    Result<std::optional<int>> parse(std::span<const Flag> flags);

    const Command& command;
    std::vector<std::string> words;
    Globals& globals;
};

/// Go's flags: -x and --x, --x=VALUE and --x VALUE; "--" ends them. `out` gets the rest.
Status parse_flags(std::span<const Flag> flags, std::span<const std::string> words,
                   bool stops_early, std::vector<std::string>* out, bool* help);
std::string describe_flags(std::span<const Flag> flags);
void print(const std::string& text);
/// For each container whose id the command's first word finds, a regular expression; what fails is
/// logged and the others follow.
Result<int> for_each_like(const Call& call,
                          const std::function<Status(const std::string&)>& function);

#define PARSE(call, flags)                                           \
    do {                                                             \
        const auto parsed_ = (call).parse(flags);                    \
        if (!parsed_) return std::unexpected(parsed_.error());       \
        if (parsed_->has_value()) return **parsed_;                  \
    } while (0)

Result<int> create_command(Call&);
Result<int> run_command(Call&);
Result<int> start_command(Call&);
Result<int> exec_command(Call&);
Result<int> state_command(Call&);
Result<int> list_command(Call&);
Result<int> kill_command(Call&);
Result<int> delete_command(Call&);
Result<int> pause_command(Call&);
Result<int> resume_command(Call&);
Result<int> ps_command(Call&);
Result<int> events_command(Call&);
Result<int> update_command(Call&);
Result<int> spec_command(Call&);
Result<int> features_command(Call&);
Result<int> completion_command(Call&);
Result<int> checkpoint_command(Call&);
Result<int> restore_command(Call&);

}  // namespace noded::noci
