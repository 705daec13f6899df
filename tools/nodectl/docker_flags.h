// What docker's run and create take beyond what this node does: taken where it changes nothing
// here, else refused with a sentence that says why and what to do, so that a command line that is
// known from docker never fails for an "unknown flag" alone. Hidden from help. Called by
// ContainerOptions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "tools/nodectl/options.h"

namespace noded::nodectl {

class DockerFlags {
public:
    std::vector<Option> table();
    /// The sentence about the first one that asks for what this node has not.
    Status check() const;

private:
    static constexpr size_t absent_max = 29;

    std::array<std::vector<std::string>, absent_max> absent_;  ///< their values, in kAbsent's order
    std::vector<std::string> pull_;
    std::vector<std::string> log_driver_;
    std::vector<std::string> platform_;
    std::vector<std::string> isolation_;
    std::vector<std::string> runtime_;
    bool publish_all_ = false;
    bool ignored_ = false;
};

}  // namespace noded::nodectl
