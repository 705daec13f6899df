// Durable events into effects: a switch that names, for each event, what is done because of it. The
// effects themselves stand in import.cc, commit.cc, images.cc and rootfs.cc.
#include "plugins/storage/plugin.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::storage {

void StoragePlugin::react(const noded_event& event) {
    const Origin origin{event.seq, command_id(event.command_id)};
    switch (event.type) {
        case capnp::typeId<schema::ImageImportRequested>(): return request_import(origin);
        case capnp::typeId<schema::ImageImported>():
        case capnp::typeId<schema::ImageImportFailed>(): return import_ended(origin.command_id);
        case capnp::typeId<schema::ContainerCommitRequested>():
        case capnp::typeId<schema::ContainerPaused>():
        case capnp::typeId<schema::ContainerUnpauseRequested>():
        case capnp::typeId<schema::ContainerPauseFailed>():
        case capnp::typeId<schema::ContainerExited>(): return request_commits();
        case capnp::typeId<schema::ImageRemoved>(): return want_sweep();
        case capnp::typeId<schema::RootfsRemoved>():
        case capnp::typeId<schema::ContainerRemoved>(): return container_gone();
        // The state may be ahead of the event: what is no longer wanted is not in it any more.
        case capnp::typeId<schema::ContainerRequested>(): {
            sdk::Reading<schema::ContainerRequested> requested(event.payload);
            quiet_.disturb();
            auto found = state_.containers.find(requested->getId().cStr());
            if (found != state_.containers.end()) prepare(found->first, found->second);
            return;
        }
        case capnp::typeId<schema::ContainerStartRequested>(): return quiet_.disturb();
        case capnp::typeId<schema::ContainerRemovalRequested>(): {
            sdk::Reading<schema::ContainerRemovalRequested> requested(event.payload);
            auto found = state_.containers.find(requested->getId().cStr());
            if (found != state_.containers.end()) remove(found->first, found->second);
            return;
        }
    }
}

}  // namespace noded::storage
