// After a start there is nothing to compare with the kernel: a container that ended while noded was
// away is told by the plugin container, and until then its files are not there to be read. Only
// those who subscribed are looked for, and those that run are counted for again. Where none runs
// the eBPF programs are loaded soon, so that they are there before the first container. One that is
// faster is counted for from when they are loaded.
#include "plugins/stats/plugin.h"

namespace noded::stats {

void StatsPlugin::reconcile() {
    sampler_.watch_topics();
    if (state_.running() > 0) sampler_.look_at_all();
    else sampler_.look_soon();
}

}  // namespace noded::stats
