// What may stand at the end of a command line: verbs, options, their values, and the names of what
// the node has. The scripts of bash, zsh and fish ask for it through `nodectl __complete`, so they
// know no more of nodectl than its name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/nodectl/verb.h"

namespace noded::nodectl {

/// Names of machines in a configuration of ssh (ssh_config(5)), those with patterns left out.
std::vector<std::string> machines_in(std::string_view ssh_config);

/// The names that a node has. Empty lists where it cannot be asked.
class Names {
public:
    enum class Which { all, running, stopped };

    virtual ~Names() = default;
    /// The line says so with -H or --host, and with which certificates.
    virtual void ask(const std::string& host, const remote::TlsFiles& files) = 0;
    virtual std::vector<std::string> containers(Which which) = 0;
    virtual std::vector<std::string> images() = 0;
    virtual std::vector<std::string> plugins() = 0;
    /// Machines that ssh of this user has names for.
    virtual std::vector<std::string> machines() = 0;
};

struct Candidate {
    std::string word;
    std::string description;
};

struct Candidates {
    std::vector<Candidate> words;
    bool files = false;   ///< a path may stand there, too
};

/// `words` is the line behind "nodectl" up to the cursor; the last one, which may be empty, is the
/// one to be completed.
Candidates complete_line(std::span<const std::string> words, std::span<const Option> globals,
                         Names& names);

/// The script for a shell, or an error that names those that there are.
Result<std::string> completion_script(const std::string& shell);

/// The manual page, for man(1).
std::string manual_page(std::span<const Option> globals);

}  // namespace noded::nodectl
