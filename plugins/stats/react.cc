// Durable events into effects: a container that has started is counted for in the kernel. All else
// the next sample asks the state.
#include "plugins/stats/plugin.h"
#include "schemas/container.capnp.h"

namespace noded::stats {

void StatsPlugin::react(const noded_event& event) {
    if (event.type != capnp::typeId<schema::ContainerStarted>()) return;
    sdk::Reading<schema::ContainerStarted> in(event.payload);
    sampler_.has_started(in->getId().cStr());
}

}  // namespace noded::stats
