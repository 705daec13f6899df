// Unpacks one layer's tar (ustar, pax, GNU) into a directory, for overlayfs to use as a lower.
//
// The result is a function of the tar's bytes alone, because layers are shared by diff id: it does
// not matter which image, or which command, brought the layer. The archive is hostile until proven
// otherwise; see unpack.cc for the rules. Called by import and load, as root.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "plugins/storage/image/limits.h"
#include "plugins/storage/image/skeleton.h"
#include "plugins/storage/image/stream.h"

namespace noded::image {

struct UnpackOptions {
    uint64_t entries_max = UnpackLimits{}.entries;
    /// Bytes of the paths of directories, which are remembered until all members are there.
    uint64_t directory_path_bytes_max = limits::directory_path_bytes_max;
    /// An archive that stops between two entries, without the end marker that tar writes, is
    /// refused. Not wanted where a digest proves that the archive is whole: some builders never
    /// write the marker.
    bool require_end_marker = true;
    /// Is told where everything went, if it is there.
    SkeletonWriter* skeleton = nullptr;
};

/// Unpacks all of `stream` into the empty directory `tree`. `trash` is another directory of the
/// same file system that takes what the archive itself replaces. After success the stream is
/// drained and its digests can be asked for; after an error `tree` holds rubbish. Notices (things
/// left out that nobody must know about to be safe) are appended.
Status unpack_tar(ContentStream& stream, int tree, int trash, const UnpackOptions& options,
                  std::vector<std::string>& notices);

}  // namespace noded::image
