// Durable events into effects: a container that has started is counted for in the kernel, and one
// that has ended may be the last one that others paid for. The rest the next sample asks the state.
#include "plugins/stats/plugin.h"
#include "schemas/container.capnp.h"

namespace noded::stats {

void StatsPlugin::react(const noded_event& event) {
    if (event.type == capnp::typeId<schema::ContainerStarted>()) {
        sdk::Reading<schema::ContainerStarted> in(event.payload);
        sampler_.has_started(in->getId().cStr());
    } else if (event.type == capnp::typeId<schema::ContainerExited>() ||
               event.type == capnp::typeId<schema::ContainerRemoved>()) {
        sampler_.one_has_ended();
    }
}

}  // namespace noded::stats
