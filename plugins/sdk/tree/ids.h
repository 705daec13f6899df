// Ids of a container with a user namespace of its own: on the disk of the host they are others. A
// tree is written as an archive with the container's ids and extracted with the host's. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace noded::tree {

/// `count` ids from `container` on are those from `host` on.
struct IdRange {
    bool gid = false;
    uint32_t container = 0;
    uint32_t host = 0;
    uint32_t count = 0;
    bool operator==(const IdRange&) const = default;
};
/// Empty: they are the same.
using IdRanges = std::vector<IdRange>;

/// What the kernel shows where there is no such id: nobody.
constexpr uint32_t overflow_id = 65534;

inline uint32_t to_container(const IdRanges& ranges, bool gid, uint32_t id) {
    for (const IdRange& range : ranges)
        if (range.gid == gid && id >= range.host && id - range.host < range.count)
            return range.container + (id - range.host);
    return ranges.empty() ? id : overflow_id;
}

/// UINT32_MAX if the container has no such id.
inline uint32_t to_host(const IdRanges& ranges, bool gid, uint32_t id) {
    for (const IdRange& range : ranges)
        if (range.gid == gid && id >= range.container && id - range.container < range.count)
            return range.host + (id - range.container);
    return ranges.empty() ? id : UINT32_MAX;
}

}  // namespace noded::tree
