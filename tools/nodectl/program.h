// Another program of this machine, run for its output.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

namespace noded::nodectl {

/// What it wrote on standard output. An error if it cannot be run, or with what it wrote on
/// standard error if it did not end with 0.
Result<std::string> output_of(const std::vector<std::string>& argv);

}  // namespace noded::nodectl
