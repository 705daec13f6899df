// User namespaces of containers: what the node's configuration asks for, which ids of the host that
// means, and which containers get them. Pure but for what its callers read: /etc/subuid and
// /etc/subgid (subuid(5)).
//
// plugins.container.userns: "host" (the default: a container has the host's ids) or "remap" (all
// containers have ids of their own, but for those with --userns host). usernsIds: whose subordinate
// ids those are ("dockremap", the default, as docker's userns-remap=default) or an explicit range
// "FIRST:COUNT". `--userns remap` asks for it where it is not the default.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/spec.h"

namespace noded::container {

/// As configured.
struct UsernsSettings {
    bool remaps_all = false;
    std::string ids = "dockremap";

    /// An error is a sentence for the operator.
    static Result<UsernsSettings> parse(std::string_view userns, std::string_view ids);
};

/// What this node can do, a fact of HostObserved.
struct Userns {
    std::vector<IdMap> id_maps;  ///< of users, then of groups
    bool remaps_all = false;
    std::string error;  ///< why there are none

    bool operator==(const Userns&) const = default;
};

/// The lines of `user` in a text of subuid(5), one after the other from the container's id 0 on.
Result<std::vector<IdMap>> subordinate_ids(std::string_view text, std::string_view user,
                                           std::string_view file, bool gid);

/// Whether the range is explicit: then no file is looked at.
bool is_explicit(const UsernsSettings& settings);
Userns userns_of(const UsernsSettings& settings, const Result<std::string>& subuid,
                 const Result<std::string>& subgid);

/// Gives the container the node's maps if it shall have them; the refusals are docker's.
Status apply_userns(const Userns& node, Spec& spec);

}  // namespace noded::container
