// Names of archive entries, made harmless. Pure; used by unpack and by the index of outer archives.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace noded::image {

/// A name from an archive for an error sentence: control characters escaped, length bounded.
std::string show_name(std::string_view name);

/// A relative path without "", "." and ".." components, split before its last one. Both parts
/// empty: the root.
struct EntryPath {
    std::string parent;
    std::string name;

    bool is_root() const { return name.empty(); }
    std::string full() const { return parent.empty() ? name : parent + "/" + name; }
    std::string shown() const { return show_name(is_root() ? "." : full()); }
    bool parent_has_prefix(std::string_view prefix) const {
        return parent.starts_with(prefix) ||
               parent.find("/" + std::string(prefix)) != std::string::npos;
    }
    /// True if any component, the name included, starts so.
    bool has_component_prefix(std::string_view prefix) const {
        return parent_has_prefix(prefix) || name.starts_with(prefix);
    }
};

/// Refuses absolute names, ".." and what is longer than the kernel takes.
Result<EntryPath> clean_entry_path(std::string_view raw);

}  // namespace noded::image
