// A tar stream into an existing directory. The archive is hostile until proven otherwise: names
// with ".." are refused, absolute ones are taken as relative, and parents are opened by openat2,
// either without following any link or with every link resolved inside one root.
//
// A file appears whole or not at all (it is written without a name and then linked), an existing
// one is replaced, directories are merged; a directory never replaces anything else, nor the other
// way round. Called by the helper of the container plugin and by nodectl.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "plugins/sdk/tree/ids.h"

namespace noded::tree {

struct ExtractOptions {
    /// Stands for the first component of every name; "." means the directory itself. Absent: names
    /// are taken as they are.
    std::optional<std::string> root_name;
    bool owners = true;  ///< as the archive says; otherwise those of this process
    IdRanges ids = {};   ///< the archive's are those of the container
    bool xattrs = true;  ///< security.capability and user.*
    /// The directory lies in a root whose links may be followed, inside of it. Otherwise no link
    /// below the directory is followed.
    bool follow_in_root = false;
    const std::atomic<bool>* stop = nullptr;  ///< ends the work with an error once it is true
};

/// Where to: `path` in `root`, both an existing directory. Without follow_in_root `path` is ".".
struct Place {
    int root;
    std::string path;
};

struct Extracted {
    uint64_t entries = 0;
    uint64_t bytes = 0;  ///< read from the stream
};

/// Reads `in` to its end.
Result<Extracted> extract(int in, const Place& place, const ExtractOptions& options);

/// openat2 with every link, also an absolute one, and every ".." resolved inside `root`.
int open_in_root(int root, const std::string& path, int flags);

}  // namespace noded::tree
