// A file or directory, and all below it, as a tar stream. Nothing is followed: every object is
// opened by its name in its directory without following links, so whatever is changed meanwhile
// cannot lead elsewhere.
//
// Sockets are left out, as in every tar. Members of a directory come sorted. Called by the helper
// of the container plugin, by the storage plugin for layers and by nodectl.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "plugins/sdk/tree/ids.h"
#include "plugins/sdk/tree/tar_writer.h"

namespace noded::tree {

struct WriteOptions {
    std::string root_name;  ///< path of the first entry: "etc", or "." for a directory's content
    bool owners = true;     ///< otherwise all belongs to 0:0
    IdRanges ids = {};       ///< the archive gets those of the container
    bool xattrs = true;
    /// The tree is the upper directory of an overlay: whiteouts and opaque directories become those
    /// of an OCI layer (".wh.NAME", ".wh..wh..opq"), and the root itself is left out.
    bool layer = false;
    /// Without the entry of the root, and paths without a dot in front: "etc/passwd".
    bool bare = false;
    /// What the kernel makes up (/proc, /sys, …) is an empty directory.
    bool skip_kernel_mounts = false;
    /// Asked before each object; what it has to say against going on ends the walk. Null: nothing.
    const std::function<Status()>* go_on = nullptr;
};

/// `name` in the directory `dir`; "." for `dir` itself. An error names the place in the archive.
Status write_tree(TarWriter& out, int dir, const std::string& name, const WriteOptions& options);

/// Names in a directory but "." and "..", sorted. The descriptor must be open for reading.
Result<std::vector<std::string>> names_in(int dir, const std::string& shown);

/// Whether it is how overlayfs notes that what lower layers have at this name is gone.
bool is_whiteout(const struct stat& info);

/// Whether overlayfs hides what lower layers have below this directory.
bool is_opaque(int dir);

/// Of the extended attributes archives have security.capability and user.*, but not those that
/// would speak to overlayfs in an archive's name.
bool is_kept_xattr(std::string_view name);

/// As many descriptors as this process may have: a deep tree takes one for each level.
void raise_descriptor_limit();

}  // namespace noded::tree
