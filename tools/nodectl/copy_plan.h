// Where nodectl cp puts what it copies: docker's rules, which are those of cp(1) with a few words
// of their own. Pure; the same rules in both directions. Called by cp.cc.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace noded::nodectl {

/// One side of a copy: "CONTAINER:PATH", "PATH" or "-".
struct CopyEnd {
    std::string container;  ///< empty: this machine
    std::string path;

    bool local() const { return container.empty(); }
    bool stream() const { return local() && path == "-"; }
};

/// A colon makes it a container's, unless the path is absolute or begins with a dot.
CopyEnd parse_copy_end(const std::string& text);

struct CopySource {
    std::string path;  ///< as written
    std::string name;  ///< the last component of where it is
    bool is_directory = false;
};

struct CopyTarget {
    std::string path;  ///< as written
    std::string real;  ///< clean, without a link at its end
    bool exists = false;
    bool is_directory = false;
};

struct CopyPlan {
    std::string directory;  ///< an existing one: the receiver's business
    std::string name;       ///< that the copy gets in it; ".": its content goes there
};

Result<CopyPlan> plan_copy(const CopySource& source, const CopyTarget& target);

}  // namespace noded::nodectl
