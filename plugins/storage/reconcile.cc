// After replay: gives every intent that a crash left without an outcome one, and removes from the
// disk what no event speaks of. tmp/ was emptied when the store was opened.
#include <set>

#include "plugins/storage/plugin.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {

void StoragePlugin::reconcile() {
    // A commit needs nothing that went with the process: it is done again.
    for (const auto& [command, import] : state_.imports)
        if (import.commit.empty())
            fail_import({import.seq, command},
                        "interrupted by a restart of noded; import it again");
    const std::vector<std::string> present =
        sys_->rootfs_ids().value_or(std::vector<std::string>());
    const std::set<std::string> there(present.begin(), present.end());
    for (const auto& [id, container] : state_.containers) {
        if (container.removing) {
            remove(id, container);
        } else if (container.rootfs == Rootfs::requested) {
            prepare(id, container);
        } else if (container.rootfs == Rootfs::prepared && !there.contains(id)) {
            // A power failure may have taken the directories, which are not synced: all of a
            // container's or none, since they were given their name when they were complete.
            if (auto dirs = sys_->prepare_rootfs(id, container.layers); !dirs)
                host_.warn("container " + short_id(id) + " has no rootfs: " + dirs.error().message);
        }
    }
    remove_strays();
    request_commits();
    refill_spares();
    want_sweep();
}

void StoragePlugin::remove_strays() {
    auto present = sys_->rootfs_ids();
    if (!present) return host_.warn("stray containers stay: " + present.error().message);
    bool detached = false;
    for (const std::string& id : *present) {
        auto known = state_.containers.find(id);
        if (known != state_.containers.end() && known->second.rootfs != Rootfs::removed) continue;
        if (auto gone = sys_->detach_rootfs(id); !gone)
            host_.warn("the files of container " + short_id(id) + " stay: " + gone.error().message);
        else
            detached = true;
    }
    if (detached) delete_detached();
}

}  // namespace noded::storage
