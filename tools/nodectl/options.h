// Command lines as docker's: a table of options bound to variables, and a parser for it.
//
// "-it", "-eA=b", "-e A=b", "--env=A=b", "--env A=b", "--rm=false", "--". Verbs that take a command
// of the user's stop at the first positional argument, so that `run IMAGE ls -l` leaves -l to ls.
// Pure: neither prints nor exits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/result.h"

namespace noded::nodectl {

using OptionTarget = std::variant<bool*, std::string*, std::optional<std::string>*,
                                  std::optional<int64_t>*, std::vector<std::string>*>;

struct Option {
    char letter;             ///< 0 for none
    const char* name;        ///< without the dashes
    OptionTarget target;     ///< a bool is a flag; a vector collects
    const char* value_name;  ///< "string"; not shown for flags
    const char* help;        ///< nullptr hides it: an older spelling of another one
};

struct ParsedArguments {
    std::vector<std::string> positional;
    bool help = false;
};

enum class Order {
    anywhere,    ///< options also after positional arguments
    stops_early  ///< options end at the first positional argument
};

Result<ParsedArguments> parse_options(std::span<const Option> options,
                                      std::span<const std::string> arguments, Order order);

/// "invalid argument "x" for "-m, --memory" flag: WHY", docker's sentence.
std::unexpected<Error> invalid_argument(const std::string& value, const std::string& spelling,
                                        const std::string& why);

/// As Go's strconv.ParseInt with base 0, whose sentence is the error: "42", "+7", "-1", "0x1f".
Result<int64_t> parse_integer(const std::string& text);

/// Those that help tells of, by name.
std::vector<const Option*> shown_options(std::span<const Option> options);

/// "  -d, --detach          Run in the background" lines, by name.
std::string describe_options(std::span<const Option> options);

}  // namespace noded::nodectl
