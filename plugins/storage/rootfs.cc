// The directories of containers. Both ways are a few system calls and stay on the reactor, because
// a container waits for them; what is slow, deleting the files of a removed one, goes to the lane.
#include <utility>

#include "plugins/storage/plugin.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {

void StoragePlugin::prepare(const std::string& id, const Container& container) {
    if (container.rootfs != Rootfs::requested) return;
    auto dirs = sys_->prepare_rootfs(id, container.layers);
    if (!dirs) {
        sdk::Message<schema::RootfsPrepareFailed> event;
        event->setContainerId(sdk::text(id));
        event->setMessage(sdk::text(dirs.error().message));
        host_.propose(event, cause_of(container.requested));
        return;
    }
    sdk::Message<schema::RootfsPrepared> event;
    event->setContainerId(sdk::text(id));
    auto lowers = event->initLowers(unsigned(dirs->lower.size()));
    for (unsigned i = 0; i < lowers.size(); ++i) lowers.set(i, sdk::text(dirs->lower[i]));
    event->setUpper(sdk::text(dirs->upper));
    event->setWork(sdk::text(dirs->work));
    host_.propose(event, cause_of(container.requested));
    refill_later();
}

// RootfsRemoved follows the rename at once: from then on no path leads to the files, and a crash
// before they are deleted leaves them where the next start deletes them.
void StoragePlugin::remove(const std::string& id, const Container& container) {
    if (!container.removing || container.rootfs == Rootfs::removed) return;
    if (auto detached = sys_->detach_rootfs(id); !detached)
        host_.warn("the files of container " + short_id(id) +
                   " stay until the next start: " + detached.error().message);
    sdk::Message<schema::RootfsRemoved> event;
    event->setContainerId(sdk::text(id));
    host_.propose(event, cause_of(container.removal));
    delete_later();
}

// Nobody waits for them, unless there are none.
void StoragePlugin::refill_later() {
    if (sys_->spares() == 0) return refill_spares();
    if (std::exchange(spares_put_off_, true)) return;
    quiet_.put_off([this] {
        spares_put_off_ = false;
        refill_spares();
    });
}

void StoragePlugin::refill_spares() {
    if (making_spares_ || sys_->spares() > limits::rootfs_spares_max / 2) return;
    making_spares_ = host_.offload([sys = sys_] { sys->make_spares(); },
                                   [this] { making_spares_ = false; });
}

void StoragePlugin::delete_later() {
    if (++detached_ >= limits::detached_max) return delete_detached();
    if (detached_ > 1) return;
    quiet_.put_off([this] {
        if (detached_ > 0) delete_detached();
    });
}

void StoragePlugin::delete_detached() {
    detached_ = 0;
    // With a full lane the next removal, or the next start, deletes these too.
    host_.offload([sys = sys_] { sys->delete_detached(); }, [] {});
}

}  // namespace noded::storage
