// What a container changed in its image: the upper directory against the lower ones, as docker diff
// shows it. Only names and metadata are compared, never content. Called by the files helper.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/sdk/tree/ids.h"

namespace noded::files {

struct Change {
    char kind;  ///< 'A' added, 'C' changed, 'D' deleted
    std::string path;
    bool operator==(const Change&) const = default;
};

/// `upper` is an upper directory of overlayfs, `image` the merged view below it, or -1 where there
/// is none. Directories come before what is in them, names sorted. What a start makes to mount on
/// (/proc, /dev, …) is left out.
/// `ids` are those of the container; the image has the container's.
Result<std::vector<Change>> changes_of(int upper, int image, const tree::IdRanges& ids = {});

/// Bytes in its regular files; one with several names counts once.
Result<uint64_t> bytes_in(int upper);

}  // namespace noded::files
